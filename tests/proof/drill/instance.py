"""A running copy of the service for the drill alone: `script/server` on free ports, in its own directory."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

import crashes
import dev_env
import fake_google_child
import fake_stripe_child
from free_ports import free_port
from postgres import SERVING, SUPERUSER, Postgres
from processes import die_with_parent

ROOT = Path(__file__).resolve().parents[3]
LISTENERS = {"web": "PORT", "internal": "INTERNAL_PORT", "admin": "ADMIN_PORT"}
PORTS = {**LISTENERS, "stripe": fake_stripe_child.PORT, "google": fake_google_child.PORT}
RECEIVER = "receiver"  # where a drill may listen for events
SERVICE = "demo"  # the service whose key script/server makes
START_PATIENCE, STOP_PATIENCE = 300.0, 90.0

# Users as a registration and a confirmed address would leave them; one hash for all, or a thousand would take minutes.
MAKE_USERS = """
import json
from django.contrib.auth.hashers import make_password
from django.db.models.functions import Now
from accounts import hooks
from accounts.models import User
tag, count, password = {arguments!r}
encoded = make_password(password)
made = User.objects.bulk_create(
    User(email=f"{{tag}}-{{n}}@drill.example", password=encoded, email_verified_at=Now()) for n in range(count)
)
hooks.registered([user.pk for user in made])
print(json.dumps([[str(user.pk), user.email] for user in made]))
"""


@dataclass(frozen=True)
class Person:
    """A verified user, with the password."""

    id: str
    email: str
    password: str


class Instance:
    """Gives the faults access to the service: its processes by name, its database, its addresses."""

    def __init__(
        self, directory: Path, *, mail_port: int, with_google: bool = False, **environment: str
    ) -> None:
        self.directory = directory / "var"
        self.directory.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700)
        self.ports = {name: free_port() for name in (*PORTS, RECEIVER)}
        self.log_path = directory / "server.log"
        self._mail_port = mail_port
        self._options = [fake_stripe_child.OPTION, *([fake_google_child.OPTION] if with_google else [])]
        self._environment = environment
        self._supervisor: subprocess.Popen[bytes] | None = None

    # Life

    def start(self) -> None:
        """Start it, and return when all listeners are ready and worker and scheduler run."""
        environment = {
            **clean_environment(),
            **{variable: str(self.ports[name]) for name, variable in PORTS.items()},
            **crashes.FAULT_HANDLER,
            "VAR_DIR": str(self.directory),
            **self._addresses(),
            "TRUSTED_PROXY_COUNT": "1",  # so that each client of the drill has an address of its own
            "STARTED_AT": str(time.time()),
        }
        with self.log_path.open("wb") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, str(ROOT / "script" / "lib" / "serve.py"), *self._options],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the drill, which then ends it in order
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        self.await_(self._is_up, "the service did not start", within=START_PATIENCE)

    def stop(self) -> None:
        if self._supervisor is None:
            return
        self._supervisor.terminate()
        try:
            self._supervisor.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()

    def _is_up(self) -> bool:
        if self._supervisor is None or self._supervisor.poll() is not None:
            raise SystemExit(f"The service ended at its start:\n{self.log_path.read_text()[-2000:]}")
        log = self.log_path.read_text(errors="replace")
        return all(self.answers(name, "/readyz") for name in LISTENERS) and " ready." in log

    def await_(self, condition: Callable[[], bool], failure: str, *, within: float) -> float:
        """Wait until the condition holds, and return the seconds that took. Raise TimeoutError if it does not hold in
        time.
        """
        started = time.monotonic()
        while not condition():
            if time.monotonic() - started > within:
                raise TimeoutError(f"{failure} within {within:.0f} s")
            time.sleep(0.05)
        return time.monotonic() - started

    # Addresses

    def _addresses(self) -> dict[str, str]:
        """Return the variables that send mails and events to the drill, and the instance's other variables."""
        return {
            "EMAIL_URL": f"smtp://127.0.0.1:{self._mail_port}",
            "EVENT_WEBHOOK_HOSTS": f"127.0.0.1:{self.ports[RECEIVER]}=127.0.0.0/8",
            **self._environment,
        }

    def crashes(self) -> list[str]:
        """Return the lines of its logs, and those beside them, that report processes which crashed in native code."""
        return crashes.crashes(sorted(self.log_path.parent.rglob("*.log")))

    def answers(self, listener: str, path: str) -> bool:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.ports[listener]}{path}", timeout=3) as answer,
        ):
            return bool(answer.status == 200)
        return False

    @property
    def api_key(self) -> str:
        return dev_env.load(self.directory / "dev.env")["INTERNAL_API_KEY"]

    # Processes

    def process(self, name: str) -> int:
        """Return the pid of the process that the supervisor currently runs under this name."""
        rows = json.loads((self.directory / "children.json").read_text())
        return next(int(row["pid"]) for row in rows if row["name"] == name)

    def workers(self, name: str) -> list[int]:
        """Return the children of gunicorn's master, or of Celery's main process."""
        pid = self.process(name)
        try:
            listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:
            return []
        return [int(child) for child in listed.split()]

    # Its database, and manage.py

    def database_url(self, role: str) -> str:
        return Postgres(self.directory).url(role)

    @contextlib.contextmanager
    def database(self, role: str = SUPERUSER) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.database_url(role), autocommit=True) as connection:
            yield connection

    def accepts_database_connections(self) -> bool:
        try:
            with self.database(SERVING) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self.database() as connection:
            return connection.execute(query, parameters or None).fetchall()

    def command(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a manage.py command on this instance."""
        return subprocess.Popen(
            [sys.executable, str(ROOT / "script" / "lib" / "django_command.py"), *arguments],
            env={
                **clean_environment(),
                "VAR_DIR": str(self.directory),
                **self._addresses(),
                **environment,
            },
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )

    def manage(self, *arguments: str, **environment: str) -> tuple[int, str]:
        with self.command(*arguments, **environment) as command:
            said, _ = command.communicate(timeout=120)
            return command.returncode, said

    def people(self, count: int) -> list[Person]:
        """Create this many verified users."""
        password, tag = secrets.token_urlsafe(15), secrets.token_hex(4)
        status, said = self.manage("shell", "-v0", "-c", MAKE_USERS.format(arguments=[tag, count, password]))
        if status:
            raise SystemExit(f"The drill's users could not be made:\n{said}")
        return [Person(id, email, password) for id, email in json.loads(said.strip().splitlines()[-1])]


def clean_environment() -> dict[str, str]:
    """Return the environment without variables that would make it a different instance."""
    ours = {"DATABASE_URL", "DATABASE_MIGRATE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "LISTENER"}
    ours |= {"RATE_LIMITS_FACTOR", "VAR_DIR", "PYTHONDONTWRITEBYTECODE"}
    return {name: value for name, value in os.environ.items() if name not in ours}


@contextlib.contextmanager
def instance(
    kind: type[Instance] = Instance, *, mail_port: int, with_google: bool = False, **environment: str
) -> Iterator[Instance]:
    """Start an instance and end it; its files are removed unless DRILL_KEEP is set."""
    with directory() as place:
        running = kind(place, mail_port=mail_port, with_google=with_google, **environment)
        try:
            running.start()
            yield running
        finally:
            running.stop()


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="drill-"))
    made.chmod(0o711 if os.geteuid() == 0 else 0o700)  # PostgreSQL's user must be able to pass through
    try:
        yield made
    finally:
        if os.environ.get("DRILL_KEEP"):
            print(f"Kept: {made}")
        else:
            shutil.rmtree(made, ignore_errors=True)

"""Starts the service in order, keeps it running, and stops it: `script/server`, once everything is installed."""

import contextlib
import fcntl
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

import dev_env  # noqa: E402
import fake_google_child  # noqa: E402
import fake_stripe_child  # noqa: E402
import procfile  # noqa: E402
import schema  # noqa: E402
from console import Console, wants_colour  # noqa: E402
from greeting import greeting  # noqa: E402
from postgres import OWNER, Postgres  # noqa: E402
from supervise import Child, Stopped, Supervisor  # noqa: E402
from valkey import Valkey  # noqa: E402

LISTENERS = {"web": "PORT", "internal": "INTERNAL_PORT", "admin": "ADMIN_PORT"}
DEFAULT_PORTS = {
    "PORT": "8000",
    "INTERNAL_PORT": "8001",
    "ADMIN_PORT": "8002",
    fake_stripe_child.PORT: fake_stripe_child.DEFAULT_PORT,
    fake_google_child.PORT: fake_google_child.DEFAULT_PORT,
}
FIRST_START = "python script/lib/first_start.py"
SYNC_PLANS = "python manage.py sync_plans"  # what the fake Stripe sells
GRACE_SECONDS = 20.0  # more than gunicorn's graceful_timeout


@dataclass(frozen=True)
class Instance:
    """One running copy of the service: its directory and its environment. Two copies differ in VAR_DIR and ports."""

    directory: Path
    environment: Mapping[str, str]
    with_stripe: bool = False
    with_google: bool = False

    @classmethod
    def inside(cls, directory: Path, *, with_stripe: bool = False, with_google: bool = False) -> "Instance":
        """Write the instance's files and return it. The caller holds the directory's lock: another may be running in
        it.
        """
        kept = dev_env.load(directory / "dev.env")
        environment = {**DEFAULT_PORTS, **kept, **os.environ, "VAR_DIR": str(directory)}
        stripe = fake_stripe_child.settings(environment) if with_stripe else {}
        fake_stripe_child.write(directory, stripe)
        google = fake_google_child.settings(environment) if with_google else {}
        return cls(directory, {**environment, **stripe, **google}, with_stripe, with_google)

    def port(self, variable: str) -> int:
        try:
            return int(self.environment[variable])
        except ValueError:
            raise SystemExit(f"{variable} must be a number, not {self.environment[variable]!r}.") from None

    @property
    def port_variables(self) -> list[str]:
        fakes = {fake_stripe_child.PORT: self.with_stripe, fake_google_child.PORT: self.with_google}
        return [*LISTENERS.values(), *(port for port, wanted in fakes.items() if wanted)]

    @cached_property
    def process_table(self) -> dict[str, str]:
        return procfile.read(ROOT / "Procfile")


def main(arguments: list[str]) -> int:
    options = (fake_stripe_child.OPTION, fake_google_child.OPTION)
    if unknown := [argument for argument in arguments if argument not in options]:
        raise SystemExit(f"Unknown: {' '.join(unknown)}. There is {' and '.join(options)}.")
    directory = make_variable_directory(Path(os.environ.get("VAR_DIR") or ROOT / "var").resolve())
    console = Console()
    with sole_use(directory):
        instance = Instance.inside(
            directory,
            with_stripe=fake_stripe_child.OPTION in arguments,
            with_google=fake_google_child.OPTION in arguments,
        )
        supervisor = Supervisor(state=directory / "children.json", console=console)
        try:
            supervisor.end_leftovers()
            bring_up(instance, supervisor, console)
            supervisor.watch()
        except Stopped:
            pass
        finally:
            supervisor.shutdown()
        return supervisor.exit_status


def make_variable_directory(directory: Path) -> Path:
    """Create the directory. If PostgreSQL must run as another user (we are root), others may pass through but not list
    it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise SystemExit(
            f"{directory} cannot be made ({error.strerror}). Set VAR_DIR to another directory."
        ) from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise SystemExit(f"{directory} is not yours to write. Set VAR_DIR to another directory.")
    return directory


@contextlib.contextmanager
def sole_use(directory: Path) -> Iterator[None]:
    """Allow one supervisor per VAR_DIR. The kernel frees the lock when its holder ends, for any reason."""
    with (directory / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise SystemExit(
                f"The service is already running in {directory} (pid {lock.read().strip()}).\n"
                "Stop it first; or set VAR_DIR, PORT, INTERNAL_PORT and ADMIN_PORT to run another beside it."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def bring_up(instance: Instance, supervisor: Supervisor, console: Console) -> None:
    """Start the stores, migrate, start the listeners; then worker and scheduler, without waiting for them."""
    check_ports(instance)
    environment = dict(instance.environment) | {
        "DJANGO_SETTINGS_MODULE": instance.environment.get("DJANGO_SETTINGS_MODULE", "config.settings.dev"),
        "PATH": f"{Path(sys.executable).parent}:{instance.environment.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore:You're running the worker",  # as root, which developers in a container are
    }
    if wants_colour(1):
        environment.setdefault(
            "FORCE_COLOR", "1"
        )  # its pipe is not a terminal, ours is: https://force-color.org
    postgres = start_stores(instance, supervisor, environment)
    enrolment = migrate(supervisor, environment, postgres)
    if instance.with_stripe:
        supervisor.start(fake_stripe_child.child(environment))
        supervisor.run(command_of(SYNC_PLANS, "plans", environment))
    if instance.with_google:
        supervisor.start(fake_google_child.child(environment))
    supervisor.start(*(application_process(instance, name, environment) for name in LISTENERS))
    seconds = time.time() - float(environment["STARTED_AT"])
    console.show(greeting(environment, enrolment=enrolment, seconds=seconds))
    background = [name for name in instance.process_table if name not in {*LISTENERS, "release"}]
    supervisor.start(*(application_process(instance, name, environment) for name in background))


def check_ports(instance: Instance) -> None:
    """Exit if a port is taken, naming the variable to set. If it is taken later, gunicorn reports it."""
    for variable in instance.port_variables:
        port = instance.port(variable)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except (OSError, OverflowError) as error:
                raise SystemExit(
                    f"Port {port} of 127.0.0.1 cannot be used ({getattr(error, 'strerror', None) or error}).\n"
                    f"Set {variable} to another one: {variable}={port + 1000} script/server"
                ) from None
    variables = instance.port_variables
    if len({instance.port(variable) for variable in variables}) != len(variables):
        raise SystemExit(f"{', '.join(variables)} must differ from one another.")


def start_stores(instance: Instance, supervisor: Supervisor, environment: dict[str, str]) -> Postgres | None:
    """Start the stores that are not given, and add their URLs to the environment."""
    stores: list[Child] = []
    postgres = None
    if not environment.get("REDIS_URL"):
        valkey = Valkey(instance.directory)
        environment["REDIS_URL"] = valkey.url
        stores.append(valkey.child())
    if not environment.get("DATABASE_URL"):
        postgres = Postgres(instance.directory)
        postgres.prepare()
        environment["DATABASE_URL"], environment["DATABASE_MIGRATE_URL"] = postgres.url(), postgres.url(OWNER)
        stores.append(postgres.child())
    supervisor.start(*stores)
    if postgres:
        postgres.create_roles_and_database()
    return postgres


def migrate(supervisor: Supervisor, environment: Mapping[str, str], postgres: Postgres | None) -> str:
    """Migrate and create the first admin, unless that was already done with this embedded database.

    Return the link with which a new admin adds the second factor, or "".
    """
    marker = postgres.home / "migrated" if postgres else None
    fingerprint = f"{schema.fingerprint()} {environment['ADMIN_EMAIL']}"
    if marker and marker.exists() and marker.read_text() == fingerprint:
        return ""
    supervisor.say("migrating the database ...")
    made = supervisor.run(command_of(FIRST_START, "migrate", environment))
    if marker:
        marker.write_text(fingerprint)
    return next((word for line in made for word in line.split() if "/admin/enrol/" in word), "")


def command_of(command: str, name: str, environment: Mapping[str, str]) -> Child:
    return Child(name, procfile.argv(command), environment, directory=ROOT)


def application_process(instance: Instance, name: str, environment: Mapping[str, str]) -> Child:
    variable = LISTENERS.get(name)
    return Child(
        name,
        procfile.argv(instance.process_table[name]),
        environment,
        directory=ROOT,
        grace=GRACE_SECONDS,
        ready=answers_at(instance.port(variable)) if variable else None,
    )


def answers_at(port: int) -> Callable[[], bool]:
    """Return a check whether the listener on this port reports that it and its stores are ready."""

    def check() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    return check


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

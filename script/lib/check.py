"""Runs the project's checks and tests on throw-away servers: `script/test`, once everything is installed."""

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

import dev_env  # noqa: E402
from console import Console, wants_colour  # noqa: E402
from pgbouncer import pooled  # noqa: E402
from postgres import OWNER, SUPERUSER, Postgres  # noqa: E402
from processes import die_with_parent  # noqa: E402
from supervise import Stopped, Supervisor  # noqa: E402
from valkey import Valkey  # noqa: E402

SLOTS = 16  # concurrent test runs in one checkout
PYTEST = ["-m", "pytest", "-n", "2", "--dist", "worksteal"]
CHECKS = {
    "lint": ["-m", "ruff", "check"],
    "format": ["-m", "ruff", "format", "--check"],
    "types": ["-m", "mypy"],
    "prose": ["script/lib/prose.py"],
    "imports": ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
    "migrations": ["manage.py", "makemigrations", "--check", "--dry-run"],
}
DEPLOYMENT_CHECK = ["manage.py", "check", "--deploy", "--fail-level", "WARNING"]


def main(arguments: list[str]) -> int:
    directory = Path(os.environ.get("VAR_DIR") or ROOT / "var").resolve()
    with own_slot(directory) as slot, (slot / "servers.log").open("w") as log:
        supervisor = Supervisor(state=slot / "children.json", console=Console(log.fileno()))
        try:
            supervisor.end_leftovers()
            return run_steps(supervisor, start_stores(supervisor, slot), arguments)
        except Stopped:
            print(
                f"The servers for the tests stopped; {log.name} says why."
                if supervisor.exit_status
                else "Stopped."
            )
            return 1
        finally:
            supervisor.shutdown()


@contextlib.contextmanager
def own_slot(directory: Path) -> Iterator[Path]:
    """Yield a directory that no other run is using. It is kept: the next run finds its cluster created and migrated."""
    for number in range(SLOTS):
        slot = directory / f"test-{number}"
        slot.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
        with (slot / "lock").open("a") as lock, contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield slot
            return
    raise SystemExit(f"{SLOTS} test runs are under way in {directory} already.")


def start_stores(supervisor: Supervisor, slot: Path) -> Mapping[str, str]:
    postgres, valkey = Postgres(slot, disposable=True), Valkey(slot, disposable=True)
    postgres.prepare()
    supervisor.start(postgres.child(), valkey.child())
    postgres.create_roles_and_database()
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")},
        "DATABASE_URL": postgres.url(SUPERUSER, "postgres"),
        "DATABASE_MIGRATE_URL": postgres.url(OWNER, "postgres"),
        **distributed(os.environ.get("LEDGER_TEST_DATABASE_URL")),
        **pooled(
            supervisor,
            slot,
            postgres,
            forgetful=True,
            DATABASE_URL=f"postgresql://{SUPERUSER}@/postgres?host={{sockets}}",
        ),
        "REDIS_URL": valkey.url,
    }


def distributed(url: str | None) -> Mapping[str, str]:
    """Return the variables for the database of tests/distributed_database.py instead of the embedded one."""
    if not url:
        return {}
    # A test transaction's statements and settings are applied on each server, in the same order.
    options = "-c%20citus.multi_shard_modify_mode%3Dsequential%20-c%20citus.propagate_set_commands%3Dlocal"
    return {
        "DATABASE_URL": f"{url}{'&' if '?' in url else '?'}options={options}",
        "DATABASE_MIGRATE_URL": re.sub("//[^@/]*@", f"//{OWNER}@", url),
    }


def run_steps(supervisor: Supervisor, environment: Mapping[str, str], arguments: list[str]) -> int:
    """Run all steps in order, up to the first that fails; only pytest if arguments were given."""
    testing = {**environment, "DJANGO_SETTINGS_MODULE": "config.settings.test"}
    if not arguments:
        for name, command in CHECKS.items():
            if status := run_step(supervisor, name, command, testing):
                return status
        if status := run_step(supervisor, "deployment", DEPLOYMENT_CHECK, production_like(environment)):
            return status
    return run_step(supervisor, "tests", [*PYTEST, *colour_option(), *arguments], testing)


def run_step(supervisor: Supervisor, name: str, command: list[str], environment: Mapping[str, str]) -> int:
    """Run a step in the foreground, so that Ctrl-C reaches it, and name it if it fails."""
    print(f"== {name}", flush=True)
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        preexec_fn=die_with_parent(signal.SIGTERM),
    ) as step:
        status = supervisor.attend(step)
    if name != "tests":
        result = f"failed with status {status}" if status else "passed"
        print(f"== {name} {result} after {time.monotonic() - started:.1f} s", flush=True)
    return status


def colour_option() -> list[str]:
    return ["--color=yes"] if wants_colour(1) else ["--color=no"]


def production_like(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return what the production settings require, with fresh secrets: the check then reports only their own faults."""
    fresh = {name: make() for name, make in dev_env.MAKERS.items()}
    return {
        **environment,
        **fresh,
        "DJANGO_SETTINGS_MODULE": "config.settings.production",
        "INTERNAL_API_KEYS": f"check={fresh['INTERNAL_API_KEY']}:*",
        "DATABASE_URL": "postgresql://auth_app@database.internal/auth",
        "DATABASE_MIGRATE_URL": "postgresql://auth_owner@database.internal/auth",
        "REDIS_URL": "rediss://redis.internal/0",
        "EMAIL_URL": "smtp+tls://user:password@smtp.internal:587",
        "MAIL_FROM": "no-reply@auth.internal",
        "ALLOWED_HOSTS": "auth.internal",
        "PUBLIC_BASE_URL": "https://auth.internal",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Starts throw-away PostgreSQL and Valkey servers with their usual, durable settings, and runs the measurement on
them.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "script" / "lib")]

import dev_env  # noqa: E402
from console import Console  # noqa: E402
from pgbouncer import pooled  # noqa: E402
from postgres import Postgres  # noqa: E402
from processes import die_with_parent  # noqa: E402
from supervise import Stopped, Supervisor  # noqa: E402
from valkey import Valkey  # noqa: E402


def main(arguments: list[str]) -> int:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk makes the load. Install it: apt-get install wrk, or brew install wrk.")
    directory = Path(os.environ.get("VAR_DIR") or ROOT / "var").resolve() / "bench"
    directory.mkdir(parents=True, exist_ok=True, mode=0o711)
    with (directory / "servers.log").open("w") as log:
        supervisor = Supervisor(state=directory / "children.json", console=Console(log.fileno()))
        try:
            supervisor.end_leftovers()
            return measure(supervisor, directory, arguments)
        except Stopped:
            return 1
        finally:
            supervisor.shutdown()


def measure(supervisor: Supervisor, directory: Path, arguments: list[str]) -> int:
    postgres, valkey = Postgres(directory), Valkey(directory)
    postgres.prepare()
    supervisor.start(postgres.child(), valkey.child())
    postgres.create_roles_and_database()
    environment = {
        **os.environ,
        **dev_env.load(directory / "dev.env"),
        "DJANGO_SETTINGS_MODULE": "config.settings.dev",
        "VAR_DIR": str(directory),
        "DATABASE_URL": postgres.url(),
        "BENCH_CLUSTER": postgres.url("{role}", "{database}"),
        "REDIS_URL": valkey.url,
        "BENCH_POSTMASTER": (postgres.data / "postmaster.pid").read_text().split()[0],
        "PGBENCH": str(postgres.programs / "pgbench"),
        **pooled(supervisor, directory, postgres, BENCH_POOLER="host={sockets}"),  # not for pgbench
    }
    with subprocess.Popen(
        [sys.executable, "tests/proof/bench/measure.py", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        preexec_fn=die_with_parent(signal.SIGTERM),
    ) as step:
        return supervisor.attend(step)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

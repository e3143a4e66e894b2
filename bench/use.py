"""`use` over HTTP on the internal listener, and the same statement from pgbench, in turn, on one cluster.

Both spend 1 credit of a user taken by chance, with a fresh key and no texts, over 8 connections. What is printed are
medians with the spread of all rounds; the whole of it goes to $VAR_DIR/use.json.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "script" / "lib")]

import django  # noqa: E402

from processes import die_with_parent  # noqa: E402

CONNECTIONS = 8
USERS = 1000
ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = int(os.environ.get("ROUND_SECONDS", "5"))
TICKS = os.sysconf("SC_CLK_TCK")
DIRECTORY = Path(os.environ["VAR_DIR"])

USERS_SQL = f"""
INSERT INTO accounts_user (id, password, is_superuser, display_name, locale, timezone, status, token_version, is_staff)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '!', false, '', 'en', 'UTC', 'active', 0, false
FROM generate_series(1, {USERS}) AS n ON CONFLICT DO NOTHING
"""
# What stands for the parameters of the statement: made by PostgreSQL, since pgbench knows numbers only.
PGBENCH_VALUES = {
    "id": "gen_random_uuid()",
    "user_id": "('00000000-0000-4000-8000-' || lpad(to_hex(:n::bigint), 12, '0'))",
    "amount": ":amount",
    "service": "'bench'",
    "key": "gen_random_uuid()",
    "digest": "sha256('bench')",
}


def main() -> None:
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], check=True)
    django.setup()
    make_users()
    script = DIRECTORY / "spend.sql"
    script.write_text(f"\\set n random(1, {USERS})\n\\set amount 1\n{pgbench_statement()};\n")
    with listener() as (port, master):
        give_credits(port)
        http(port, master, seconds=2), pgbench(script, seconds=2)  # caches and prepared statements
        rounds = [
            (http(port, master, seconds=SECONDS), pgbench(script, seconds=SECONDS)) for _ in range(ROUNDS)
        ]
    report(rounds)


def make_users() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(USERS_SQL)


def pgbench_statement() -> str:
    """The statement that the service runs, character for character but for the values."""
    from credits.spending import SPEND

    return re.sub(r"%\((\w+)\)s", lambda match: PGBENCH_VALUES.get(match[1], "NULL"), SPEND).strip()


@contextlib.contextmanager
def listener() -> Iterator[tuple[int, int]]:
    """The internal listener as the Procfile has it (two workers of four threads), its log in a file."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [
        "-m",
        "gunicorn",
        "config.wsgi:application",
        "--config",
        "deploy/gunicorn.py",
        "--max-requests",
        "0",
    ]
    environment = {**os.environ, "LISTENER": "internal", "RATE_LIMITS_FACTOR": "1"}
    with (DIRECTORY / "internal.log").open("w") as log:
        gunicorn = subprocess.Popen(
            [sys.executable, *command, "--bind", f"127.0.0.1:{port}"],
            env=environment,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
    try:
        await_ready(port)
        yield port, gunicorn.pid
    finally:
        gunicorn.terminate()
        gunicorn.wait(30)


def await_ready(port: int) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2)
            return
        time.sleep(0.1)
    raise SystemExit(f"The listener did not start; {DIRECTORY / 'internal.log'} says why.")


def give_credits(port: int) -> None:
    """A grant per user, by the API: the first run makes it, later ones add to it."""
    for number in range(1, USERS + 1):
        body = {"user_id": f"00000000-0000-4000-8000-{number:012x}", "amount": 10**9, "type": "purchase"}
        headers = {"Content-Type": "application/json", "X-API-Key": os.environ["INTERNAL_API_KEY"]}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/credits/add", json.dumps(body).encode(), headers, method="POST"
        )
        request.add_header("Idempotency-Key", secrets.token_hex(8))
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()


def http(port: int, master: int, *, seconds: int) -> dict[str, float]:
    workers = children(master)
    before = sum(map(processor_seconds, workers))
    done = subprocess.run(
        [
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{seconds}s",
            "-s",
            "bench/use.lua",
            f"http://127.0.0.1:{port}",
        ],
        env={
            **os.environ,
            "BENCH_KEY": os.environ["INTERNAL_API_KEY"],
            "BENCH_USERS": str(USERS),
            "BENCH_RUN": secrets.token_hex(6),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    spent = sum(map(processor_seconds, workers)) - before
    if found["refused"] or found["broken"] or not found["requests"]:
        raise SystemExit(f"Not every use was a 201: {found}")
    return {
        "per_second": found["requests"] / found["microseconds"] * 1e6,
        "server_cpu_us": spent / found["requests"] * 1e6,
        "p50_ms": found["p50"] / 1000,
        "p99_ms": found["p99"] / 1000,
    }


def children(process: int) -> list[int]:
    listed = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in listed.split()]


def processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pgbench(script: Path, *, seconds: int) -> dict[str, float]:
    from django.db import connection

    database = connection.settings_dict
    command = [
        os.environ["PGBENCH"],
        "-n",
        "-M",
        "prepared",
        "-c",
        str(CONNECTIONS),
        "-j",
        "1",
        "-T",
        str(seconds),
    ]
    where = ["-h", database["HOST"], "-U", database["USER"], "-f", str(script), database["NAME"]]
    done = subprocess.run([*command, *where], capture_output=True, text=True, check=False)
    rate = re.search(r"tps = ([\d.]+)", done.stdout)
    latency = re.search(r"latency average = ([\d.]+)", done.stdout)
    if done.returncode or rate is None or latency is None:
        raise SystemExit(f"pgbench failed:\n{done.stdout}{done.stderr}")
    return {"per_second": float(rate[1]), "average_ms": float(latency[1])}


def report(rounds: list[tuple[dict[str, float], dict[str, float]]]) -> None:
    figures: dict[str, list[float]] = {
        "HTTP use/s": [http["per_second"] for http, _ in rounds],
        "pgbench use/s": [direct["per_second"] for _, direct in rounds],
        "ratio %": [100 * http["per_second"] / direct["per_second"] for http, direct in rounds],
        "server CPU us/use": [http["server_cpu_us"] for http, _ in rounds],
        "HTTP p50 ms": [http["p50_ms"] for http, _ in rounds],
        "HTTP p99 ms": [http["p99_ms"] for http, _ in rounds],
    }
    print(
        f"{ROUNDS} rounds of {SECONDS} s each in turn, {CONNECTIONS} connections, {USERS} users, {os.cpu_count()} cores"
    )
    print(f"{'':20}{'median':>10}{'lowest':>10}{'highest':>10}")
    for name, values in figures.items():
        print(f"{name:20}{statistics.median(values):10.1f}{min(values):10.1f}{max(values):10.1f}")
    document: dict[str, Any] = {
        "rounds": ROUNDS,
        "seconds": SECONDS,
        "connections": CONNECTIONS,
        "users": USERS,
    }
    document |= {"cores": os.cpu_count(), "load": f"wrk at {shutil.which('wrk')}", "figures": figures}
    (DIRECTORY / "use.json").write_text(json.dumps(document, indent=2) + "\n")
    print(f"All rounds: {DIRECTORY / 'use.json'}")


if __name__ == "__main__":
    main()

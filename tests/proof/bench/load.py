"""The two sources of load: wrk over HTTP and pgbench on the database. Both for a while, over so many connections."""

import json
import os
import re
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from listeners import Server

HERE = Path(__file__).parent
DIRECTORY = Path(os.environ["VAR_DIR"])
USERS = 1000
# What stands for the parameters of the statement: made by PostgreSQL, since pgbench knows numbers only.
PGBENCH_VALUES = {
    "id": "gen_random_uuid()",
    "user_id": "('00000000-0000-4000-8000-' || lpad(to_hex(:n::bigint), 12, '0'))",
    "amount": ":amount",
    "service": "'bench'",
    "key": "gen_random_uuid()",
    "digest": "sha256('bench')",
}


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a while of load. Of HTTP also the processor time of all workers for each request."""

    per_second: float
    server_cpu_us: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0


def http(
    server: Server,
    *,
    connections: int,
    seconds: int,
    users: int = USERS,
    script: str = "use.lua",
    threads: int = 1,
) -> Answered:
    """Spends 1 credit of a user by chance, with a fresh key, as often as the connections take. All must be 201."""
    before = server.processor_seconds()
    sizes = [
        f"-t{threads}",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "30s",
    ]  # its own: 2 s, a batch or two
    command = ["wrk", *sizes, "-s", str(HERE / script), server.url]
    environment = {"BENCH_USERS": str(users), "BENCH_RUN": secrets.token_hex(6)}
    done = subprocess.run(
        command,
        env={**os.environ, "BENCH_KEY": os.environ["INTERNAL_API_KEY"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    spent = server.processor_seconds() - before
    if found["refused"] or found["broken"] or not found["requests"]:
        raise SystemExit(f"{server.name}: not every request was carried out: {found}; see {server.log}")
    return Answered(
        per_second=found["requests"] / found["microseconds"] * 1e6,
        server_cpu_us=spent / found["requests"] * 1e6,
        p50_ms=found["p50"] / 1000,
        p99_ms=found["p99"] / 1000,
    )


def pgbench(database: str, *, connections: int, seconds: int, users: int = USERS) -> Answered:
    """The same spend as the bare statement, prepared, per second."""
    script = DIRECTORY / f"spend-{users}.sql"
    script.write_text(f"\\set n random(1, {users})\n\\set amount 1\n{spend_statement()};\n")
    options = ["-n", "-M", "prepared", "-c", str(connections), "-j", "1", "-T", str(seconds)]
    command = [os.environ["PGBENCH"], *options, "-f", str(script), database]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rate = re.search(r"tps = ([\d.]+)", done.stdout)
    if done.returncode or rate is None:
        raise SystemExit(f"pgbench failed:\n{done.stdout}{done.stderr}")
    return Answered(per_second=float(rate[1]))


def spend_statement() -> str:
    """The statement that the service runs, character for character but for the values."""
    from credits.ledger.one_statement import STATEMENT

    return re.sub(r"%\((\w+)\)s", lambda match: PGBENCH_VALUES.get(match[1], "NULL"), STATEMENT).strip()

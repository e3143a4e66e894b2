"""The two sources of load: wrk over HTTP and pgbench on the database. Both run for a while, over several
connections.
"""

import json
import os
import re
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from listeners import Server
from processor import seconds_of

HERE = Path(__file__).parent
DIRECTORY = Path(os.environ["VAR_DIR"])
USERS = 1000
PATIENCE = 30  # seconds: wrk's own are 2, which is a batch or two
# What stands for the parameters of the statement: made by PostgreSQL, since pgbench knows numbers only.
USER = "('00000000-0000-4000-8000-' || lpad(to_hex(:n::bigint), 12, '0'))"
PGBENCH_VALUES = {
    "id": "uuidv7()",
    "user_id": USER,
    "holder_id": USER,
    "amount": ":amount",
    "service": "'bench'",
    "key": "md5(:key::text)::uuid::text",  # the same wherever it stands, as a parameter is
    "digest": "substring(sha256('bench'), 1, 16)",
}


@dataclass(frozen=True, slots=True)
class Answered:
    """The result of a load; over HTTP also the processor time per request, of the server and of PostgreSQL."""

    per_second: float
    server_cpu_us: float = 0.0
    database_cpu_us: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0


def http(
    server: Server,
    *,
    connections: int,
    seconds: int,
    users: int = USERS,
    refused: int = 0,
    script: str = "use.lua",
    threads: int = 1,
    environment: Mapping[str, str] | None = None,
) -> Answered:
    """Send the script's requests as fast as the connections allow. All must be carried out, except each `refused`-th.

    The script spends 1 credit of a random user, unless another script is given.
    """
    before, database_before = server.processor_seconds(), _database_seconds()
    given = {"BENCH_USERS": str(users), "BENCH_REFUSED": str(refused), **(environment or {})}
    found = _wrk(server, script, f"-t{threads}", f"-c{connections}", f"-d{seconds}s", environment=given)
    spent, database_spent = server.processor_seconds() - before, _database_seconds() - database_before
    requests, errors = found["requests"], found["errors"]
    if refused and abs(errors["status"] - requests / refused) <= connections:
        errors["status"] = 0
    if not requests or any(errors.values()):
        raise SystemExit(f"{server.name}: not every request was carried out: {found}; see {server.log}")
    return Answered(
        per_second=requests / found["microseconds"] * 1e6,
        server_cpu_us=spent / requests * 1e6,
        database_cpu_us=database_spent / requests * 1e6,
        p50_ms=found["p50"] / 1000,
        p99_ms=found["p99"] / 1000,
    )


def _wrk(server: Server, script: str, *sizes: str, environment: Mapping[str, str]) -> dict[str, Any]:
    ours = {
        "BENCH_SCRIPTS": str(HERE),
        "BENCH_KEY": os.environ["INTERNAL_API_KEY"],
        "BENCH_RUN": secrets.token_hex(6),
    }
    done = subprocess.run(
        ["wrk", *sizes, "--timeout", f"{PATIENCE}s", "-s", str(HERE / script), server.url],
        env={**os.environ, **ours, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _database_seconds() -> float:
    return seconds_of(int(os.environ["BENCH_POSTMASTER"]))


def pgbench(
    database: str, *, connections: int, seconds: int = 0, transactions: int = 0, users: int = USERS
) -> Answered:
    """Make the same spend as the bare statement, prepared: for this long, or this often on each connection."""
    script = DIRECTORY / f"spend-{users}.sql"
    values = f"\\set n random(1, {users})\n\\set amount 1\n\\set key random(1, {2**62})\n"
    script.write_text(f"{values}{spend_statement()};\n")
    length = ["-t", str(transactions)] if transactions else ["-T", str(seconds)]
    options = ["-n", "-M", "prepared", "-c", str(connections), "-j", "1", *length]
    command = [os.environ["PGBENCH"], *options, "-f", str(script), database]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rate = re.search(r"tps = ([\d.]+)", done.stdout)
    if done.returncode or rate is None:
        raise SystemExit(f"pgbench failed:\n{done.stdout}{done.stderr}")
    return Answered(per_second=float(rate[1]))


def spend_statement() -> str:
    """Return the statement that the service runs, identical except for the values."""
    from credits.ledger.one_statement import STATEMENT

    found = re.sub(r"%\((\w+)\)s", lambda match: PGBENCH_VALUES.get(match[1], "NULL"), STATEMENT).strip()
    if missing := [value for value in (USER, ":amount", "'bench'") if value not in found]:
        raise SystemExit(f"The statement has no place for {missing}: pgbench would spend nothing.")
    return found

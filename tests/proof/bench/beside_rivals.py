"""The same call and the same entry, beside what others would build on; rivals/ has their programs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import databases
import rival_installs
from figures import Figure
from listeners import SERVERS, drf, fastapi, ours
from load import USERS, http
from rival_installs import RIVALS, Unavailable
from runs import Size, in_turn, least, rate, times

FASTAPI, DRF = "FastAPI + SQLAlchemy", "DRF + ORM"
BOUNDS = {FASTAPI: (4, 6), DRF: (8, 12)}


def rivals(size: Size) -> Iterator[Figure]:
    """`use` at 8 connections, compared with FastAPI and SQLAlchemy, and with Django REST Framework and the ORM."""
    try:
        rival_installs.python()
    except Unavailable as reason:
        print(f"FastAPI and DRF are left out: {reason}", flush=True)
        return
    with ExitStack() as stack:
        served = {server: stack.enter_context(ours(databases.url(), server=server)) for server in SERVERS}
        served[FASTAPI] = stack.enter_context(fastapi(_prepared("fastapi")))
        served[DRF] = stack.enter_context(drf(_prepared("drf")))
        runs = [
            lambda seconds, at=server: http(at, connections=8, seconds=seconds) for server in served.values()
        ]
        measured = dict(zip(served, in_turn(size, *runs), strict=True))
    for name, answered in measured.items():
        yield rate(name, answered, rival=name in BOUNDS)
        yield least(f"processor: {name}", "us", [each.server_cpu_us for each in answered])
    for rival, (must, aim) in BOUNDS.items():
        for server in SERVERS:
            title = f"of {rival}: {server}"
            yield times(title, measured[server], measured[rival], must=must, aim=aim)


def _prepared(rival: str) -> str:
    """Return the URL of a database in which the rival has created its tables and users."""
    databases.make_empty(f"rival_{rival}")
    database = databases.url(f"rival_{rival}", role="auth_owner")
    subprocess.run(
        [rival_installs.python(), RIVALS / f"{rival}_orm.py"],
        env={**os.environ, "DATABASE_URL": database, "BENCH_USERS": str(USERS)},
        check=True,
    )
    return database


ENTRIES = {"singly": "one by one", "in_bulk": "1,000 in a transaction"}


def entries(size: Size) -> Iterator[Figure]:
    """Ledger entries in process, on one connection, compared with django-hordak's: one by one, and 1,000 at once."""
    try:
        command = [str(rival_installs.python()), str(RIVALS / "hordak_entries.py")]
    except Unavailable as reason:
        print(f"django-hordak is left out: {reason}", flush=True)
        return
    databases.make_empty("rival_hordak")
    theirs = {**os.environ, "DATABASE_URL": databases.url("rival_hordak", role="auth_owner")}
    subprocess.run([*command, "prepare"], env=theirs, check=True)
    ours = {**os.environ, "DATABASE_URL": databases.url(), "LISTENER": "internal"}
    own_command = [sys.executable, str(Path(__file__).with_name("in_process.py")), "entries"]
    rounds = [
        (_rates([*own_command, str(size.seconds)], ours), _rates([*command, str(size.seconds)], theirs))
        for _ in range(size.rounds)
    ]
    for key, name in ENTRIES.items():
        own, hordak = [[each[side][key] for each in rounds] for side in (0, 1)]
        yield Figure(name=f"ledger, {name}", unit="/s", samples=own)
        yield Figure(name=f"django-hordak, {name}", unit="/s", samples=hordak, rival=True)
        ratios = [one / two for one, two in zip(own, hordak, strict=True)]
        yield Figure(name=f"of django-hordak: {name}", unit="x", samples=ratios)


def _rates(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found

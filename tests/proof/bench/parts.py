"""What is measured under load. In each part, what is compared runs in turn, round by round, on one cluster."""

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import databases
from figures import Figure
from listeners import RIVALS, drf, fastapi, install_rivals, ours, rival_python
from load import USERS, Answered, http, pgbench

WARM_UP = 2  # seconds: caches, connections, prepared statements
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Size:
    rounds: int
    seconds: int  # of each run in a round
    rows: int  # of the large database
    tries: int  # of what is measured in process, of which the least counts


Run = Callable[[int], Answered]


def use(size: Size) -> Iterator[Figure]:
    """`use` at 8 and 32 connections, beside pgbench with the same statement."""
    database = databases.url()
    with ours(database) as server:
        eight, direct, many, direct_many = in_turn(
            size,
            lambda seconds: http(server, connections=8, seconds=seconds),
            lambda seconds: pgbench(database, connections=8, seconds=seconds),
            lambda seconds: http(server, connections=32, seconds=seconds),
            lambda seconds: pgbench(database, connections=32, seconds=seconds),
        )
    yield rate("use, 8 connections", eight)
    yield rate("  pgbench, 8 connections", direct)
    yield share("  use against pgbench, 8", eight, direct, must=15, aim=22)
    yield Figure(name="  p50 at 8", unit="ms", samples=[each.p50_ms for each in eight])
    yield least("  p99 at 8", "ms", [each.p99_ms for each in eight], must=30, aim=15)
    spent = [each.server_cpu_us for each in eight]
    yield least("  server CPU per use at 8", "us", spent, must=900, aim=500)
    yield rate("use, 32 connections", many)
    yield rate("  pgbench, 32 connections", direct_many)
    yield share("  use against pgbench, 32", many, direct_many)
    yield Figure(name="  p50 at 32", unit="ms", samples=[each.p50_ms for each in many])
    yield least("  p99 at 32", "ms", [each.p99_ms for each in many], must=50, aim=30)
    yield Figure(name="  server CPU per use at 32", unit="us", samples=[each.server_cpu_us for each in many])


def rivals(size: Size) -> Iterator[Figure]:
    """`use` at 8 connections, beside the two services in rivals/."""
    install_rivals()
    with ExitStack() as servers:
        served = [
            servers.enter_context(ours(databases.url())),
            servers.enter_context(fastapi(_prepared("fastapi"))),
            servers.enter_context(drf(_prepared("drf"))),
        ]
        own, fast, slow = in_turn(
            size, *[lambda seconds, at=server: http(at, connections=8, seconds=seconds) for server in served]
        )
    yield rate("use, beside the rivals", own)
    yield rate("  FastAPI + SQLAlchemy-async", fast)
    yield rate("  Django + DRF, ORM row lock", slow)
    yield times("  use against FastAPI", own, fast, must=2.5, aim=4)
    yield times("  use against DRF", own, slow, must=4, aim=6)
    for name, answered in (("ours", own), ("FastAPI", fast), ("DRF", slow)):
        spent = [each.server_cpu_us for each in answered]
        yield Figure(name=f"  server CPU per use, {name}", unit="us", samples=spent)


def _prepared(rival: str) -> str:
    """The URL of a database in which the rival has made its tables and its users."""
    databases.make_empty(f"rival_{rival}")
    database = databases.url(f"rival_{rival}", role="auth_owner")
    subprocess.run(
        [rival_python(), RIVALS / f"{rival}_orm.py"],
        env={**os.environ, "DATABASE_URL": database, "BENCH_USERS": str(USERS)},
        check=True,
    )
    return database


def hot(size: Size) -> Iterator[Figure]:
    """`use` of one user at 8 connections, beside pgbench on that one row."""
    database = databases.url()
    with ours(database) as server:
        answered, direct = in_turn(
            size,
            lambda seconds: http(server, connections=8, seconds=seconds, users=1),
            lambda seconds: pgbench(database, connections=8, seconds=seconds, users=1),
        )
    yield rate("use of one user, 8 connections", answered)
    yield rate("  pgbench on that row", direct)
    yield share("  against pgbench", answered, direct, must=50, aim=75)
    yield Figure(name="  p99 of one user", unit="ms", samples=[each.p99_ms for each in answered])


def batch(size: Size) -> Iterator[Figure]:
    """Requests of 1,000 uses from 2 connections, over 1,000 users, 50 and one, shared or not, beside pgbench."""
    database = databases.url()
    shared = [(f"over {USERS:,} users", USERS, 1, 2.5), ("over 50 users", 50, 1, 3), ("of one user", 1, 1, 3)]
    apart = [("500 users each", USERS // 2, 2, 2.5), ("25 users each", 25, 2, 3), ("one user each", 1, 2, 3)]
    spreads = [*shared, *apart]  # name, users of each thread of wrk, threads, the ratio that must be
    with ours(database) as server:
        runs: list[Run] = [
            lambda seconds, users=users, threads=threads: http(  # type: ignore[misc]
                server, connections=2, seconds=seconds, users=users, script="batch.lua", threads=threads
            )
            for _, users, threads, _ in spreads
        ]
        direct, *answered = in_turn(
            size, lambda seconds: pgbench(database, connections=8, seconds=seconds), *runs
        )
    yield rate("pgbench, single uses", direct)
    for (name, _, _, must), results in zip(spreads, answered, strict=True):
        yield Figure(name=f"batch {name}", unit="/s", samples=[each.per_second * BATCH for each in results])
        yield times(f"  against pgbench, {name}", results, direct, factor=BATCH, must=must, aim=4)
        spent = [each.server_cpu_us / BATCH for each in results]
        yield Figure(name=f"  server CPU per use, {name}", unit="us", samples=spent)


def in_turn(size: Size, *runs: Run) -> list[list[Answered]]:
    """All rounds of the first run, of the second, ...: each ran once in each round, after a while to warm up."""
    for run in runs:
        run(WARM_UP)
    rounds = [[run(size.seconds) for run in runs] for _ in range(size.rounds)]
    return [list(results) for results in zip(*rounds, strict=True)]


def rate(name: str, answered: Sequence[Answered]) -> Figure:
    return Figure(name=name, unit="/s", samples=[each.per_second for each in answered])


def share(
    name: str,
    ours: Sequence[Answered],
    other: Sequence[Answered],
    *,
    must: float | None = None,
    aim: float | None = None,
) -> Figure:
    shares = [100 * one.per_second / two.per_second for one, two in zip(ours, other, strict=True)]
    return Figure(name=name, unit="%", samples=shares, must=must, aim=aim)


def times(
    name: str,
    ours: Sequence[Answered],
    other: Sequence[Answered],
    *,
    must: float,
    aim: float,
    factor: float = 1,
) -> Figure:
    ratios = [factor * one.per_second / two.per_second for one, two in zip(ours, other, strict=True)]
    return Figure(name=name, unit="x", samples=ratios, must=must, aim=aim)


def least(name: str, unit: str, samples: Sequence[float], *, must: float, aim: float) -> Figure:
    return Figure(name=name, unit=unit, samples=samples, must=must, aim=aim, less_is_better=True)

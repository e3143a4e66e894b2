"""Spends under load: one by one, for a single user, and 1,000 in a request, each beside pgbench with the same
statement.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import databases
from figures import Figure
from listeners import SERVERS, Server, ours
from load import USERS, http
from runs import Beside, Pair, Size, answers, direct, in_turn_beside, least, rate, share, times

BATCH = 1000
# Of each server: must and aim.
SHARES = {"granian": (36, 44), "gunicorn": (27, 32)}
PROCESSOR = {"granian": (750, 500), "gunicorn": (950, 700)}
LATENCY = {8: (30, 18), 32: (55, 40)}
CONNECTIONS = (8, 32)


def use(size: Size) -> Iterator[Figure]:
    """`use` at 8 and 32 connections on both servers, and on granian with one thread a worker, which waits least."""
    database = databases.url()
    with ExitStack() as stack:
        served = {server: stack.enter_context(ours(database, server=server)) for server in SERVERS}
        served["granian, 1 thread"] = stack.enter_context(ours(database, server="granian", threads=1))
        wanted = [(name, connections) for connections in CONNECTIONS for name in served]
        found = in_turn_beside(
            size, *[spends(served[name], database, connections) for name, connections in wanted]
        )
    measured = dict(zip(wanted, found, strict=True))
    for connections in CONNECTIONS:
        beside = [pair for name in served for pair in measured[name, connections]]
        yield rate(f"pgbench, {connections} connections", direct(beside), rival=True)
        for name in served:
            yield from _of_server(name, connections, measured[name, connections])


def spends(server: Server, database: str, connections: int, *, users: int = USERS) -> Beside:
    return Beside(
        run=lambda seconds: http(server, connections=connections, seconds=seconds, users=users),
        database=database,
        connections=connections,
        users=users,
    )


def _of_server(name: str, connections: int, pairs: Sequence[Pair]) -> Iterator[Figure]:
    must, aim = SHARES.get(name, (None, None))
    must_cpu, aim_cpu = PROCESSOR.get(name, (None, None)) if connections == CONNECTIONS[0] else (None, None)
    must_p99, aim_p99 = LATENCY[connections] if name.endswith("1 thread") else (None, None)
    at = f"{name}, {connections} connections"
    found = answers(pairs)
    yield rate(at, found)
    yield share(f"of pgbench: {at}", pairs, must=must, aim=aim)
    yield least(f"processor: {at}", "us", [each.server_cpu_us for each in found], must=must_cpu, aim=aim_cpu)
    yield least(f"p50: {at}", "ms", [each.p50_ms for each in found])
    yield least(f"p99: {at}", "ms", [each.p99_ms for each in found], must=must_p99, aim=aim_p99)


def hot(size: Size) -> Iterator[Figure]:
    """`use` by one user at 8 connections, compared with pgbench on that user's row."""
    database = databases.url()
    with ExitStack() as stack:
        served = [stack.enter_context(ours(database, server=server)) for server in SERVERS]
        found = in_turn_beside(size, *[spends(server, database, 8, users=1) for server in served])
    yield rate("pgbench on that row", direct([pair for pairs in found for pair in pairs]), rival=True)
    for server, pairs in zip(SERVERS, found, strict=True):
        yield rate(server, answers(pairs))
        yield share(f"of pgbench: {server}", pairs, must=68, aim=80)
        yield least(f"p99: {server}", "ms", [each.p99_ms for each in answers(pairs)])


# Over how many users each connection spends, whether both have the same, and how many times pgbench's rate must be.
SPREADS = {
    f"{USERS:,} users": (USERS, 1, 2.5),
    "50 users": (50, 1, 3),
    "one user": (1, 1, 3),
    "500 users each": (USERS // 2, 2, 2.5),
    "25 users each": (25, 2, 3),
    "one user each": (1, 2, 3),
}


def batch(size: Size) -> Iterator[Figure]:
    """Requests of 1,000 uses from 2 connections, with shared or separate users, compared with pgbench's single uses."""
    database = databases.url()
    with ExitStack() as stack:
        served = {server: stack.enter_context(ours(database, server=server)) for server in SERVERS}
        wanted = [(server, spread) for server in SERVERS for spread in SPREADS]
        wanted = [each for each in wanted if each[0] == "gunicorn" or not each[1].endswith("each")]
        found = in_turn_beside(
            size, *[batches(served[server], database, *SPREADS[spread][:2]) for server, spread in wanted]
        )
    yield rate("pgbench, single uses", direct([pair for pairs in found for pair in pairs]), rival=True)
    for (server, spread), pairs in zip(wanted, found, strict=True):
        at, must = f"{server}, {spread}", SPREADS[spread][2]
        yield rate(at, answers(pairs), factor=BATCH)
        yield times(f"of pgbench: {at}", answers(pairs), direct(pairs), factor=BATCH, must=must, aim=4)
        yield least(
            f"processor of a use: {at}", "us", [each.server_cpu_us / BATCH for each in answers(pairs)]
        )


def batches(server: Server, database: str, users: int, threads: int) -> Beside:
    """Return a run in which each of wrk's threads has a connection and its own users."""
    return Beside(
        run=lambda seconds: http(
            server, connections=2, seconds=seconds, users=users, script="batch.lua", threads=threads
        ),
        database=database,
        connections=8,
        users=USERS,
    )

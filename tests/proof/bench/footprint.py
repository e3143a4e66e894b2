"""Measures what spends cost PostgreSQL: processor time when some are refused, bytes on disk, bytes of WAL."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import databases
from databases import JOURNAL
from figures import Figure
from listeners import ours
from load import http, pgbench
from runs import Size, in_turn, least

CONNECTIONS = 8
SPENDS = 16_000  # of a round
FRESH = "auth_fresh"  # its database, whose indexes nothing but spends has filled


def refusals(size: Size) -> Iterator[Figure]:
    """PostgreSQL's processor time per call when one use in ten exceeds the balance, compared with none."""
    with ours(databases.url()) as server:
        none, some = in_turn(
            size,
            lambda seconds: http(server, connections=CONNECTIONS, seconds=seconds),
            lambda seconds: http(server, connections=CONNECTIONS, seconds=seconds, refused=10),
        )
    yield least("PostgreSQL per call, none refused", "us", [each.database_cpu_us for each in none])
    yield least("PostgreSQL per call, one in ten", "us", [each.database_cpu_us for each in some])
    shares = [100 * one.database_cpu_us / two.database_cpu_us for one, two in zip(some, none, strict=True)]
    yield least("one in ten against none", "%", shares, must=108, aim=103)


def storage(size: Size) -> Iterator[Figure]:
    """Bytes of the journal with its indexes, and of WAL, for each spend: the statement alone, with pgbench."""
    databases.copy_template(FRESH)
    with databases.connected(FRESH) as connection:
        connection.execute("CHECKPOINT")  # after one the first change of each page is written whole
        _spend(SPENDS // 4)
        states = [_state(connection), *[_after_spends(connection) for _ in range(size.rounds)]]
    first = states[0]
    # Indexes grow by leaps, when most of their pages are full and split: so all that came since the first counts.
    stored = [(state[0] - first[0]) / (number * SPENDS) for number, state in enumerate(states[1:], 1)]
    logged = [(after[1] - before[1]) / SPENDS for before, after in pairwise(states)]
    yield least("table and indexes per spend", "B", stored, must=470, aim=430)
    yield least("WAL per spend", "B", logged, must=1000, aim=900)


def _after_spends(connection: Any) -> tuple[int, int]:
    _spend(SPENDS)
    return _state(connection)


def _spend(count: int) -> None:
    pgbench(databases.url(FRESH), connections=CONNECTIONS, transactions=count // CONNECTIONS)


def _state(connection: Any) -> tuple[int, int]:
    """Return the bytes of the journal with its indexes, and of all WAL so far."""
    query = f"SELECT pg_total_relation_size('{JOURNAL}'), pg_current_wal_insert_lsn() - '0/0'"
    stored, logged = connection.execute(query).fetchone()
    return int(stored), int(logged)

"""Measures the effect of partitions on a long journal: how long a vacuum takes, and how fast rows are inserted."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import databases
from databases import JOURNAL, ROOT
from figures import Figure
from runs import Size, least

WHOLE, CUT = "auth_whole", "auth_cut"
PARTS = 8
SHAPES = {WHOLE: "whole", CUT: f"{PARTS} partitions"}
ROWS_OF_ONE = 1_000_000  # of each statement that fills
LONGEST_FILL = 120.0  # seconds for both: a slow machine gets fewer rows
HOLDERS = 1_000_000
INSERTED = 100_000
WORKERS = 3  # autovacuum_max_workers, as PostgreSQL has it

# As wide as the service's rows, of any holder in any order, each at a time of its own. Their hashes chain nothing.
FILL = f"""
INSERT INTO {JOURNAL} (id, holder_id, at, type, amount, balance, held, lots, service, key, digest, version, hash)
SELECT uuidv7(), ('00000000-0000-4000-9000-' || lpad(to_hex((random() * {HOLDERS})::int), 12, '0'))::uuid,
    '2026-01-01Z'::timestamptz + (%(after)s + n) * interval '1 millisecond', 'use', -1, 1000000 + n, 0,
    '[[1234567, -1]]'::jsonb, 'bench', gen_random_uuid()::text, decode(md5(n::text), 'hex'), 2, sha256(n::text::bytea)
FROM generate_series(1, %(rows)s) AS n
"""
PLACES = """
SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind = 'r' AND (c.oid = %(table)s::regclass
    OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = %(table)s::regclass)) ORDER BY 1
"""
BYTES = "SELECT sum(pg_total_relation_size(place::regclass)) FROM unnest(%s::text[]) AS place"
# What an erasure does to the rows of one holder.
ERASE = f"UPDATE {JOURNAL} SET description = NULL WHERE holder_id = (SELECT holder_id FROM {JOURNAL} LIMIT 1)"
EVERY_PAGE = "VACUUM (FREEZE, DISABLE_PAGE_SKIPPING, INDEX_CLEANUP ON, PARALLEL 0) {}"
WHAT_CHANGED = "VACUUM (INDEX_CLEANUP ON, PARALLEL 0) {}"


def partitions(size: Size) -> Iterator[Figure]:
    """A journal of up to 20,000,000 rows, whole and in 8 partitions: rows inserted, vacuums, bytes."""
    databases.make_template()
    for name in SHAPES:
        databases.copy_template(name)
    _cut()
    rows = _fill(4 * size.rows)
    rates = [[_inserted(name, after=rows) for name in SHAPES] for _ in range(size.rounds)]
    for shape, samples in zip(SHAPES.values(), zip(*rates, strict=True), strict=True):
        yield Figure(name=f"inserted beside {rows:,} rows, {shape}", unit="/s", samples=samples)
    for name, shape in SHAPES.items():
        yield from _vacuums(name, shape)
        databases.administer(f"DROP DATABASE {name} WITH (FORCE)")


def _cut() -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": databases.url(CUT),
        "DATABASE_MIGRATE_URL": databases.url(CUT, role="auth_owner"),
    }
    command = [sys.executable, "manage.py", "partition_ledger", str(PARTS), "--json"]
    subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True)


def _fill(rows: int) -> int:
    """Fill both alike, and return how many rows each has; indexes are created afterwards."""
    began, filled = time.monotonic(), 0
    with databases.connected(WHOLE) as whole, databases.connected(CUT) as cut:
        for each in (whole, cut):
            each.execute("SET maintenance_work_mem = '512MB'")
        with databases.without_indexes(whole), databases.without_indexes(cut):
            while filled < rows and time.monotonic() < began + LONGEST_FILL:
                for each in (whole, cut):
                    each.execute(FILL, {"rows": ROWS_OF_ONE, "after": filled})
                filled += ROWS_OF_ONE
        for each in (whole, cut):
            each.execute(f"VACUUM (FREEZE, ANALYZE) {JOURNAL}")
    return filled


def _inserted(name: str, *, after: int) -> float:
    """Return how many rows per second one statement inserts; they are rolled back."""
    values = {"rows": INSERTED, "after": after}
    with databases.connected(name) as connection, connection.transaction(force_rollback=True):
        return INSERTED / _seconds(lambda: connection.execute(FILL, values))


def _vacuums(name: str, shape: str) -> Iterator[Figure]:
    """Vacuum after an erasure, then every page as for a freeze: each piece separately, then as many at once as
    workers.
    """
    with databases.connected(name) as connection:
        places = [place for (place,) in connection.execute(PLACES, {"table": JOURNAL})]
        [(stored,)] = connection.execute(BYTES, [places])
    yield least(f"journal with indexes, {shape}", "GB", [float(stored) / 1e9])
    _run(name, f"VACUUM {JOURNAL}")  # what the rounds above have left
    _run(name, ERASE)
    erased = [_run(name, WHAT_CHANGED.format(place)) for place in places]
    yield least(f"vacuum after an erasure, {shape}", "s", [sum(erased)])
    pieces = [_run(name, EVERY_PAGE.format(place)) for place in places]
    yield least(f"vacuum of every page, {shape}: all", "s", [sum(pieces)])
    yield least(f"vacuum of every page, {shape}: the longest", "s", [max(pieces)])
    if len(places) > 1:
        yield least(f"vacuum of every page, {shape}: {WORKERS} workers", "s", [_side_by_side(name, places)])


def _side_by_side(name: str, places: list[str]) -> float:
    with ThreadPoolExecutor(WORKERS) as workers:
        return _seconds(lambda: [*workers.map(lambda one: _run(name, EVERY_PAGE.format(one)), places)])


def _run(name: str, statement: str) -> float:
    with databases.connected(name) as connection:
        connection.execute("SET maintenance_work_mem = '64MB'; SET session_replication_role = replica")
        return _seconds(lambda: connection.execute(statement))


def _seconds(run: Callable[[], object]) -> float:
    began = time.monotonic()
    run()
    return time.monotonic() - began

"""Partition the ledger, step by step, while it is being written to; or report what that would take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import transaction

from credits.ledger import shards
from credits.partitions import checking, copying, shape, switching
from credits.partitions.checking import WrongCopy
from credits.partitions.copying import Work
from credits.statements import row, run, value

LOCK = 0x63726564  # for pg_advisory_lock: one run at a time
SAMPLE = 20_000
SIZE = """
SELECT greatest(reltuples, 0)::bigint, pg_total_relation_size(oid) FROM pg_class WHERE oid = %s::regclass
"""


class CannotPartition(Exception):
    """The tables are partitioned in another way, or something is in the way: the text says what."""


@dataclass(frozen=True, slots=True)
class Step:
    """A completed step, which is not repeated unless it is a check: what was done to which table, and how much."""

    doing: str
    table: str
    many: int = 1
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Need:
    """The work of partitioning a table: rows and bytes to copy, and the time estimated from a sample."""

    table: str
    rows: int
    bytes: int
    seconds: float


@contextmanager
def one_at_a_time() -> Iterator[None]:
    if not value("SELECT pg_try_advisory_lock(%s)", [LOCK]):
        raise CannotPartition("Another process is partitioning the ledger at the moment.")
    try:
        yield
    finally:
        run("SELECT pg_advisory_unlock(%s)", [LOCK])


def needs(count: int) -> list[Need]:
    """Return what is left to do for each table."""
    return [_need(source) for source in _to_do(count)]


def rows_left(count: int) -> int:
    return sum(_left(source)[0] for source in _to_do(count))


def _need(source: str) -> Need:
    left, size = _left(source)
    return Need(source, left, size, round(left * _seconds_a_row(source), 1))


def _left(source: str) -> tuple[int, int]:
    """Return the number of rows not copied yet and the size of all in bytes, according to the table's statistics."""
    rows, size = row(SIZE, [source])
    rows = rows or value(f"SELECT count(*) FROM {source}")  # noqa: S608  a name of ours
    work = copying.found(source)
    return max(0, rows - work.copied) if work else rows, size


def _seconds_a_row(source: str) -> float:
    """Return the time per row, measured by copying a sample into a table that is rolled back."""
    sample = f"{source}_sample"
    with transaction.atomic():
        began = time.monotonic()
        run(f"CREATE TABLE {sample} (LIKE {source} INCLUDING ALL)")
        made = time.monotonic()
        copied = run(f"INSERT INTO {sample} SELECT * FROM {source} ORDER BY id DESC LIMIT {SAMPLE}")  # noqa: S608
        took = time.monotonic() - made
        transaction.set_rollback(True)
    return max(took, made - began) / max(copied, 1)


def _to_do(count: int) -> list[str]:
    """Return the tables that are not partitioned yet, or not completely. Raises CannotPartition."""
    if shards.is_distributed():
        raise CannotPartition("The ledger is distributed over several servers.")
    sources = []
    for source in shape.TABLES:
        if shape.owner(source) != value("SELECT quote_ident(current_user)"):
            raise CannotPartition(
                f"{source} belongs to {shape.owner(source)}: DATABASE_MIGRATE_URL must name that role."
            )
        work, parts = copying.found(source), len(shape.partitions(source))
        begun = work.count if work else parts
        if begun and begun != count:
            raise CannotPartition(
                f"{source} has {begun} partitions."
                if parts
                else f"The unfinished run has {begun} partitions: --abandon undoes it."
            )
        if work and work.step != "drop" and shape.columns(source) != shape.columns(work.beside):
            raise CannotPartition(
                f"The columns of {source} have changed since the run started: --abandon undoes it."
            )
        if work or not parts:
            sources.append(source)
        if not work and (leaning := shape.leaning_on(source)):
            raise CannotPartition(
                f"{', '.join(leaning)} would stay with the old {source}: drop it, and create it again afterwards."
            )
    return sources


def partition(count: int) -> Iterator[Step]:
    """Do what is left to do, and yield each step once it is committed. Raises CannotPartition and WrongCopy."""
    with one_at_a_time():
        sources = _to_do(count)
        for source in sources:
            if copying.found(source) is None:
                copying.begin(source, count)
                yield Step("begun", source)
        yield from _copied(sources)
        yield from _checked([work for work in _works(sources) if work.step == "switch"])
        for work in _works(sources):
            if work.step == "switch":
                yield Step("switched", work.source, seconds=switching.switch(work))
        for work in _works(sources):
            switching.drop(work)
            yield Step("dropped", work.source)


def _works(sources: list[str]) -> list[Work]:
    return [work for source in sources if (work := copying.found(source))]


def _copied(sources: list[str]) -> Iterator[Step]:
    for work in _works(sources):
        if work.step == "copy":
            for many in copying.copy(work):
                yield Step("copied", work.source, many)
    for work in _works(sources):
        if work.step == "index":
            for _ in copying.make_indexes(work):
                yield Step("indexed", work.source)


def _checked(works: list[Work]) -> Iterator[Step]:
    for work in works:
        switching.without_pause(work)
        yield Step("caught up", work.source)
        for part in checking.compare(work):
            if part.different:
                raise WrongCopy(f"{part.different} rows of {work.source} differ in its copy.")
            yield Step("compared", work.source, part.rows)
    if works:
        yield from _verified(works)


def _verified(works: list[Work]) -> Iterator[Step]:
    for many, findings in checking.verify_copies(works):
        if findings:
            raise WrongCopy("The ledger does not add up: run `manage.py verify_ledger`.", findings)
        yield Step("verified", "", many)


def abandon() -> list[str]:
    """Undo what was made but not switched to, and return the tables concerned."""
    with one_at_a_time():
        works = [work for work in _works(list(shape.TABLES)) if work.step != "drop"]
        for work in works:
            copying.abandon(work.source)
        return [work.source for work in works]

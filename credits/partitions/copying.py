"""Copy a table of the ledger into partitions beside it, while the service writes to it.

A trigger notes the key of every row written from now on. Rows from before are copied in chunks, in id order; each chunk
is one transaction with the record of its progress. Then the indexes are made, and noted rows are copied again for as
long as the table lives. If the process is killed, the next run continues where it stopped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from credits.partitions import shape
from credits.partitions.patience import patiently
from credits.statements import row, rows, run, value

CHUNK = 10_000
STATE = "credits_partitioning"
TRIGGER = "partition_changes"

MAKE_STATE = f"""
CREATE TABLE IF NOT EXISTS {STATE} (
    source text PRIMARY KEY, partitions int NOT NULL, until text NOT NULL, after_id text NOT NULL,
    after_holder uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000', copied bigint NOT NULL DEFAULT 0,
    step text NOT NULL DEFAULT 'copy' CHECK (step IN ('copy', 'index', 'switch', 'drop')))
"""
# Runs as the owner: the serving role may write only to tables that `migrate` granted it.
NOTE = """
CREATE FUNCTION {function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO {changes} (holder_id, id) VALUES (NEW.holder_id, NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER {trigger} AFTER INSERT OR UPDATE ON {source} FOR EACH ROW EXECUTE FUNCTION {function}();
"""
LAST = "SELECT coalesce((SELECT id::text FROM {source} ORDER BY {source}.id DESC LIMIT 1), {least})"
BOUND = """
SELECT id, holder_id FROM {source} WHERE (id, holder_id) > (%s, %s) AND id <= %s
ORDER BY id, holder_id OFFSET %s LIMIT 1
"""
COPY = """
INSERT INTO {beside} ({columns}) SELECT {columns} FROM {source}
WHERE (id, holder_id) > (%s, %s) AND (id, holder_id) <= (%s, %s) ORDER BY id, holder_id
"""
# One statement, so one snapshot: a note is deleted together with copying its row, and a later note stays.
CATCH_UP = """
WITH noted AS (
    DELETE FROM {changes} WHERE n IN (SELECT n FROM {changes} {where} ORDER BY n LIMIT %s) RETURNING holder_id, id
), written AS (
    INSERT INTO {beside} AS there ({columns})
    SELECT {columns} FROM (SELECT DISTINCT holder_id, id FROM noted) AS keys JOIN {source} USING (holder_id, id)
    ON CONFLICT (holder_id, id) DO UPDATE SET ({columns}) = ROW ({excluded})
    WHERE ({there}) IS DISTINCT FROM ({excluded})
)
SELECT holder_id, id FROM noted
"""


@dataclass(frozen=True, slots=True)
class Work:
    """A table that is being partitioned, and the progress so far."""

    source: str
    count: int
    until: Any
    after: tuple[Any, UUID]
    copied: int
    step: str

    @property
    def beside(self) -> str:
        return f"{self.source}_new"

    @property
    def before(self) -> str:
        return f"{self.source}_before"

    @property
    def changes(self) -> str:
        return f"{self.source}_changes"

    @property
    def key(self) -> str:
        """Return the SQL type of its ids."""
        return "bigint" if self.source == shape.LOTS else "uuid"

    @property
    def function(self) -> str:
        return f"{self.source}_note_change"

    def sql(self, statement: str, **more: str) -> str:
        columns = shape.columns(self.source)
        return statement.format(
            source=self.source, beside=self.beside, changes=self.changes, function=self.function, trigger=TRIGGER,
            columns=", ".join(columns), excluded=", ".join(f"excluded.{one}" for one in columns),
            there=", ".join(f"there.{one}" for one in columns), **more,
        )  # fmt: skip


def found(source: str) -> Work | None:
    """Return the work begun on a table, or None."""
    if not shape.is_there(STATE):
        return None
    lowest = least(source)
    state = rows(
        "SELECT source, partitions, until, after_id, after_holder, copied, step FROM credits_partitioning "
        "WHERE source = %s",
        [source],
    )
    for name, count, until, after_id, after_holder, copied, step in state:
        return Work(name, count, type(lowest)(until), (type(lowest)(after_id), after_holder), copied, step)
    return None


def least(source: str) -> UUID | int:
    return 0 if source == shape.LOTS else UUID(int=0)


def begin(source: str, count: int) -> None:
    """Create everything and start noting writes. Waits for writers that are under way."""
    work = Work(source, count, None, (None, UUID(int=0)), 0, "copy")
    patiently(lambda: _begin(work))


@transaction.atomic
def _begin(work: Work) -> None:
    run("SET LOCAL lock_timeout = '500ms'")
    run(MAKE_STATE)
    shape.make_beside(work.source, work.beside, work.count)
    run(work.sql(
        "CREATE TABLE {changes} (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, holder_id uuid, id {type})",
        type=work.key,
    ))  # fmt: skip
    run(work.sql(NOTE))
    # The writers that were under way have finished and all later writes are noted, so the copy ends here.
    lowest = str(least(work.source))
    until = value(work.sql(LAST, least="%s"), [lowest])
    run(
        f"INSERT INTO {STATE} (source, partitions, until, after_id) VALUES (%s, %s, %s, %s)",  # noqa: S608
        [work.source, work.count, until, lowest],
    )


def mark(work: Work, step: str) -> None:
    run(f"UPDATE {STATE} SET step = %s WHERE source = %s", [step, work.source])  # noqa: S608


def bounds(work: Work, after: tuple[Any, UUID], *, at_a_time: int, until: Any) -> Iterator[tuple[Any, UUID]]:
    """Yield the keys at which chunks of `at_a_time` rows end, the last at `until`."""
    while ends := rows(work.sql(BOUND), [*after, until, at_a_time - 1]):
        yield (after := ends[0])
    yield until, UUID(int=2**128 - 1)


def copy(work: Work) -> Iterator[int]:
    """Copy the rows that existed at the start, and yield the number in each chunk once it is committed."""
    after = work.after
    for bound in bounds(work, after, at_a_time=CHUNK, until=work.until):
        yield _copy_chunk(work, after, bound)
        after = bound
    mark(work, "index")


@transaction.atomic
def _copy_chunk(work: Work, after: tuple[Any, UUID], bound: tuple[Any, UUID]) -> int:
    copied = run(work.sql(COPY), [*after, *bound])
    run(
        f"UPDATE {STATE} SET after_id = %s, after_holder = %s, copied = copied + %s WHERE source = %s",  # noqa: S608
        [str(bound[0]), bound[1], copied, work.source],
    )
    return copied


def make_indexes(work: Work) -> Iterator[str]:
    """Make the missing indexes and the triggers, and vacuum. Yield the name of each index and partition when done."""
    for name, statement in shape.index_statements(work.source, work.beside):
        if not shape.is_there(name):
            run(statement)
            yield name
    _make_triggers(work)
    for partition in shape.partitions(work.beside):
        run(f"VACUUM (FREEZE, ANALYZE) {partition}")
        yield partition
    run(f"ANALYZE {work.beside}")
    mark(work, "switch")


@transaction.atomic
def _make_triggers(work: Work) -> None:
    if not row("SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = %s::regclass)", [work.beside])[0]:
        shape.make_triggers(work.source, work.beside, but=TRIGGER)


@transaction.atomic
def catch_up(work: Work, *, most: int = CHUNK, holder_id: UUID | None = None) -> list[tuple[UUID, Any]]:
    """Copy noted rows again, for all holders or for one. Return their keys."""
    few_of_many()
    where, values = ("WHERE holder_id = %s", [holder_id]) if holder_id else ("", [])
    return rows(work.sql(CATCH_UP, where=where), [*values, most])


def few_of_many() -> None:
    """Make the planner look up rows by key in this transaction, however small it believes the tables to be."""
    for kind in ("seqscan", "hashjoin", "mergejoin"):
        run(f"SET LOCAL enable_{kind} = off")


def abandon(source: str) -> None:
    """Undo everything made beside a table that has not been switched."""
    work = found(source)
    if work is not None:
        patiently(lambda: _abandon(work))


@transaction.atomic
def _abandon(work: Work) -> None:
    run("SET LOCAL lock_timeout = '500ms'")
    run(f"DROP TRIGGER {TRIGGER} ON {work.source}")
    run(f"DROP FUNCTION {work.function}()")
    run(f"DROP TABLE {work.changes}, {work.beside}")
    run(f"ALTER TABLE {work.source} RESET (autovacuum_enabled)")
    forget(work)


def forget(work: Work) -> None:
    """Delete the work's state, and drop the table of states with the last one."""
    run(f"DELETE FROM {STATE} WHERE source = %s", [work.source])  # noqa: S608
    if not value(f"SELECT EXISTS (SELECT FROM {STATE})"):  # noqa: S608
        run(f"DROP TABLE {STATE}")

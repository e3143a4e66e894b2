"""Distribute the ledger over the servers of a PostgreSQL with the Citus extension: each holder's rows on one server.

The three tables are distributed by holder and colocated, so every query about one holder goes to one server. The
function of the usual use runs on the holder's server; the other functions are on every server, for triggers,
constraints and indexes. Everything else stays where it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction

from credits.ledger import shards
from credits.statements import column, rows, run, value

TABLES = (shards.TABLE, "credits_creditlot", "credits_credittransaction")
SHARDS = 32
USE = "SELECT to_regproc('credits_use') IS NOT NULL"
SERVERS = "SELECT count(*) FROM pg_dist_node WHERE isactive AND shouldhaveshards AND noderole = 'primary'"
SIZE = "SELECT pg_total_relation_size(%s::regclass)"
STANDING = """
SELECT logicalrelid::text FROM pg_dist_partition WHERE logicalrelid = ANY(%s::regclass[]) AND NOT (
    partmethod = 'h' AND partkey IS NOT NULL AND column_to_column_name(logicalrelid, partkey) = 'holder_id'
    AND colocationid = (SELECT colocationid FROM pg_dist_partition WHERE logicalrelid = %s::regclass))
"""
COUNT_DISTRIBUTED = "SELECT count(*) FROM pg_dist_partition WHERE logicalrelid = ANY(%s::regclass[])"
FOREIGN_KEYS = """
SELECT conrelid::regclass::text, conname FROM pg_constraint
WHERE contype = 'f' AND (conrelid = ANY(%(tables)s::regclass[]) OR confrelid = ANY(%(tables)s::regclass[]))
"""
# A server can enforce uniqueness only if it has all rows that might collide.
UNIQUE = """
SELECT indrelid::regclass::text, indexrelid::regclass::text FROM pg_index
WHERE indrelid = ANY(%s::regclass[]) AND indisunique AND NOT EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = indrelid AND attname = 'holder_id' AND attnum = ANY(indkey))
"""
PARTITIONED = "SELECT oid::regclass::text FROM pg_class WHERE oid = ANY(%s::regclass[]) AND relkind = 'p'"
REFERENCE = "SELECT logicalrelid::text FROM pg_dist_partition WHERE partmethod = 'n' AND repmodel = 't'"
OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND usename = %s AND pid <> pg_backend_pid() AND usename <> current_user
"""

# Citus refuses triggers unless told that they do not reach beyond their row's server; none of these does.
BEGIN = """
SET LOCAL citus.enable_unsafe_triggers = on;
SET LOCAL citus.multi_shard_modify_mode = 'sequential';
SET LOCAL statement_timeout = 0
"""
LOCK = "LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE"
CUT = """
SELECT create_distributed_table(%s, 'holder_id', colocate_with := %s, shard_count := CASE WHEN %s THEN %s END)
"""
FUNCTIONS = """
SELECT create_distributed_function(oid::regprocedure) FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND starts_with(proname, 'credits_') AND prokind = 'f'
    AND proname NOT IN ('credits_use', 'credits_erase_texts')
"""
# Run on the holder's server: a use if it is alone, an erasure also in the middle of its transaction. There it runs as
# the owner, which is refused from here alongside writes of the serving role.
DELEGATE = """
SELECT create_distributed_function('credits_use'::regproc::regprocedure, 'holder_id', colocate_with := %(table)s),
    create_distributed_function('credits_erase_texts'::regproc::regprocedure, 'erased_user', colocate_with := %(table)s,
        force_delegation := true)
"""
TRIGGERS = """
SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND tgfoid = 'credits_refuse'::regproc AND tgtype & 32 > 0
"""
EMPTY = "SELECT truncate_local_data_after_distributing_table(%s::regclass)"


class CannotDistribute(Exception):
    """The ledger cannot be distributed; `obstacles` says why, in a sentence each."""

    def __init__(self, obstacles: list[str]) -> None:
        self.obstacles = obstacles
        super().__init__(" ".join(obstacles))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the ledger and its size."""

    table: str
    rows: int
    bytes: int


def is_done() -> bool:
    """Return whether all three tables are distributed by holder and colocated."""
    return (
        value(shards.EXTENSION) and value(COUNT_DISTRIBUTED, [[*TABLES]]) == len(TABLES) and not _standing()
    )


def tables() -> list[Table]:
    return [Table(name, value(f"SELECT count(*) FROM {name}"), value(SIZE, [name])) for name in TABLES]  # noqa: S608


def servers() -> int:
    """Return how many servers take shards."""
    return int(value(SERVERS))


def obstacles(*, serving: str) -> list[str]:
    """Return the obstacles, in a sentence each; `serving` is the role of the service, which must be stopped."""
    if not value(shards.EXTENSION):
        return ["The Citus extension is not installed in this database."]
    return [*of_tables(), *_of_servers(), *_of_sessions(serving)]


def of_tables() -> Iterator[str]:
    """Yield the obstacles that lie in the tables themselves."""
    if not value(USE):
        yield "The database is not up to date: run `manage.py migrate` first."
    for table, name in rows(FOREIGN_KEYS, {"tables": [*TABLES]}):
        yield f"A foreign key is in the way: {name} of {table}."
    for table, name in rows(UNIQUE, [[*TABLES]]):
        yield f"A unique index of {table} lacks holder_id: {name}."
    for table in column(PARTITIONED, [[*TABLES]]):
        yield f"{table} is partitioned, and a partitioned ledger cannot be distributed."


def _of_servers() -> Iterator[str]:
    if not servers():
        yield "No server accepts shards: add one with citus_add_node."
    for table in _standing():
        yield f"{table} is already distributed, but not by holder_id together with {shards.TABLE}."
    for table in column(REFERENCE):
        yield f"{table} is already a reference table: the ledger must be distributed first."


def _of_sessions(serving: str) -> Iterator[str]:
    if sessions := value(OTHERS, [serving]):
        yield f"{sessions} sessions of {serving} are open: stop the service."


def distribute(*, count: int = SHARDS) -> list[Table]:
    """Distribute the tables over that many shards, in one transaction, and return what was moved.

    Raises CannotDistribute if rows are missing afterwards; then nothing has changed.
    """
    with transaction.atomic():
        run(BEGIN)
        run(LOCK.format(", ".join(TABLES)))
        before = tables()
        for name in TABLES:
            first = name == shards.TABLE
            run(CUT, [name, "none" if first else shards.TABLE, first, count])
        run(FUNCTIONS)
        run(DELEGATE, {"table": shards.TABLE})
        missing = [old.table for old, new in zip(before, tables(), strict=True) if old.rows != new.rows]
        if missing:
            raise CannotDistribute([f"Rows of {table} are missing after the move." for table in missing])
        for name in TABLES:
            _empty_here(name)
    shards.is_distributed.cache_clear()
    return before


def _empty_here(table: str) -> None:
    """Drop the rows left behind on this server, where nothing looks for them, not even an erasure."""
    guards = column(TRIGGERS, [table])
    for name in guards:
        run(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
    run(EMPTY, [table])
    for name in guards:
        run(f"ALTER TABLE {table} ENABLE TRIGGER {name}")


def _standing() -> list[str]:
    return column(STANDING, [[*TABLES], shards.TABLE])

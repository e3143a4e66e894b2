"""Read from the catalogue what a table of the ledger consists of, and rebuild it in another shape.

A table of the ledger is whole, or is split into hash partitions by holder: then the parent has the columns,
constraints, indexes, triggers and privileges, and each partition has the storage parameters. Only the owner may do
anything with a partition by its own name.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db import transaction

from credits.models import CreditLot, CreditTransaction
from credits.statements import column, rows, run, value

LOTS, JOURNAL = CreditLot._meta.db_table, CreditTransaction._meta.db_table  # noqa: SLF001 - Django's public name
TABLES = (LOTS, JOURNAL)
# Ids skipped when a table is exchanged: a session may still write ids that it took from the old sequence.
GAP = 100_000

PARTITIONS = """
SELECT c.oid::regclass::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass(%s) AND c.relispartition ORDER BY substring(c.relname FROM '[0-9]+$')::int
"""
COLUMNS = """
SELECT attname::text FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
STORAGE = """
SELECT option FROM pg_class, unnest(reloptions) AS option
WHERE oid = %s::regclass AND option NOT LIKE 'autovacuum_enabled%%'
"""
INDEXES = """
SELECT c.relname::text, pg_get_indexdef(c.oid), pg_get_constraintdef(n.oid), array_to_string(c.reloptions, ', ')
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
LEFT JOIN pg_constraint n ON n.conindid = c.oid AND n.conrelid = i.indrelid AND n.contype IN ('p', 'u')
WHERE i.indrelid = %s::regclass AND i.indisvalid ORDER BY c.relname
"""
TRIGGERS = """
SELECT pg_get_triggerdef(oid), tgtype & 1 = 1, tgname = %s FROM pg_trigger
WHERE tgrelid = %s::regclass AND NOT tgisinternal ORDER BY tgname
"""
PRIVILEGES = """
SELECT privilege_type, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
FROM pg_class, aclexplode(relacl) WHERE oid = to_regclass(%s) AND grantee <> relowner
"""
LEANING = """
SELECT DISTINCT r.ev_class::regclass::text FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = %(table)s::regclass AND r.ev_class <> d.refobjid
UNION SELECT conrelid::regclass::text FROM pg_constraint
WHERE contype = 'f' AND confrelid = %(table)s::regclass AND conrelid <> confrelid
UNION SELECT 'publication ' || pubname FROM pg_publication_rel JOIN pg_publication p ON p.oid = prpubid
WHERE prrelid = %(table)s::regclass
"""
USE = """
SELECT oid::regprocedure::text FROM pg_proc
WHERE proname = 'credits_use' AND pronamespace = 'public'::regnamespace
"""
SEQUENCE = "SELECT pg_get_serial_sequence(%s, 'id')"


@dataclass(frozen=True, slots=True)
class Index:
    """An index, or a constraint backed by one, that can be rebuilt on another table under another name."""

    name: str
    definition: str
    constraint: str | None
    options: str | None

    def statement(self, table: str, name: str) -> str:
        if self.constraint:
            storage = f" WITH ({self.options})" if self.options else ""
            return f"ALTER TABLE {table} ADD CONSTRAINT {name} {self.constraint}{storage}"
        return re.sub(
            r"^(CREATE (?:UNIQUE )?INDEX) \S+ ON (?:ONLY )?\S+", rf"\1 {name} ON {table}", self.definition
        )


def partitions(table: str) -> list[str]:
    """Return a table's partitions; an empty list if it is not partitioned."""
    return column(PARTITIONS, [table])


def owner(table: str) -> str:
    return str(
        value("SELECT quote_ident(pg_get_userbyid(relowner)) FROM pg_class WHERE oid = %s::regclass", [table])
    )


def is_there(name: str) -> bool:
    return bool(value("SELECT to_regclass(%s) IS NOT NULL", [name]))


def columns(table: str) -> list[str]:
    return column(COLUMNS, [table])


def indexes(table: str) -> list[Index]:
    return [Index(*found) for found in rows(INDEXES, [table])]


def leaning_on(table: str) -> list[str]:
    """Return what refers to the table itself, and would stay with the old one: views, foreign keys, publications."""
    return column(LEANING.replace("%(table)s", "%s"), [table] * 3)


def make_beside(table: str, beside: str, count: int) -> None:
    """Make an empty table with the same columns and checks and `count` partitions, or unpartitioned for 0."""
    storage = ", ".join(column(STORAGE, [(partitions(table) or [table])[0]]))
    parameters = f" WITH ({storage})" if storage else ""
    like = f"CREATE TABLE {beside} (LIKE {table} INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS)"
    run(f"{like} PARTITION BY HASH (holder_id)" if count else f"{like}{parameters}")
    for number in range(count):
        run(
            f"CREATE TABLE {table}_p{number} PARTITION OF {beside} "
            f"FOR VALUES WITH (MODULUS {count}, REMAINDER {number}){parameters}"
        )


def index_statements(table: str, beside: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the statement of each index for `beside`: those of the partitions first, then the parent's.

    Creating the parent's index adopts those of the partitions.
    """
    for index in indexes(table):
        for number, partition in enumerate(partitions(beside)):
            yield f"{index.name}_p{number}", index.statement(partition, f"{index.name}_p{number}")
        yield f"{index.name}_new", index.statement(beside, f"{index.name}_new")


def make_triggers(table: str, beside: str, *, but: str = "") -> None:
    """Make the table's triggers on `beside`. Partitions inherit row triggers, but need their own statement triggers."""
    for definition, of_rows, left_out in rows(TRIGGERS, [but, table]):
        if not left_out:
            for target in [beside] if of_rows else [beside, *partitions(beside)]:
                run(definition.replace(f" ON public.{table} ", f" ON {target} ", 1))


def exchanging(table: str, beside: str, before: str) -> Iterator[str]:
    """Yield the statements that give `beside` the table's name and privileges, and its indexes their names."""
    names = [index.name for index in indexes(table)]
    yield from _granting(table, beside)
    if sequence := value(SEQUENCE, [table]):
        follows = value(SEQUENCE, [beside])
        yield from _granting(sequence, follows, kind="SEQUENCE ")
        yield f"SELECT setval('{follows}', last_value + {GAP}) FROM {sequence} WHERE is_called"  # noqa: S608
    for name in names:
        yield f"ALTER INDEX {name} RENAME TO {name}_before"
    yield f"ALTER TABLE {table} RENAME TO {before}"
    yield f"ALTER TABLE {beside} RENAME TO {table}"
    for name in names:
        yield f"ALTER INDEX {name}_new RENAME TO {name}"
    if table == JOURNAL:
        yield from _planning(partitioned=bool(partitions(beside)))


def _planning(*, partitioned: bool) -> Iterator[str]:
    """Yield the statements that make a use keep its plan.

    PostgreSQL believes that a plan for all partitions reads them all, which it does not, and would plan each use again.
    """
    for function in column(USE):
        word = "SET plan_cache_mode = force_generic_plan" if partitioned else "RESET plan_cache_mode"
        yield f"ALTER FUNCTION {function} {word}"


def keep_plans() -> None:
    """Set this again, for a migration that has replaced the function of a use and thereby its settings."""
    for statement in _planning(partitioned=bool(partitions(JOURNAL))):
        run(statement)


def _granting(like: str, to: str, *, kind: str = "") -> Iterator[str]:
    """Yield the statements that grant exactly these privileges, whatever `migrate` has granted since."""
    for role in {role for _, role in rows(PRIVILEGES, [to])}:
        yield f"REVOKE ALL ON {kind}{to} FROM {role}"
    for privilege, role in rows(PRIVILEGES, [like]):
        yield f"GRANT {privilege} ON {kind}{to} TO {role}"


def exchange(statements: Sequence[str]) -> None:
    """Run the statements of `exchanging` all at once, under the table's lock."""
    run("; ".join(statements))


def drop(table: str, before: str) -> None:
    """Drop the previous table, and give the sequence the usual name for this table."""
    run(f"DROP TABLE IF EXISTS {before}")
    sequence, name = value(SEQUENCE, [table]), f"{table}_id_seq"
    if sequence and sequence != f"public.{name}":
        run(f"ALTER SEQUENCE {sequence} RENAME TO {name}")


def reshape(table: str, count: int) -> None:
    """Split an empty table into `count` partitions, or make it whole again for 0."""
    beside, before = f"{table}_new", f"{table}_before"
    with transaction.atomic():
        run(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        make_beside(table, beside, count)
        for _, statement in index_statements(table, beside):
            run(statement)
        make_triggers(table, beside)
        exchange(list(exchanging(table, beside, before)))
        drop(table, before)


def is_empty(table: str) -> bool:
    return bool(value(f"SELECT NOT EXISTS (SELECT FROM {table})"))  # noqa: S608  a name of ours

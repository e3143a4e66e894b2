"""The ledger's tables are in the database what Django's state says, but for primary keys, which it cannot say."""

import re
from typing import Any

import pytest
from django.db import connection, models

from credits.models import CreditLot, CreditTransaction, UserCredit
from credits.partitions import shape

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("each_shape", "one_server")]
TABLES = (UserCredit, CreditLot, CreditTransaction)
SHADOW = "shadow"

COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
"""
INDEXES = """
SELECT relname, replace(replace(pg_get_indexdef(indexrelid), ' WITH (fillfactor=''100'')', ''), ' ON ONLY ', ' ON ')
FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = %s::regclass AND indisvalid
"""
CONSTRAINTS = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = %s
"""


def asked(query: str, *values: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return {row[0]: row[1:] for row in cursor.fetchall()}


def catalogue(schema: str, table: str) -> dict[str, Any]:
    name = f"{schema}.{table}"
    indexes = {key: _bare(definition, schema) for key, (definition,) in asked(INDEXES, name).items()}
    return {
        "columns": asked(COLUMNS, name),
        "indexes": indexes,
        "checks": asked(CONSTRAINTS, name, "c"),
        "foreign keys": asked(CONSTRAINTS, name, "f"),
    }


def _bare(definition: str, schema: str) -> str:
    """Return it without casts, which stand elsewhere once PostgreSQL has read its own words, as for partitions."""
    return re.sub(r"::(character varying|text)(\[\])?|[()]", "", definition.replace(f"{schema}.", ""))


@pytest.fixture
def as_django_would(db: None) -> None:
    """The tables as Django makes them of its state, in a schema of their own, empty."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {SHADOW}")
        cursor.execute(f"SET LOCAL search_path = {SHADOW}, public")
    with connection.schema_editor() as editor:
        for model in TABLES:
            editor.create_model(model)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL search_path = public")


@pytest.mark.parametrize("model", TABLES)
def test_state_and_catalogue_agree(as_django_would: None, model: type[models.Model]) -> None:
    table = model._meta.db_table
    state, found = catalogue(SHADOW, table), catalogue("public", table)
    if model is not UserCredit:
        assert " id" in state["indexes"].pop(f"{table}_pkey")
    assert found == state


@pytest.mark.parametrize(
    ("model", "name", "key"),
    [
        (UserCredit, "credits_usercredit_pkey", "PRIMARY KEY (holder_id)"),
        (CreditLot, "lot_of_holder", "PRIMARY KEY (holder_id, id)"),
        (CreditTransaction, "transaction_of_holder", "PRIMARY KEY (id, holder_id)"),
    ],
)
def test_primary_keys_name_the_holder(model: type[models.Model], name: str, key: str) -> None:
    assert asked(CONSTRAINTS, model._meta.db_table, "p") == {name: (key,)}


def test_nothing_refers_to_accounts(db: None) -> None:
    for model in TABLES:
        assert asked(CONSTRAINTS, model._meta.db_table, "f") == {}


def stored(model: type[models.Model]) -> dict[str, Any]:
    """Return the storage parameters of whatever holds its rows: the table, or its partitions."""
    table = model._meta.db_table
    found: dict[str, Any] = {}
    for name in shape.partitions(table) or [table]:
        found |= asked("SELECT relname::text, reloptions FROM pg_class WHERE oid = %s::regclass", name)
    return found


def test_journal_rows_are_frozen_in_small_steps(db: None) -> None:
    for (options,) in stored(CreditTransaction).values():
        assert "autovacuum_freeze_min_age=0" in options
        assert "autovacuum_vacuum_insert_scale_factor=0" in options


def test_rows_that_change_have_room_beside_them(db: None) -> None:
    for model, share in ((UserCredit, 50), (CreditLot, 80)):
        for (options,) in stored(model).values():
            assert f"fillfactor={share}" in options


@pytest.mark.parametrize(
    ("model", "triggers"),
    [
        (UserCredit, ["credit_no_delete", "credit_no_truncate", "credit_open_within_its_issue"]),
        (CreditLot, ["lot_no_delete", "lot_no_truncate"]),
        (CreditTransaction, ["journal_no_delete", "journal_no_truncate", "journal_only_erasure"]),
    ],
)
def test_triggers_stand_before_every_place_of_rows(model: type[models.Model], triggers: list[str]) -> None:
    query = "SELECT tgname::text FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname !~ '^RI_' AND tgenabled = 'O'"
    table = model._meta.db_table
    for name in (table, *shape.partitions(table)):
        assert sorted(asked(query, name)) == triggers, name

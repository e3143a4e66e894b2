"""The ledger's tables are in the database what Django's state says, but for primary keys, which it cannot say."""

from typing import Any

import pytest
from django.db import connection, models

from credits.models import CreditLot, CreditTransaction, UserCredit

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("one_server")]
TABLES = (UserCredit, CreditLot, CreditTransaction)
SHADOW = "shadow"

COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
"""
INDEXES = """
SELECT relname, replace(pg_get_indexdef(indexrelid), ' WITH (fillfactor=''100'')', '')
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
    indexes = {
        key: definition.replace(f"{schema}.", "") for key, (definition,) in asked(INDEXES, name).items()
    }
    return {
        "columns": asked(COLUMNS, name),
        "indexes": indexes,
        "checks": asked(CONSTRAINTS, name, "c"),
        "foreign keys": asked(CONSTRAINTS, name, "f"),
    }


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
        assert "(id)" in state["indexes"].pop(f"{table}_pkey")
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


def test_journal_rows_are_frozen_in_small_steps(db: None) -> None:
    options = asked(
        "SELECT relname, reloptions FROM pg_class WHERE oid = %s::regclass", "credits_credittransaction"
    )
    assert "autovacuum_freeze_min_age=0" in options["credits_credittransaction"][0]
    assert "autovacuum_vacuum_insert_scale_factor=0" in options["credits_credittransaction"][0]

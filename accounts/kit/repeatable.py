"""Steps for migrations without a transaction, which can be run again after a failure."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.postgres import operations as postgres
from django.db import migrations

IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
HAS_COLUMN = (
    "SELECT true FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s AND NOT attisdropped"
)
HAS_CONSTRAINT = "SELECT true FROM pg_constraint WHERE conrelid = %s::regclass AND conname = %s"


class AddIndexConcurrently(postgres.AddIndexConcurrently):
    """Create an index without blocking writes, and create it again if a failed attempt left it invalid."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        valid = _look(schema_editor, IS_VALID, self.index.name)
        if valid:
            return
        with patient(schema_editor):
            if valid is False:
                schema_editor.execute(f"DROP INDEX CONCURRENTLY {self.index.name}")
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class RemoveIndexConcurrently(postgres.RemoveIndexConcurrently):
    """Drop an index without blocking writes, if it still exists."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        with patient(schema_editor):
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class AddField(migrations.AddField):
    """Add a column, unless a failed attempt has. It cannot have an index: Django adds those at the end."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        column = model._meta.get_field(self.name).column  # noqa: SLF001 - Django's public name
        if not _look(schema_editor, HAS_COLUMN, model._meta.db_table, column):  # noqa: SLF001
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class AddConstraintNotValid(postgres.AddConstraintNotValid):
    """Add a constraint, unless a failed attempt has."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        table = to_state.apps.get_model(app_label, self.model_name)._meta.db_table  # noqa: SLF001
        if not _look(schema_editor, HAS_CONSTRAINT, table, self.constraint.name):
            super().database_forwards(app_label, schema_editor, from_state, to_state)


@contextmanager
def patient(schema_editor: Any) -> Iterator[None]:
    """Wait for old transactions, such as a dump, however long they take; nobody waits for an index that waits."""
    schema_editor.execute("SET lock_timeout = 0")
    try:
        yield
    finally:
        schema_editor.execute("RESET lock_timeout")


def _look(schema_editor: Any, query: str, *values: str) -> bool | None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(query, values)
        row: tuple[bool] | None = cursor.fetchone()
    return row[0] if row else None

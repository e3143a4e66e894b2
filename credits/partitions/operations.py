"""Make later migrations of the journal and the lots work on whole and on partitioned tables.

Columns, checks (NOT VALID, then validated) and constraints are added as usual: PostgreSQL passes them on. But it cannot
create or drop an index of a partitioned table without blocking writes, and it does not pass on storage parameters.
"""

from typing import Any

from django.db import migrations

from accounts.kit.repeatable import AddIndexConcurrently, RemoveIndexConcurrently
from credits.partitions import shape
from credits.partitions.patience import patiently
from credits.statements import run


class AddLedgerIndex(AddIndexConcurrently):
    """Creates an index without blocking writes, on each partition, then on the parent. Can be rerun after a failure."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if not shape.partitions(model._meta.db_table):  # noqa: SLF001 - Django's public name
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        self._ensure_not_in_transaction(schema_editor)
        made = shape.Index(self.index.name, str(self.index.create_sql(model, schema_editor)), None, None)
        add_to_partitions(model._meta.db_table, made)  # noqa: SLF001 - Django's public name

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = from_state.apps.get_model(app_label, self.model_name)
        if not drop_of_partitions(model._meta.db_table, self.index.name):  # noqa: SLF001
            super().database_backwards(app_label, schema_editor, from_state, to_state)


class RemoveLedgerIndex(RemoveIndexConcurrently):
    """Drops an index. On partitions that takes a moment, for which it waits briefly, and repeatedly."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = from_state.apps.get_model(app_label, self.model_name)
        if not drop_of_partitions(model._meta.db_table, self.name):  # noqa: SLF001
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        index = to_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        again = AddLedgerIndex(self.model_name, index)
        again.database_forwards(app_label, schema_editor, from_state, to_state)


def add_to_partitions(table: str, index: shape.Index) -> None:
    parts = {f"{index.name}_p{number}": part for number, part in enumerate(shape.partitions(table))}
    for name in (index.name, *parts):  # left over from an attempt that failed
        patiently(lambda name=name: _drop(name))  # type: ignore[misc]
    for name, part in parts.items():
        run(index.statement(part, f"CONCURRENTLY {name}"))
    run(index.statement(f"ONLY {table}", index.name))
    for name in parts:
        run(f"ALTER INDEX {index.name} ATTACH PARTITION {name}")


def drop_of_partitions(table: str, name: str) -> bool:
    """Drop an index of a partitioned table; return False if the table is not one."""
    if not shape.partitions(table):
        return False
    patiently(lambda: _drop(name))
    return True


def _drop(name: str) -> None:
    run("SET lock_timeout = '500ms'")
    try:
        run(f"DROP INDEX IF EXISTS {name}")
    finally:
        run("RESET lock_timeout")


class SetLedgerStorage(migrations.RunPython):
    """Sets storage parameters on a table, or on each of its partitions."""

    def __init__(self, table: str, *, to: str, before: str) -> None:
        super().__init__(lambda *_: set_storage(table, to), lambda *_: set_storage(table, before))


def set_storage(table: str, parameters: str) -> None:
    for place in shape.partitions(table) or [table]:
        patiently(lambda place=place: run(f"ALTER TABLE {place} SET ({parameters})"))  # type: ignore[misc]

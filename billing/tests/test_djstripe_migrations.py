"""Our one dj-stripe migration ends at the schema of the package's own files."""

import itertools
import pkgutil
from collections.abc import Iterable, Iterator
from importlib import import_module

import djstripe.migrations
import pytest
from django.core.management import call_command
from django.db import connection
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import AddField, CreateModel, RemoveField
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
       l.collname, pg_get_expr(d.adbin, d.adrelid)
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE c.relnamespace = %s::regnamespace AND c.relname LIKE 'djstripe%%' AND c.relkind IN ('r', 'S')
"""
CONSTRAINTS = """
SELECT c.relname, n.conname, n.contype, n.condeferrable, n.condeferred, n.convalidated, pg_get_constraintdef(n.oid)
FROM pg_constraint n JOIN pg_class c ON c.oid = n.conrelid
WHERE c.relnamespace = %s::regnamespace AND c.relname LIKE 'djstripe%%'
"""
INDEXES = """
SELECT c.relname, x.relname, i.indisunique, i.indisprimary, i.indisvalid, pg_get_indexdef(i.indexrelid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
WHERE c.relnamespace = %s::regnamespace AND c.relname LIKE 'djstripe%%'
"""


@pytest.mark.django_db
class TestSchema:
    def test_it_equals_the_stock_one(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA stock")
            cursor.execute("SET LOCAL search_path TO stock, public")
        apply_stock_migrations()
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL search_path TO ''")  # so that every definition names its schema
        for query, at_least in ((COLUMNS, 800), (CONSTRAINTS, 200), (INDEXES, 200)):
            ours, theirs = catalog(query, "public"), catalog(query, "stock")
            assert ours == theirs
            assert len(ours) >= at_least

    def test_the_stock_files_hold_no_step_that_ours_could_lack(self) -> None:
        kinds = {
            type(operation).__name__ for migration in stock_migrations() for operation in migration.operations
        }
        assert kinds <= {
            "CreateModel",
            "DeleteModel",
            "AddField",
            "RemoveField",
            "AlterModelOptions",
            "AlterUniqueTogether",
        }


@pytest.mark.django_db
def test_no_app_lacks_a_migration() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def catalog(query: str, schema: str) -> set[tuple[object, ...]]:
    """The rows of a catalog query for one schema, its name taken out of the definitions."""
    with connection.cursor() as cursor:
        cursor.execute(query, [schema])
        rows: list[tuple[object, ...]] = cursor.fetchall()
    return {tuple(_without_schema(value, schema) for value in row) for row in rows}


def _without_schema(value: object, schema: str) -> object:
    return value.replace(f"{schema}.djstripe", "djstripe") if isinstance(value, str) else value


def stock_migrations() -> list[Migration]:
    """The package's own files, which MIGRATION_MODULES hides, in their order."""
    names = sorted(module.name for module in pkgutil.iter_modules(djstripe.migrations.__path__))
    modules = [import_module(f"djstripe.migrations.{name}") for name in names]
    return [module.Migration(name, "djstripe") for name, module in zip(names, modules, strict=True)]


def apply_stock_migrations() -> None:
    """Run them as `migrate` does, but render the models once per run of equal steps: 71 s become a few."""
    loader = MigrationLoader(connection)
    others = [node for node in loader.graph.leaf_nodes() if node[0] in {"accounts", "auth", "contenttypes"}]
    state: ProjectState = loader.project_state(others)
    for migration in stock_migrations():
        with connection.schema_editor(atomic=False) as editor:
            for run in runs(migration.operations):
                state = apply_run(run, state, editor)


def runs(operations: Iterable[Operation]) -> Iterator[list[Operation]]:
    """Consecutive CreateModel, AddField or RemoveField steps together, every other step alone."""
    shared = (CreateModel, AddField, RemoveField)
    for kind, group in itertools.groupby(operations, key=type):
        if kind in shared:
            yield list(group)
        else:
            yield from ([operation] for operation in group)


def apply_run(run: list[Operation], before: ProjectState, editor: BaseDatabaseSchemaEditor) -> ProjectState:
    """The SQL of a creation depends on the state after it, that of a removal on the state before it, and neither on
    the place within a run of its kind."""
    after = ProjectState({key: model.clone() for key, model in before.models.items()})
    for operation in run:
        operation.state_forwards("djstripe", after)
    for operation in run:
        operation.database_forwards("djstripe", editor, before, after)
    return after

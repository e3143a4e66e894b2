"""A migration without a transaction is run again after it failed, wherever that was."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.contrib.postgres.operations import ValidateConstraint
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations import AlterField, AlterModelOptions, Migration, RunPython
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import CreateModel, RunSQL, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import Q
from django.db.utils import OperationalError

from accounts.kit import repeatable
from accounts.kit.at_once import AtOnce
from accounts.management.commands.migrate import LOCK, owner_connection
from accounts.tests.test_at_once import catalog, key

SAFE = (
    repeatable.AddField,
    repeatable.AddIndexConcurrently,
    repeatable.RemoveIndexConcurrently,
    repeatable.AddConstraintNotValid,
    ValidateConstraint,
    AlterModelOptions,
    AlterField,
    RunPython,
    RunSQL,  # of `OR REPLACE` and `IF EXISTS`
    SeparateDatabaseAndState,
)
BEGAN_WITH_A_TABLE = ("accounts", "0003_address_changes")


def changes() -> list[Operation]:
    return [
        repeatable.AddField("toy", "colour", models.CharField(max_length=10, db_default="")),
        repeatable.AddIndexConcurrently("toy", models.Index(fields=["colour"], name="toy_by_colour")),
        repeatable.RemoveIndexConcurrently("toy", "toy_by_size"),
        repeatable.AddConstraintNotValid(
            "toy", models.CheckConstraint(condition=Q(size__gte=0), name="toy_size_range")
        ),
    ]


def migration(name: str, steps: list[Operation]) -> Any:
    return type("Steps", (Migration,), {"operations": [AtOnce(steps)], "atomic": False})(name, "toys")


def apply(step: Any, state: ProjectState) -> ProjectState:
    with connection.schema_editor(atomic=False) as editor:
        made: ProjectState = step.apply(state.clone(), editor)
    return made


@pytest.fixture
def toys(transactional_db: None) -> Iterator[ProjectState]:
    fields = [("id", key()), ("size", models.IntegerField())]
    index = models.Index(fields=["size"], name="toy_by_size")
    yield apply(migration("one", [CreateModel("Toy", fields, options={"indexes": [index]})]), ProjectState())
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE toys_toy; RESET lock_timeout")


@pytest.mark.parametrize("fails_at", range(8))
def test_goes_on_where_it_failed(toys, fails_at):
    seen = 0

    def fail(execute: Any, sql: str, *rest: Any) -> Any:
        nonlocal seen
        changing = sql.startswith(("ALTER", "CREATE", "DROP"))
        seen += changing
        if changing and seen > fails_at // 2 and fails_at % 2 == 0:
            raise OperationalError
        answer = execute(sql, *rest)
        if changing and seen > fails_at // 2:
            raise OperationalError  # of what was done by then
        return answer

    two = migration("two", changes())
    with connection.execute_wrapper(fail), pytest.raises(OperationalError):
        apply(two, toys)
    apply(two, toys)
    found = {name for _, name, *_ in catalog()}
    assert found >= {"colour", "toy_by_colour", "toy_size_range"}
    assert "toy_by_size" not in found


def test_makes_an_index_again_that_was_left_half_made(toys):
    """As a dump leaves it that is under way when a try gives up."""
    apply(migration("field", changes()[:1]), toys)
    with psycopg.connect(**_elsewhere()) as dump, connection.cursor() as cursor:
        dump.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        dump.execute("SELECT count(*) FROM toys_toy")
        cursor.execute("SET lock_timeout = '200ms'")
        with pytest.raises(OperationalError, match="lock timeout"):
            cursor.execute("CREATE INDEX CONCURRENTLY toy_by_colour ON toys_toy (colour)")
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'toy_by_colour'::regclass")
        assert cursor.fetchone() == (False,)
    apply(migration("two", changes()), toys)
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'toy_by_colour'::regclass")
        assert cursor.fetchone() == (True,)


def _elsewhere() -> dict[str, Any]:
    return {**connection.get_connection_params(), "cursor_factory": None, "context": None}


def test_every_migration_without_a_transaction_is_made_of_such_steps():
    loader = MigrationLoader(None, ignore_no_migrations=True)
    without = {
        name: _steps(one.operations)
        for name, one in loader.disk_migrations.items()
        if not one.atomic and name[0] in {"accounts", "billing", "credits"}
    }
    unsafe = {name for name, steps in without.items() if not all(isinstance(one, SAFE) for one in steps)}
    assert unsafe == {BEGAN_WITH_A_TABLE}


def _steps(operations: Any) -> Iterator[Operation]:
    for one in operations:
        yield from _steps(one.steps) if isinstance(one, AtOnce) else [one]


@pytest.mark.django_db(transaction=True)
def test_a_second_migrate_waits_for_the_first(settings):
    said, settings.SERVING_ROLE = StringIO(), ""
    settings.MIGRATION_DATABASE = {"USER": connection.settings_dict["USER"]}

    def second() -> None:
        try:
            call_command("migrate", "--no-input", stdout=said)
        finally:
            connection.close()

    with psycopg.connect(**_elsewhere(), autocommit=True) as first, ThreadPoolExecutor(1) as pool:
        first.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        done = pool.submit(second)
        until = time.monotonic() + 20
        while "waiting" not in said.getvalue() and time.monotonic() < until:
            time.sleep(0.05)
        assert "Applying" not in said.getvalue()
        assert "No migrations" not in said.getvalue()
        assert not done.done()
        first.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
        done.result(60)
    assert "No migrations to apply" in said.getvalue()


@pytest.mark.django_db(transaction=True)
def test_no_statement_of_a_migration_is_cut_off_by_what_the_role_or_the_database_says(settings):
    """Where one role migrates and serves, `migrate` itself has given it the time-outs of requests."""
    here = {"NAME": connection.settings_dict["NAME"]}
    settings.MIGRATION_DATABASE = {**settings.MIGRATION_DATABASE, **here}
    with connection.cursor() as cursor:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"ALTER DATABASE {name} SET statement_timeout = '10s'")
        cursor.execute(f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '10s'")
    try:
        with owner_connection(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')"
            )
            assert cursor.fetchone() == ("0", "0")
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} RESET ALL")

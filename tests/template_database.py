"""The test database: migrated once per state of the code, then cloned for each worker in a fraction of a second.

A pytest plugin (conftest.py names it). Tests connect as the superuser of a throw-away cluster, which `script/test`
starts; the tables are made by the owner role and granted to the serving role, as in production.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.db.backends.base.operations import BaseDatabaseOperations
from pytest_django.plugin import DjangoDbBlocker

import schema
from accounts.upkeep.database_roles import grant_to_serving_role
from tests import distributed_database

LOCK = 4711  # of pg_advisory_lock: one worker makes the template, the others wait
OWNER, SERVING = "auth_owner", "auth_app"
END_SESSIONS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"  # a pooler keeps them
)
MADE_BY_MIGRATE = {"django_content_type", "auth_permission"}  # which a flush repeats: slow when they are gone


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("own_session") and settings.DATABASE_POOL != "none":
        pytest.skip("about one session at PostgreSQL, which a pooler does not give")


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Take the place of pytest-django's own, which would migrate for each worker."""
    if distributed_database.url():
        with django_db_blocker.unblock():
            distributed_database.prepare()
            yield
        return
    name = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{os.getpid()}"
    with django_db_blocker.unblock(), administration() as cluster:
        cluster.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        give_session_settings(cluster)
        template = ensure_template(cluster)
        cluster.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY OWNER {OWNER}')
        cluster.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
        use_database(name)
        grant_to_serving_role(connection, role=SERVING)  # a clone lacks the privileges on the database itself
        yield
        for opened in connections.all(initialized_only=True):
            opened.close()
        cluster.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def administration() -> Iterator[psycopg.Connection[Any]]:
    """Connect to the cluster itself, past a pooler, as a superuser."""
    target: dict[str, Any] = settings.MIGRATION_DATABASE
    with psycopg.connect(
        host=target["HOST"],
        port=target["PORT"] or None,
        user=connection.settings_dict["USER"],
        password=target["PASSWORD"] or None,
        dbname="postgres",
        options="-c statement_timeout=0 -c lock_timeout=0",
        autocommit=True,
    ) as cluster:
        yield cluster


def give_session_settings(cluster: psycopg.Connection[Any]) -> None:
    """Have the tests' role bring them along where a pooler takes no start-up options."""
    if settings.DATABASE_POOL != "none":
        for name, value in settings.SESSION_SETTINGS.items():
            cluster.execute(f"ALTER ROLE {connection.settings_dict['USER']} SET {name} = '{value}'")


def ensure_template(cluster: psycopg.Connection[Any]) -> str:
    """The name of a migrated database. It carries its name only once it is whole."""
    template = f"migrated_{schema.fingerprint()}"
    if not cluster.execute("SELECT FROM pg_database WHERE datname = %s", [template]).rowcount:
        draft = f"{template}_draft"
        make_roles(cluster)
        drop_outdated(cluster)
        cluster.execute(f'CREATE DATABASE "{draft}" OWNER {OWNER}')
        migrate(draft)
        cluster.execute(END_SESSIONS, [draft])
        cluster.execute(f'ALTER DATABASE "{draft}" RENAME TO "{template}"')
    return template


def drop_outdated(cluster: psycopg.Connection[Any]) -> None:
    """Drop templates of earlier code, and what was left by runs that were killed. Nobody else uses this cluster now."""
    names = cluster.execute("SELECT datname FROM pg_database WHERE datname ~ '^(migrated_|test_)'").fetchall()
    for (name,) in names:
        cluster.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def make_roles(cluster: psycopg.Connection[Any]) -> None:
    for role in (OWNER, SERVING):
        if not cluster.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).rowcount:
            cluster.execute(f"CREATE ROLE {role} LOGIN")


def migrate(database: str) -> None:
    """With the product's own command, which connects as the owner and grants to the serving role."""
    settings.MIGRATION_DATABASE["NAME"] = database
    use_database(database)
    call_command("migrate", verbosity=0, interactive=False)
    connections.close_all()


def use_database(name: str) -> None:
    connection.close()
    connection.settings_dict["NAME"] = name


@contextmanager
def another_database(label: str) -> Iterator[str]:
    """A clone of the template beside this worker's database, which may be changed and is dropped; gives its name."""
    if distributed_database.url():
        pytest.skip("of one server, and the ledger is distributed")
    worker = connection.settings_dict["NAME"]
    with administration() as cluster:
        cluster.execute("SELECT pg_advisory_lock(%s)", [LOCK])  # nobody else may clone it at the same time
        template, name = ensure_template(cluster), f"{worker}_{label}"
        cluster.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY OWNER {OWNER}')
        cluster.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
        try:
            with instead(name):
                grant_to_serving_role(connection, role=SERVING)
            yield name
        finally:
            cluster.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def instead(name: str) -> Iterator[None]:
    """In the block the tests' database is this one, for `manage.py migrate` and its like too."""
    of_worker, of_owner = connection.settings_dict["NAME"], settings.MIGRATION_DATABASE["NAME"]
    use_database(name)
    settings.MIGRATION_DATABASE["NAME"] = name
    try:
        yield
    finally:
        use_database(of_worker)
        settings.MIGRATION_DATABASE["NAME"] = of_owner


@pytest.fixture
def serving_role(db: None) -> Iterator[None]:
    """The test's statements run as the role that serves: what it may not do is refused."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {SERVING}")
    yield
    if not connection.in_atomic_block:  # where the test's transaction is rolled back, so is this
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")


@pytest.fixture(autouse=True, scope="session")
def _fast_flush_past_triggers() -> Iterator[None]:
    """After a test with transaction=True only the tables that hold something are emptied, in milliseconds.

    As the superuser and for that one transaction triggers are off: they would refuse to empty the journal.
    """
    operations = type(connection.ops)
    original = operations.sql_flush
    operations.sql_flush = emptying  # type: ignore[method-assign, assignment]
    yield
    operations.sql_flush = original  # type: ignore[method-assign]


def emptying(
    operations: BaseDatabaseOperations, _style: object, tables: list[str], **_options: object
) -> list[str]:
    """Return statements in the place of TRUNCATE, which makes new files for a hundred tables and their indexes."""
    names = {name: operations.quote_name(name) for name in sorted({*tables} - MADE_BY_MIGRATE)}
    probes = [f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {quoted})" for name, quoted in names.items()]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(probes))
        occupied = [names[name] for (name,) in cursor.fetchall()]
    return ["SET LOCAL session_replication_role = replica", *(f"DELETE FROM {quoted}" for quoted in occupied)]

"""Stand in for a standby: the tests' own database, seen through a schema that says so.

Its sessions find `pg_is_in_recovery` and its like in that schema first, and frozen copies of tables, where a test makes
some: what a standby knows that has fallen behind.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial

import pytest
from django.conf import settings
from django.db import connection, connections

from accounts.kit import replica

SCHEMA = "standby"
CAUGHT_UP, FAR_BEHIND = "pg_catalog.pg_current_wal_insert_lsn()", "'0/1'::pg_lsn"


class Standby:
    """The standby in the hands of a test. `now` is the clock by which the service reckons how far it is behind."""

    def __init__(self) -> None:
        self.now = 1000.0
        run(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        run(f"CREATE SCHEMA {SCHEMA}")
        run(f"GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC")
        self.says("pg_is_in_recovery", "boolean", "true")
        self.catches_up()

    def says(self, name: str, kind: str, value: str) -> None:
        run(
            f"CREATE OR REPLACE FUNCTION {SCHEMA}.{name}() RETURNS {kind} LANGUAGE sql AS $$ SELECT {value} $$"
        )

    def catches_up(self) -> None:
        self.says("pg_last_wal_replay_lsn", "pg_lsn", CAUGHT_UP)

    def stops(self) -> None:
        """Apply nothing more of what the primary writes."""
        self.says("pg_last_wal_replay_lsn", "pg_lsn", f"'{written()}'::pg_lsn")
        self.is_written_for()

    def is_written_for(self) -> None:
        """Have the primary write something, to its disk: that is what a position counts."""
        run(f"SET LOCAL synchronous_commit = on; COMMENT ON SCHEMA {SCHEMA} IS 'written'")

    def is_another_than(self, backend: int) -> None:
        """Lead later connections to a second one behind the same address, which has stopped long ago."""
        there = f"CASE pg_backend_pid() WHEN {backend} THEN {CAUGHT_UP} ELSE {FAR_BEHIND} END"
        self.says("pg_last_wal_replay_lsn", "pg_lsn", there)

    def keeps(self, table: str) -> None:
        """It knows of no row of the table that comes later."""
        run(f"CREATE TABLE {SCHEMA}.{table} AS TABLE public.{table}")

    def run(self, statement: str) -> None:
        run(statement)


def written() -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {CAUGHT_UP}")
        return str(cursor.fetchone()[0])


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def connect(alias: str) -> None:
    """Open it as outside tests: Django lets a test connect only to what it named before the fixture could make it."""
    wrapper = connections[alias]
    if wrapper.connection is None:
        with wrapper.wrap_database_errors:
            wrapper.connect()


@contextmanager
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Standby]:
    standby = Standby()
    said = deepcopy(connection.settings_dict)
    path = f"{said['OPTIONS'].get('options', '')} -c search_path={SCHEMA},pg_catalog,public"
    said["OPTIONS"] |= {"options": path.strip(), "target_session_attrs": "any"}
    said |= {
        one: settings.MIGRATION_DATABASE[one] for one in ("HOST", "PORT")
    }  # past a pooler, which takes no options
    monkeypatch.setitem(connections.databases, replica.ALIAS, said)
    monkeypatch.setattr(replica, "follower", replica.Follower(clock=lambda: standby.now))
    monkeypatch.setattr(connections[replica.ALIAS], "ensure_connection", partial(connect, replica.ALIAS))
    try:
        yield standby
    finally:
        connections[replica.ALIAS].close()
        del connections[replica.ALIAS]
        run(f"DROP SCHEMA {SCHEMA} CASCADE")

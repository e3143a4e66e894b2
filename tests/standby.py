"""Stand in for a standby: the tests' own database, seen through a schema that says so.

Its sessions find `pg_is_in_recovery` and its like in that schema first, and frozen copies of tables, where a test makes
some: what a standby knows that has fallen behind.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial

import pytest
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
        self.says("pg_last_wal_replay_lsn", "pg_lsn", FAR_BEHIND)

    def keeps(self, table: str) -> None:
        """It knows of no row of the table that comes later."""
        run(f"CREATE TABLE {SCHEMA}.{table} AS TABLE public.{table}")

    def run(self, statement: str) -> None:
        run(statement)


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
    monkeypatch.setitem(connections.databases, replica.ALIAS, said)
    monkeypatch.setattr(replica, "follower", replica.Follower(clock=lambda: standby.now))
    monkeypatch.setattr(connections[replica.ALIAS], "ensure_connection", partial(connect, replica.ALIAS))
    try:
        yield standby
    finally:
        connections[replica.ALIAS].close()
        del connections[replica.ALIAS]
        run(f"DROP SCHEMA {SCHEMA} CASCADE")

"""Statements that run with almost every request, prepared once per connection and sent through libpq.

A psycopg cursor inside a Django cursor takes twice the time of the whole round trip (docs/decisions/0024). Errors are
Django's either way.
"""

import uuid
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql.base import ServerBindingCursor
from psycopg import Connection, OperationalError
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format

_UNKNOWN_STATEMENT = b"26000"

Encoder = Callable[[Any], bytes | None]


class Prepared:
    """A statement with parameters as `%(name)s`, each with an encoder to PostgreSQL's binary form.

    `one` returns its only row, if any, as loaded by psycopg.
    """

    def __init__(self, name: str, statement: str, encoders: Mapping[str, Encoder]) -> None:
        self.statement = statement
        self._name, self._encoders = name.encode(), encoders
        self._numbered = (statement % {one: f"${place}" for place, one in enumerate(encoders, 1)}).encode()
        self._formats = [Format.BINARY] * len(encoders)
        self._known_to: weakref.WeakSet[Connection] = weakref.WeakSet()

    def one(self, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Run it on the default database. Raise what a cursor would."""
        database = transaction.get_connection()
        if not _may_skip_the_cursor(database):
            with database.cursor() as cursor:
                cursor.execute(self.statement, values)
                row: tuple[Any, ...] | None = cursor.fetchone()
                return row
        with database.wrap_database_errors:
            return self._run(database.connection, values)

    def _run(self, connection: Connection, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Run it, and prepare it first on a new connection, or again if psycopg has dropped all prepared statements."""
        libpq = connection.pgconn
        if self._is_new_to(connection):
            libpq.prepare(self._name, self._numbered)
        given: Any = [encode(values[name]) for name, encode in self._encoders.items()]  # None is null
        result = libpq.exec_prepared(self._name, given, self._formats, result_format=Format.BINARY)
        if result.error_field(DiagnosticField.SQLSTATE) == _UNKNOWN_STATEMENT:
            libpq.prepare(self._name, self._numbered)
            result = libpq.exec_prepared(self._name, given, self._formats, result_format=Format.BINARY)
        if libpq.status != ConnStatus.OK:
            raise OperationalError(libpq.get_error_message())
        if result.status != ExecStatus.TUPLES_OK:
            raise error_from_result(result)
        if not result.ntuples:
            return None
        loading = Transformer(connection)
        loading.set_pgresult(result)
        return loading.load_row(0, tuple)

    def _is_new_to(self, connection: Connection) -> bool:
        """Return whether this connection runs it for the first time.

        It must be known in advance, because the server logs the execution of an unknown statement.
        """
        if connection in self._known_to:
            return False
        self._known_to.add(connection)
        return True


def _may_skip_the_cursor(database: BaseDatabaseWrapper) -> bool:
    """Return whether libpq may be used directly.

    That excludes transactions, which a missing prepared statement would abort; connections whose queries are observed,
    as by tracers with a cursor of their own; and those on which nothing may be prepared.
    """
    return bool(
        database.get_autocommit()
        and not database.queries_logged
        and not database.execute_wrappers
        and database.connection.cursor_factory is ServerBindingCursor
        and database.connection.prepare_threshold is not None
    )


def uuid_bytes(value: uuid.UUID) -> bytes:
    return value.bytes


def text_bytes(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


def int8_bytes(value: int | None) -> bytes | None:
    return None if value is None else int(value).to_bytes(8, signed=True)


def jsonb_bytes(value: str | None) -> bytes | None:
    """Encode serialised JSON, prefixed with the version of the binary form."""
    return None if value is None else b"\1" + value.encode()


def as_it_is(value: bytes | None) -> bytes | None:
    return value

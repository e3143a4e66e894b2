"""Statements that go past the cursor answer, fail and recover as if they had not."""

import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import (
    DEFAULT_DB_ALIAS,
    DataError,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import sessions
from accounts.kit.prepared import Prepared, int8_bytes, text_bytes, uuid_bytes
from accounts.sessions.tokens import SessionAccessToken

pytestmark = pytest.mark.django_db(transaction=True)
NEEDS_PREPARED = pytest.mark.skipif(
    not settings.DATABASE_PREPARED_STATEMENTS, reason="nothing is prepared behind such a pooler"
)
ECHO = Prepared(
    "tests_echo",
    "SELECT %(id)s::uuid, %(text)s::text, %(number)s::bigint, 1000 / %(number)s::bigint",
    {"id": uuid_bytes, "text": text_bytes, "number": int8_bytes},
)
VALUES = {"id": uuid.UUID(int=5), "text": "ä € 😀", "number": -7}
ROW = (uuid.UUID(int=5), "ä € 😀", -7, -142)


def prepared() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements WHERE name = 'tests_echo'")
        return [name for (name,) in cursor.fetchall()]


@pytest.fixture(autouse=True)
def _a_connection_of_its_own():
    connection.close()
    yield
    connection.close()


@NEEDS_PREPARED
def test_goes_past_the_cursor():
    assert ECHO.one(VALUES) == ROW
    assert ECHO.one({**VALUES, "text": None, "number": None}) == (ROW[0], None, None, None)
    assert prepared() == ["tests_echo"]


def test_is_prepared_again_where_the_connection_has_forgotten_it():
    assert ECHO.one(VALUES) == ROW
    connection.connection.execute("DEALLOCATE ALL")
    assert ECHO.one(VALUES) == ROW


def in_another_thread() -> Any:
    """Run it there on this thread's connection, as a seat passes from thread to thread."""
    mine = connections[DEFAULT_DB_ALIAS]

    def run() -> Any:
        connections[DEFAULT_DB_ALIAS] = mine
        return ECHO.one(VALUES)

    mine.inc_thread_sharing()
    with ThreadPoolExecutor(1) as pool:
        row = pool.submit(run).result()
    mine.dec_thread_sharing()
    return row


@NEEDS_PREPARED
@pytest.mark.skipif(sys.platform != "linux", reason="libpq's trace is read on Linux alone")
def test_a_new_connection_is_asked_for_nothing_that_it_does_not_know(tmp_path):
    """Its server would write an error into its log."""
    connection.ensure_connection()
    with (tmp_path / "trace").open("w+") as trace:
        connection.connection.pgconn.trace(trace.fileno())
        assert ECHO.one(VALUES) == ROW
        assert in_another_thread() == ROW
        connection.connection.pgconn.untrace()
        said = (tmp_path / "trace").read_text()
    assert said.count("\tParse\t") == 1
    assert said.count("\tExecute\t") == 2
    assert "ErrorResponse" not in said


def test_in_a_transaction_and_where_somebody_watches_a_cursor_is_used():
    with transaction.atomic():
        assert ECHO.one(VALUES) == ROW
    with CaptureQueriesContext(connection) as seen:
        assert ECHO.one(VALUES) == ROW
    assert len(seen) == 1
    assert prepared() == []


def test_nothing_is_prepared_where_it_may_not_be():
    connection.ensure_connection()
    connection.connection.prepare_threshold = None
    assert ECHO.one(VALUES) == ROW
    assert prepared() == []


def test_its_errors_are_djangos():
    for _ in range(2):
        with pytest.raises(DataError):
            ECHO.one({**VALUES, "number": 0})
    assert ECHO.one(VALUES) == ROW


def test_a_connection_that_the_server_ends_is_an_outage():
    assert ECHO.one(VALUES) == ROW
    with pytest.raises((OperationalError, InterfaceError)), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises((OperationalError, InterfaceError)):
        ECHO.one(VALUES)


def test_a_session_is_read_as_the_orm_reads_it(make_user, access_token):
    user = make_user(deletes_at=timezone.now() + timedelta(days=1), display_name="Ada Ω")
    token = SessionAccessToken(access_token(user).encode())
    with CaptureQueriesContext(connection):
        by_cursor = sessions.read(token.session_id, token.user_id)
    read = sessions.read(token.session_id, token.user_id)
    assert read is not None
    assert by_cursor is not None
    user.refresh_from_db()
    for name in [field.attname for field in user._meta.concrete_fields]:
        assert (
            getattr(read.session.user, name) == getattr(user, name) == getattr(by_cursor.session.user, name)
        )
    for name in ("pk", "user_id", "methods", "ended_at", "retry_until"):
        assert getattr(read.session, name) == getattr(by_cursor.session, name)
    assert sessions.read(uuid.uuid4(), user.pk) is None

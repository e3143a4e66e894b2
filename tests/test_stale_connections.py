"""The server ends a session between two requests; the second request does not notice."""

import time
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from config import health, stale_connections
from tests.listeners import ListenerClient
from tests.sample import Fails

pytestmark = pytest.mark.django_db(transaction=True)


def end_session() -> None:
    """As a restart of PostgreSQL does: the session ends while nobody talks on it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    with psycopg.connect(**health.connection_parameters()) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


@pytest.mark.own_session
def test_a_request_after_the_end_of_its_session_is_answered(public: Any, make_user: Any) -> None:
    user = make_user()
    end_session()
    assert public.get(f"/v1/auth/users/{user.pk}").status_code == 200


def test_a_connection_that_lives_is_kept() -> None:
    connection.ensure_connection()
    before = connection.connection
    stale_connections.drop_closed_by_server()
    assert connection.connection is before


def test_nothing_is_dropped_within_a_transaction() -> None:
    with transaction.atomic():
        before = connection.connection
        stale_connections.drop_closed_by_server()
        stale_connections.drop_unusable()
        assert connection.connection is before


EACH_TIME = pytest.mark.parametrize(
    "look", [stale_connections.drop_closed_by_server, stale_connections.drop_unusable]
)


@EACH_TIME
def test_one_that_has_grown_too_old_is_dropped(look: Any) -> None:
    connection.ensure_connection()
    connection.close_at = time.monotonic()  # as CONN_MAX_AGE sets it
    look()
    assert connection.connection is None


@pytest.mark.own_session
@EACH_TIME
def test_one_that_has_failed_is_kept_while_it_works_and_dropped_when_it_does_not(look: Any) -> None:
    connection.ensure_connection()
    connection.errors_occurred = True
    look()
    assert connection.connection is not None
    assert not connection.errors_occurred
    end_session()
    connection.errors_occurred = True
    look()
    assert connection.connection is None


@EACH_TIME
def test_one_that_was_left_without_autocommit_is_dropped(look: Any) -> None:
    connection.ensure_connection()
    connection.set_autocommit(False)
    look()
    assert connection.connection is None


@EACH_TIME
def test_none_is_opened_to_look_at_it(look: Any) -> None:
    connection.close()
    look()
    assert connection.connection is None


def test_a_connection_that_failed_within_a_request_is_gone_after_it(client: Any) -> None:
    Fails.error = OperationalError("the server closed the connection unexpectedly")
    connection.ensure_connection()
    connection.errors_occurred = True
    connection.connection.close()
    assert client.get("/fails").status_code == 503
    assert connection.connection is None


@pytest.fixture
def client() -> ListenerClient:
    return ListenerClient("internal", urlconf="tests.sample")

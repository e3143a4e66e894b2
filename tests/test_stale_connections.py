"""The server ends a session between two requests; the second request does not notice."""

from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from config import health, stale_connections

pytestmark = pytest.mark.django_db(transaction=True)


def end_session() -> None:
    """As a restart of PostgreSQL does: the session ends while nobody talks on it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    with psycopg.connect(**health.connection_parameters()) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


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
        assert connection.connection is before

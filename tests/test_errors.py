"""Every refusal and every failure has one shape, the headers of its status, and nothing of its cause."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import redis
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import (
    DataError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    connection,
)
from django.http import Http404
from kombu.exceptions import OperationalError as BrokerError
from psycopg.pq import DiagnosticField
from rest_framework import exceptions

from accounts.errors import ApiKeyMissing, NotAuthenticated
from accounts.kit.problems import Problem, RateLimited
from config.docs import all_problems
from tests.listeners import ListenerClient
from tests.sample import Fails

SECRET = "svc_live_hunter2 for ada@example.com SELECT /usr/lib"


@pytest.fixture
def client() -> ListenerClient:
    return ListenerClient("internal", urlconf="tests.sample")


def wrapped(outer: type[Exception], inner: Exception) -> Exception:
    """As Django wraps psycopg's exceptions."""
    error = outer(*inner.args)
    error.__cause__ = inner
    return error


STALE_PLAN = wrapped(
    NotSupportedError, psycopg.errors.FeatureNotSupported("cached plan must not change result type")
)
# As a server says it whose `lc_messages` is German.
TRANSLATED = wrapped(
    NotSupportedError,
    psycopg.errors.FeatureNotSupported(
        "gecachter Plan darf den Ergebnistyp nicht ändern",
        info={DiagnosticField.SOURCE_FUNCTION: b"RevalidateCachedQuery"},
    ),
)
CASES: dict[str, tuple[BaseException, int, str]] = {
    "problem": (Problem("No."), 400, "bad_request"),
    "Http404": (Http404(SECRET), 404, "not_found"),
    "DRF 404": (exceptions.NotFound(SECRET), 404, "not_found"),
    "PermissionDenied": (PermissionDenied(SECRET), 403, "permission_denied"),
    "suspicious": (SuspiciousOperation(SECRET), 400, "bad_request"),
    "bad request": (BadRequest(SECRET), 400, "bad_request"),
    "DRF parse error": (exceptions.ParseError(SECRET), 400, "malformed_json"),
    "connection lost": (OperationalError(SECRET), 503, "service_unavailable"),
    "connection closed": (InterfaceError(SECRET), 503, "service_unavailable"),
    "raw psycopg": (psycopg.OperationalError(SECRET), 503, "service_unavailable"),
    "lock time-out": (psycopg.errors.LockNotAvailable(SECRET), 503, "service_unavailable"),
    "statement time-out": (psycopg.errors.QueryCanceled(SECRET), 503, "service_unavailable"),
    "deadlock": (psycopg.errors.DeadlockDetected(SECRET), 503, "service_unavailable"),
    "disk full": (psycopg.errors.DiskFull(SECRET), 503, "service_unavailable"),
    "standby": (
        wrapped(InternalError, psycopg.errors.ReadOnlySqlTransaction(SECRET)),
        503,
        "service_unavailable",
    ),
    "migrated under a prepared statement": (STALE_PLAN, 503, "service_unavailable"),
    "migrated, in another language": (TRANSLATED, 503, "service_unavailable"),
    "not supported": (
        wrapped(NotSupportedError, psycopg.errors.FeatureNotSupported(SECRET)),
        500,
        "internal_error",
    ),
    "Redis gone": (redis.ConnectionError(SECRET), 503, "service_unavailable"),
    "Redis slow": (redis.TimeoutError(SECRET), 503, "service_unavailable"),
    "broker gone": (BrokerError(SECRET), 503, "service_unavailable"),
    "bug": (KeyError(SECRET), 500, "internal_error"),
    "SQL bug": (wrapped(DataError, psycopg.errors.NumericValueOutOfRange(SECRET)), 500, "internal_error"),
}


@pytest.mark.parametrize("path", ["/fails", "/plain-failure"])
@pytest.mark.parametrize(("error", "status", "code"), CASES.values(), ids=CASES)
def test_each_exception_has_its_answer(
    client: ListenerClient, path: str, error: BaseException, status: int, code: str
) -> None:
    if path == "/plain-failure" and isinstance(error, exceptions.APIException):
        pytest.skip("DRF's exceptions are raised in DRF's views only")
    Fails.error = error
    answer = client.get(path, headers={"X-Request-ID": "given-1"})
    body = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert body["request_id"] == answer.headers["X-Request-ID"] == "given-1"
    assert body["type"] == f"/docs/problems#{code}"
    assert body["title"]
    assert "hunter2" not in answer.content.decode()
    assert ("Retry-After" in answer.headers) == (status == 503)


@pytest.mark.parametrize("refusal", [NotAuthenticated, ApiKeyMissing])
def test_a_401_carries_its_challenge(client: ListenerClient, refusal: type[Any]) -> None:
    Fails.error = refusal()
    assert client.get("/fails").headers["WWW-Authenticate"] == refusal.challenge


def test_a_429_says_when_to_come_back(client: ListenerClient) -> None:
    Fails.error = RateLimited(retry_after=17)
    assert client.get("/fails").headers["Retry-After"] == "17"
    Fails.error = exceptions.Throttled(wait=2.1)
    assert (client.get("/fails").headers["Retry-After"], client.get("/fails").status_code) == ("3", 429)


def test_fields_of_a_refusal_are_added_and_replace_none(client: ListenerClient) -> None:
    Fails.error = Problem("No.", available=5, status="mine", request_id="mine")
    body = client.get("/fails").json()
    assert (body["available"], body["status"]) == (5, 400)
    assert body["request_id"] != "mine"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_a_405_names_the_methods(client: ListenerClient, method: str) -> None:
    answer = client.generic(method, "/echo")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, POST, HEAD, OPTIONS"


def test_options_changes_nothing_and_says_allow(client: ListenerClient) -> None:
    answer = client.options("/echo")
    assert (answer.status_code, answer.content, answer.headers["Allow"]) == (
        204,
        b"",
        "GET, POST, HEAD, OPTIONS",
    )


def test_a_view_without_a_tier_answers_nobody(client: ListenerClient) -> None:
    assert client.get("/undeclared").json()["code"] == "permission_denied"


def test_a_surprise_is_logged_without_what_it_says_about_people(
    client: ListenerClient, capsys: pytest.CaptureFixture[str]
) -> None:
    Fails.error = RuntimeError("key svc_live_abc123 of ada@example.com")
    client.get("/fails", headers={"X-Request-ID": "given-2"})
    log = capsys.readouterr().out
    assert '"error":"RuntimeError"' in log
    assert '"request_id":"given-2"' in log
    assert "tests/sample.py" in log
    assert "svc_live" not in log
    assert "ada@" not in log


@pytest.mark.django_db(transaction=True)
def test_a_stale_connection_is_not_kept(client: ListenerClient) -> None:
    connection.ensure_connection()
    Fails.error = STALE_PLAN
    client.get("/fails")
    assert connection.connection is None


def test_each_code_is_listed_once_with_each_of_its_statuses(
    django_assert_max_num_queries: Callable[..., Any],
) -> None:
    """Clients branch on `code`: the page of problems is the list of them."""
    listed = all_problems()
    assert len(listed) == len({(entry["code"], entry["status"]) for entry in listed}) > 20
    assert [entry["status"] for entry in listed if entry["code"] == "bad_request"] == [400]
    assert all(entry["detail"].endswith(".") and 400 <= entry["status"] <= 503 for entry in listed)

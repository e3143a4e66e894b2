"""Without the database every call is refused as an outage, never as a bug: 503 and when to come back."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from django.db import connection

from tests.listeners import ListenerClient
from tests.principals import example_body, passing_headers, path_of
from tests.surface import Route, surface

pytestmark = pytest.mark.django_db(transaction=True)

ROUTES = [
    route
    for route in surface()
    if route.view is not None and route.note not in {"docs", "metrics", "staff", "health"}
]
# They answer from the process alone, or refuse what the documented example sends before they look anything up.
NEEDS_NO_DATABASE = {
    "GET /.well-known/jwks.json",
    "GET /v1/auth/cancel-mfa-reset",
    "GET /v1/auth/confirm-email-change",
    "GET /v1/auth/password-reset",
    "GET /v1/auth/password-reset-request",
    "GET /v1/auth/refuse-registration",
    "GET /v1/auth/undo-email-change",
    "GET /v1/auth/verify-email",
    "POST /v1/auth/cancel-mfa-reset",
    "GET /v1/auth/google/callback",
    "POST /v1/auth/confirm-email-change",
    "POST /v1/auth/exchange",
    "POST /v1/auth/google/callback",
    "POST /v1/auth/password-reset",
    "POST /v1/auth/refresh",
    "POST /v1/auth/refuse-registration",
    "POST /v1/auth/undo-email-change",
    "POST /v1/auth/verify-email",
    "POST /v1/billing/webhook",  # without a secret there is no such path
}


@pytest.fixture
def database_gone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Call it, and from then on nobody is at the database's address."""

    def leave() -> None:
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere")

    yield leave
    connection.close()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_lost_database_is_a_503(
    route: Route, make_user: Any, service_key: Any, database_gone: Any, settings: Any
) -> None:
    settings.RATE_LIMITS_FACTOR = 100_000
    headers = passing_headers(route, make_user=make_user, service_key=service_key)
    database_gone()
    answer = ListenerClient(route.listener).raw(
        route.method,
        path_of(route),
        msgspec.json.encode(example_body(route) or {}),
        headers={**headers, "Idempotency-Key": "outage"},
    )
    if f"{route.method} {route.path}" in NEEDS_NO_DATABASE:
        assert answer.status_code < 500
    else:
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
        assert answer.headers["Retry-After"]

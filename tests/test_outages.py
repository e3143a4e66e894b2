"""Without the database every call is refused as an outage, never as a bug: 503 and when to come back."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from django.db import connection

from tests.fixtures import PASSWORD
from tests.listeners import ListenerClient
from tests.principals import example_body, passing_headers, path_of
from tests.surface import Route, surface
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

ROUTES = [
    route
    for route in surface()
    if route.view is not None and route.note not in {"docs", "metrics", "staff", "health"}
]
# They answer from the process alone, or refuse what the documented example sends before they look anything up.
NEEDS_NO_DATABASE = {
    "GET /.well-known/jwks.json",
    "GET /.well-known/oauth-authorization-server",
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


@pytest.mark.parametrize("path", ["login", "register"])
def test_what_a_lost_database_refuses_uses_up_no_limit(
    path: str, make_user: Any, database_gone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise an outage of a minute is an hour for people who repeat, and for everyone in their network."""
    make_user("ada@example.com", password=PASSWORD)
    host, public = connection.settings_dict["HOST"], ListenerClient("public")
    body = {"email": "ada@example.com", "password": PASSWORD}
    database_gone()
    for _ in range(40):
        assert public.post(f"/v1/auth/{path}", body).status_code == 503
    monkeypatch.setitem(connection.settings_dict, "HOST", host)
    connection.close()
    assert public.post(f"/v1/auth/{path}", body).status_code in {200, 202}


def test_behind_a_silent_database_nobody_waits_for_more_than_one_time_out(
    service_key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four calls of services at once, each with a connection of its own to open, as after a restart.

    The database hears from all four before the first has given up: none of them waits for another.
    """
    key, answers = service_key(), []
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "connect_timeout", 3600)  # until it hangs up

    def call() -> None:
        answer = ListenerClient("internal").with_key(key).get(f"/v1/credits/balance?user_id={uuid4()}")
        answers.append(answer.status_code)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        monkeypatch.setitem(connection.settings_dict, "PORT", str(silent.getsockname()[1]))
        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        silent.settimeout(PATIENCE)
        with contextlib.ExitStack() as waiting:
            for _ in threads:
                waiting.enter_context(silent.accept()[0])
            assert answers == []
    for thread in threads:
        thread.join()
    assert answers == [503] * 4

"""Each route, called as each kind of caller: who gets in is what the tier says, with the exact status and code."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.test import AsyncClient, override_settings
from django.utils import timezone

from accounts.models import User
from accounts.service_keys.registry import SCOPES
from tests.listeners import ListenerClient
from tests.principals import api_key, bearer, passing_headers, path_of, well_formed_but_unknown_key
from tests.surface import LISTENERS, METHODS, Route, routes_of, surface

pytestmark = pytest.mark.django_db

ROUTES = [route for route in surface() if route.view is not None]
TIER_CODES = {
    "not_authenticated",
    "access_token_invalid",
    "access_token_expired",
    "session_revoked",
    "email_not_verified",
    "api_key_missing",
    "api_key_invalid",
    "scope_missing",
    "permission_denied",
}
Ask = Callable[[Route, dict[str, str]], tuple[int, str | None]]


def of_tiers(*tiers: str) -> Any:
    return pytest.mark.parametrize(
        "route",
        [route for route in ROUTES if route.tier in tiers],
        ids=lambda route: f"{route.listener} {route.method} {route.path}",
    )


def ask(route: Route, headers: dict[str, str]) -> tuple[int, str | None]:
    answer = ListenerClient(route.listener).generic(route.method, path_of(route), headers=headers)
    is_problem = answer.headers.get("Content-Type") == "application/problem+json"
    return answer.status_code, answer.json()["code"] if is_problem else None


def assert_let_in(outcome: tuple[int, str | None]) -> None:
    status, code = outcome
    assert code not in TIER_CODES
    assert status < 500


@of_tiers("public")
class TestPublicTier:
    def test_nobody(self, route: Route) -> None:
        assert_let_in(ask(route, {}))

    def test_credentials_that_it_does_not_ask_for(self, route: Route, service_key: Any) -> None:
        assert_let_in(ask(route, {"Authorization": "Bearer junk", **api_key(service_key())}))


@of_tiers("authenticated", "verified")
class TestUserTiers:
    def test_nobody(self, route: Route) -> None:
        assert ask(route, {}) == (401, "not_authenticated")

    def test_a_service(self, route: Route, service_key: Any) -> None:
        assert ask(route, api_key(service_key())) == (401, "not_authenticated")

    def test_a_forged_token(self, route: Route, make_user: Any) -> None:
        forged = bearer(make_user())["Authorization"][:-4] + "AAAA"
        assert ask(route, {"Authorization": forged}) == (401, "access_token_invalid")

    @pytest.mark.parametrize("status", ["suspended", "pending_deletion", "deleted"])
    def test_a_user_who_is_not_active(self, route: Route, make_user: Any, status: str) -> None:
        assert ask(route, bearer(make_user(status=status))) == (401, "session_revoked")

    def test_an_ended_session(self, route: Route, make_user: Any) -> None:
        assert ask(route, bearer(make_user(), ended_at=timezone.now(), end_reason="logout")) == (
            401,
            "session_revoked",
        )

    def test_a_token_of_before_all_sessions_were_ended(self, route: Route, make_user: Any) -> None:
        user: User = make_user()
        headers = bearer(user)
        User.objects.filter(pk=user.pk).update(token_version=user.token_version + 1)
        assert ask(route, headers) == (401, "session_revoked")

    def test_an_unverified_user(self, route: Route, make_user: Any) -> None:
        outcome = ask(route, bearer(make_user(verified=False)))
        if route.tier == "verified":
            assert outcome == (403, "email_not_verified")
        else:
            assert_let_in(outcome)

    def test_a_verified_user(self, route: Route, make_user: Any) -> None:
        assert_let_in(ask(route, bearer(make_user())))


@of_tiers("internal")
class TestInternalTier:
    def test_nobody(self, route: Route) -> None:
        assert ask(route, {}) == (401, "api_key_missing")

    def test_a_user(self, route: Route, make_user: Any) -> None:
        assert ask(route, bearer(make_user())) == (401, "api_key_missing")

    def test_a_key_where_a_token_belongs(self, route: Route, service_key: Any) -> None:
        assert ask(route, {"Authorization": f"Bearer {service_key()}"}) == (401, "api_key_missing")

    def test_a_key_in_the_query(self, route: Route, service_key: Any) -> None:
        key = service_key()
        answer = ListenerClient("internal").generic(
            route.method, f"{path_of(route)}?X-API-Key={key}&api_key={key}"
        )
        assert (answer.status_code, answer.json()["code"]) == (401, "api_key_missing")

    def test_a_wrong_key(self, route: Route, service_key: Any) -> None:
        live = service_key()
        for wrong in (well_formed_but_unknown_key(), live[:-1], live + "A", live.swapcase(), "", "junk"):
            assert ask(route, api_key(wrong)) == (401, "api_key_invalid"), wrong

    def test_a_key_with_every_scope_but_the_one(self, route: Route, service_key: Any) -> None:
        needed = route.scopes()
        if not needed:
            pytest.skip("judges the scope of each operation by itself: credits/tests")
        others = sorted(SCOPES - set(needed))
        assert ask(route, api_key(service_key("shop", *others))) == (403, "scope_missing")

    def test_a_key_with_that_scope_alone(self, route: Route, service_key: Any) -> None:
        for scope in route.scopes():
            assert_let_in(ask(route, api_key(service_key(f"for-{scope.replace(':', '-')}", scope))))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.listener} {route.method} {route.path}")
def test_a_path_of_another_listener_is_unknown(route: Route, make_user: Any, service_key: Any) -> None:
    both = {**bearer(make_user()), **api_key(service_key())}
    for listener in set(LISTENERS) - {other.listener for other in ROUTES if other.path == route.path}:
        answer = ListenerClient(listener).generic(route.method, path_of(route), headers=both)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("listener", LISTENERS)
def test_each_path_refuses_the_methods_that_it_does_not_list(
    listener: str, make_user: Any, service_key: Any
) -> None:
    """Before it looks at a credential; `Allow` names the others."""
    known: dict[str, set[str]] = {}
    for route in routes_of(listener):
        if route.view is not None:
            known.setdefault(path_of(route), set()).add(route.method)
    for path, methods in known.items():
        for method in {name.upper() for name in METHODS} - methods:
            answer = ListenerClient(listener).generic(method, path)
            assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed"), path
            implied = {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
            assert set(answer.headers["Allow"].split(", ")) == methods | implied


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.listener} {route.method} {route.path}")
def test_personal_answers_are_not_kept_by_caches(route: Route, make_user: Any, service_key: Any) -> None:
    headers = passing_headers(route, make_user=make_user, service_key=service_key)
    answer = ListenerClient(route.listener).generic(route.method, path_of(route), headers=headers)
    if route.tier != "public" or answer.status_code >= 400:
        assert answer.headers["Cache-Control"] == "no-store"


def ask_asgi(route: Route, headers: dict[str, str]) -> tuple[int, str | None]:
    """One request through Django's asynchronous handler, as config/asgi.py has it, on the test's own connection."""
    middleware = settings.MIDDLEWARE_BY_LISTENER[route.listener]
    with override_settings(ROOT_URLCONF=f"config.urls.{route.listener}", MIDDLEWARE=middleware):
        client = AsyncClient(raise_request_exception=False)
        answer = async_to_sync(converse)(client, route.method, path_of(route), headers)
    is_problem = answer.headers.get("Content-Type") == "application/problem+json"
    return answer.status_code, answer.json()["code"] if is_problem else None


async def converse(client: AsyncClient, method: str, path: str, headers: dict[str, str]) -> Any:
    return await client.generic(method, path, headers=headers)


def test_the_same_holds_under_asgi(make_user: Any, service_key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTENER", "public")
    assert isinstance(import_module("config.asgi").application, ASGIHandler)
    someone, unverified, key = bearer(make_user()), bearer(make_user(verified=False)), api_key(service_key())
    for route in ROUTES:
        if route.note in {"docs", "health", "staff"} or "logout" in route.path:
            continue
        if (route.method, route.path) == ("DELETE", "/v1/auth/me"):
            continue  # as with logout: the first of the two calls would decide the second
        for headers in ({}, someone, unverified, key):
            assert ask_asgi(route, headers) == ask(route, headers), (route.path, list(headers))

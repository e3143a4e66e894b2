"""Sensitive calls: a committed table says which; each asks for a recent sign-in after its tier, and no other does."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.principals import bearer
from tests.surface import Route, surface
from tests.test_tiers import ask

pytestmark = pytest.mark.django_db

OF_USERS = [route for route in surface() if route.tier in {"authenticated", "verified"}]
SENSITIVE = [route for route in OF_USERS if "recent sign-in" in route.note]
ORDINARY = [route for route in OF_USERS if "recent sign-in" not in route.note]
TABLE = {
    "POST /v1/auth/change-email",
    "DELETE /v1/auth/me",
    "GET /v1/auth/me/export",
    "GET /v1/auth/mfa",
    "POST /v1/auth/mfa/totp",
    "DELETE /v1/auth/mfa/totp",
    "POST /v1/auth/mfa/totp/confirm",
    "POST /v1/auth/mfa/recovery-codes",
    "POST /v1/auth/mfa/passkeys/options",
    "POST /v1/auth/mfa/passkeys",
    "DELETE /v1/auth/mfa/passkeys/{passkey_id}",
    "POST /v1/auth/google/link",
    "POST /v1/auth/google/unlink",
}


def by_name(route: Route) -> str:
    return f"{route.method} {route.path}"


def signed_in(user: Any, **ago: int) -> dict[str, str]:
    return bearer(user, created_at=timezone.now() - timedelta(**ago))


def test_the_table() -> None:
    assert {by_name(route) for route in SENSITIVE} == TABLE


@pytest.mark.parametrize("route", SENSITIVE, ids=by_name)
def test_a_sensitive_call_asks_for_it(route: Route, make_user: Any) -> None:
    user = make_user()
    assert ask(route, signed_in(user, minutes=5, seconds=1)) == (403, "reauthentication_required")
    assert ask(route, signed_in(user, minutes=4, seconds=50))[1] != "reauthentication_required"


@pytest.mark.parametrize("route", SENSITIVE, ids=by_name)
def test_after_its_tier(route: Route, make_user: Any) -> None:
    headers = signed_in(make_user(verified=False), minutes=6)
    expected = (403, "email_not_verified" if route.tier == "verified" else "reauthentication_required")
    assert ask(route, headers) == expected


@pytest.mark.parametrize("route", ORDINARY, ids=by_name)
def test_the_others_do_not(route: Route, make_user: Any) -> None:
    assert ask(route, signed_in(make_user(), minutes=6))[1] != "reauthentication_required"


def test_it_says_with_what(public: Any, make_user: Any) -> None:
    headers = signed_in(make_user(), minutes=6)
    assert public.delete("/v1/auth/me", headers=headers).json()["methods"] == ["password"]

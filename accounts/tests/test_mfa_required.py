"""MFA_REQUIRED: whose sessions must have shown a second factor, whichever way they were opened."""

from typing import Any

import pytest

from accounts.models import Session
from accounts.tests.conftest import PASSWORD, outcome, post
from accounts.tests.test_factors import enrol
from tests.authenticators import code_of, next_code
from tests.fixtures import give_app, issue_access_token, take_token
from tests.principals import bearer
from tests.surface import Route, surface
from tests.test_tiers import ask

pytestmark = pytest.mark.django_db
EMAIL = "ada@example.com"
OF_USERS = [route for route in surface() if route.tier in {"authenticated", "verified"}]
WITHOUT = {
    "POST /v1/auth/logout",
    "POST /v1/auth/logout-all",
    "POST /v1/auth/reauthenticate",
    "GET /v1/auth/me/status",
}
NEEDED = (403, "mfa_enrolment_required")


def by_name(route: Route) -> str:
    return f"{route.method} {route.path}"


def works_without(route: Route) -> bool:
    return by_name(route) in WITHOUT or route.path.startswith("/v1/auth/mfa")


@pytest.mark.parametrize("route", OF_USERS, ids=by_name)
def test_what_works_without_one(route: Route, make_user: Any, settings: Any) -> None:
    settings.MFA_REQUIRED = "everybody"
    answer = ask(route, bearer(make_user()))
    assert answer[1] != "mfa_enrolment_required" if works_without(route) else answer == NEEDED


@pytest.mark.parametrize("route", OF_USERS, ids=by_name)
def test_after_its_tier(route: Route, make_user: Any, settings: Any) -> None:
    settings.MFA_REQUIRED = "everybody"
    code = ask(route, bearer(make_user(verified=False)))[1]
    if route.tier == "verified":
        assert code == "email_not_verified"


@pytest.mark.parametrize(
    "case",
    [("nobody", True, False), ("staff", False, False), ("staff", True, True), ("everybody", False, True)],
)
def test_of_whom(public, make_user, settings, case):
    settings.MFA_REQUIRED, is_staff, needed = case
    client = public.with_token(issue_access_token(make_user(is_staff=is_staff)))
    answer = client.get("/v1/auth/me")
    assert outcome(answer) == (NEEDED if needed else (200, ""))


def test_from_signing_in_to_having_one(public, make_user, settings, sign_in):
    settings.MFA_REQUIRED = "everybody"
    make_user(EMAIL, password=PASSWORD)
    client = public.with_token(sign_in(EMAIL)["access_token"])
    assert outcome(client.get("/v1/auth/me")) == NEEDED
    enrol(client)
    assert client.get("/v1/auth/me").status_code == 200
    assert outcome(post(public, "login", email=EMAIL, password=PASSWORD)) == (401, "mfa_required")


def test_a_session_of_before_shows_the_factor_first(public, make_user, settings):
    ada = make_user()
    client = public.with_token(issue_access_token(ada))
    secret = give_app(ada)
    settings.MFA_REQUIRED = "everybody"
    answer = client.get("/v1/auth/me")
    assert (outcome(answer), answer.json()["methods"]) == ((403, "reauthentication_required"), ["code"])
    take_token(client, post(client, "reauthenticate", code=code_of(secret)).json()["access_token"])
    assert client.get("/v1/auth/me").status_code == 200


def test_other_services_learn_of_no_session_without_one(public, internal, service_key, make_user, settings):
    ada = make_user(EMAIL, password=PASSWORD)
    token = issue_access_token(ada)
    shop = internal.with_key(service_key("shop", "tokens:introspect"))
    introspect = lambda text: shop.post("/v1/tokens/introspect", {"token": text}).json()["active"]  # noqa: E731
    assert introspect(token)
    settings.MFA_REQUIRED = "everybody"
    assert not introspect(token)
    secret = give_app(ada)
    half = post(public, "login", email=EMAIL, password=PASSWORD).json()["mfa_token"]
    pair = post(public, "login/mfa", mfa_token=half, code=next_code(secret)).json()
    assert introspect(pair["access_token"])
    assert Session.MFA in Session.objects.latest("created_at").methods

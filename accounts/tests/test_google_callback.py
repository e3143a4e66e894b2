"""Refuse alike what comes back from Google, posted by a page or brought by a program that follows the redirect."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import User
from accounts.tests.conftest import outcome, post
from accounts.tests.google_steps import begin, id_token, link, parameters, rows
from tests.fake_google.providers import Provider
from tests.fixtures import issue_access_token
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
EMAIL = "ada@gmail.test"
NOWHERE = "http://127.0.0.1:9/token"
PATH = "/v1/auth/google/callback"
WAYS: dict[str, Callable[[ListenerClient, dict[str, str]], Any]] = {
    "POST": lambda client, brought: client.post(PATH, brought),
    "GET": lambda client, brought: client.get(PATH, brought),
}


@pytest.fixture(params=WAYS)
def come_back(request: pytest.FixtureRequest) -> Callable[[ListenerClient, dict[str, str]], Any]:
    return WAYS[request.param]


@pytest.fixture
def ada(make_user: Callable[..., User]) -> User:
    return make_user(EMAIL)


class TestSigningIn:
    def test_the_person_said_no(self, public, google, come_back):
        state = parameters(begin(public))["state"]
        refused = come_back(public, {"state": state, "error": "access_denied"})
        assert outcome(refused) == (400, "oauth_denied")

    def test_a_code_that_google_does_not_take(self, public, google, come_back):
        brought = google.authorize(begin(public), "600")
        google.order(status=400, error="invalid_grant")
        assert outcome(come_back(public, brought)) == (400, "oauth_code_invalid")

    @pytest.mark.parametrize(
        ("claims", "expected"),
        [
            ({"aud": "another.apps.test"}, (401, "id_token_invalid")),
            ({"email_verified": False}, (403, "google_email_not_verified")),
        ],
    )
    def test_claims(self, public, google, come_back, claims, expected):
        url = begin(public)
        brought = google.authorize(url, "600")
        changed = google.claims("600", **{"nonce": parameters(url)["nonce"], **claims})
        google.order(id_token=google.forge(changed))
        before = rows()
        assert outcome(come_back(public, brought)) == expected
        assert rows() == before

    def test_an_address_that_is_somebody_elses(self, public, google, ada, come_back):
        google.add("700", email=EMAIL)
        brought = google.authorize(begin(public), "700")
        assert outcome(come_back(public, brought)) == (409, "account_exists")

    def test_google_is_away(self, public, google, settings, come_back):
        brought = google.authorize(begin(public), "600")
        settings.GOOGLE_TOKEN_URL = NOWHERE
        assert outcome(come_back(public, brought)) == (503, "google_unavailable")


class TestLinking:
    @pytest.fixture
    def client(self, public, ada):
        return public.with_token(issue_access_token(ada))

    @pytest.fixture
    def brought(self, google, client) -> dict[str, str]:
        google.add("700", email=EMAIL)
        url = post(client, "google/link").json()["authorization_url"]
        brought: dict[str, str] = google.authorize(url, "700")
        return brought

    def test_a_google_account_of_another_user(self, google, client, brought, make_user, come_back):
        link(make_user(), google, "700")
        assert outcome(come_back(client, brought)) == (409, "google_account_taken")

    def test_a_user_who_has_one(self, google, ada, client, brought, come_back):
        link(ada, google, "701")
        assert outcome(come_back(client, brought)) == (409, "google_already_linked")

    def test_by_a_token_without_a_verified_address(self, google: Provider, client):
        text = id_token(client, google, "700", email_verified=False)
        assert outcome(post(client, "google/link", id_token=text)) == (403, "google_email_not_verified")

    def test_by_a_token_while_googles_keys_cannot_be_read(self, google, client, settings):
        text = id_token(client, google, "700")
        settings.GOOGLE_JWKS_URL = NOWHERE
        assert outcome(post(client, "google/link", id_token=text)) == (503, "google_unavailable")

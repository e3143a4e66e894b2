"""Whom a Google account opens: links, the same rules as every other way in, and what a thief is left with."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.db.models.functions import Now
from django.utils import timezone

from accounts.identity import erasure
from accounts.models import AuditEvent, Session, User
from accounts.sign_in import by_google as sign_in_with_google
from accounts.tests.conftest import OTHER_PASSWORD, PASSWORD, deliver_mails, link_in, outcome, post
from accounts.tests.google_steps import begin, id_token, link, parameters, rows, sign_in, sign_in_by_token
from tests.fixtures import grow_old, issue_access_token, take_token
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
EMAIL = "ada@gmail.test"


@pytest.fixture
def ada(make_user):
    return make_user(EMAIL, password=PASSWORD, display_name="Ada")


@pytest.fixture
def client(public, ada):
    return public.with_token(issue_access_token(ada))


def by_callback(google, **query):
    google.add("700", email=EMAIL)
    return sign_in(ListenerClient("public"), google, "700", **query)


def by_get(google, *, client=None, **query):
    google.add("700", email=EMAIL)
    client = client or ListenerClient("public")
    return client.get("/v1/auth/google/callback", google.authorize(begin(client, **query), "700"))


def by_token(google, **body):
    client = ListenerClient("public")
    return post(client, "google/token", id_token=id_token(client, google, "700", email=EMAIL), **body)


def by_exchange(google, settings, **query):
    settings.FRONTEND_URL = "https://app.test"
    browser = ListenerClient("public")
    code = parameters(by_get(google, client=browser, **query)["Location"])["code"]
    return post(browser, "exchange", code=code)


PATHS: dict[str, Callable[..., Any]] = {
    "callback": by_callback,
    "callback by GET": by_get,
    "token": by_token,
    "exchange": by_exchange,
}
# The account's state, whether it asks to keep the account, and the answer on every path.
STATES = [
    ({}, False, (200, "")),
    ({"verified": False}, False, (200, "")),
    ({"status": "suspended"}, False, (403, "account_suspended")),
    ({"status": "suspended"}, True, (403, "account_suspended")),
    ({"status": "pending_deletion"}, False, (403, "deletion_pending")),
    ({"status": "pending_deletion"}, True, (200, "")),
]


class TestStates:
    @pytest.mark.parametrize("path", PATHS)
    def test_an_unverified_one_where_the_setting_asks(self, google, settings, make_user, path):
        settings.LOGIN_REQUIRES_VERIFIED_EMAIL = True
        user = make_user(EMAIL, verified=False)
        link(user, google, "700")
        more = {"settings": settings} if path == "exchange" else {}
        assert outcome(PATHS[path](google, **more)) == (403, "email_not_verified")
        assert not Session.objects.exists()

    @pytest.mark.parametrize("case", STATES, ids=str)
    @pytest.mark.parametrize("path", PATHS)
    def test_as_a_password_would(self, google, settings, make_user, path, case):
        state, keep, expected = case
        user = make_user(EMAIL, **state)
        link(user, google, "700")
        wish = ({"cancel_deletion": True} if path == "token" else {"cancel_deletion": "1"}) if keep else {}
        more = {"settings": settings} if path == "exchange" else {}
        assert outcome(PATHS[path](google, **more, **wish)) == expected
        assert Session.objects.filter(user=user).exists() == (expected[0] == 200)
        user.refresh_from_db()
        assert user.status == ("active" if expected[0] == 200 else state["status"])

    def test_an_erased_account_is_gone_and_the_next_sign_in_makes_another(self, google, ada):
        link(ada, google, "700")
        User.objects.filter(pk=ada.pk).update(status="pending_deletion", deletes_at=Now())
        assert erasure.erase_due() == 1
        assert not SocialAccount.objects.exists()
        assert by_token(google).status_code == 200
        assert User.objects.get(email=EMAIL).pk != ada.pk


class TestAddresses:
    def test_of_a_verified_account(self, public, google, ada):
        before = rows()
        assert outcome(sign_in_by_token(public, google, "700", email=EMAIL)) == (409, "account_exists")
        assert rows() == before

    def test_given_to_somebody_else_by_its_owner(self, public, google, ada):
        """A Workspace address with another sub is another person."""
        link(ada, google, "700")
        before = rows()
        assert outcome(sign_in_by_token(public, google, "701", email=EMAIL)) == (409, "account_exists")
        assert rows() == before

    def test_registered_by_a_thief_who_never_confirmed_it(self, public, google, register, sign_in):
        register(EMAIL, OTHER_PASSWORD)
        thief = sign_in(EMAIL, OTHER_PASSWORD)
        thiefs = User.objects.get()
        assert sign_in_by_token(public, google, "700", email=EMAIL).status_code == 200
        owner = User.objects.get(email=EMAIL)
        thiefs.refresh_from_db()
        assert owner.pk != thiefs.pk
        assert (thiefs.email, thiefs.has_usable_password()) == (None, False)
        assert outcome(public.with_token(thief["access_token"]).get("/v1/auth/me/status"))[0] == 401
        assert post(public, "refresh", refresh_token=thief["refresh_token"]).status_code == 401
        assert outcome(post(public, "login", email=EMAIL, password=OTHER_PASSWORD)) == (
            401,
            "invalid_credentials",
        )

    def test_the_link_of_the_thiefs_registration_opens_nothing(self, public, google, register):
        mail = register(EMAIL, OTHER_PASSWORD)
        sign_in_by_token(public, google, "700", email=EMAIL)
        assert outcome(post(public, "verify-email", token=link_in(mail))) == (400, "token_invalid")


class TestLink:
    def test_by_an_id_token_whatever_its_address(self, public, google, ada, client):
        text = id_token(public, google, "700", email="other@gmail.test")
        assert post(client, "google/link", id_token=text).json() == {"google_linked": True}
        assert client.get("/v1/auth/me").json()["google_linked"] is True
        (mail,) = deliver_mails()
        assert (mail.to, mail.subject) == ([EMAIL], "Google sign-in is now linked")
        assert AuditEvent.objects.filter(type="google_linked", user=ada).count() == 1
        assert by_token(google).status_code == 200
        assert set(Session.objects.values_list("user", flat=True)) == {ada.pk}

    def test_by_the_browser(self, google, ada, client):
        google.add("700", email=EMAIL)
        brought = google.authorize(post(client, "google/link").json()["authorization_url"], "700")
        assert post(client, "google/callback", **brought).json() == {"google_linked": True}
        assert SocialAccount.objects.get().user_id == ada.pk

    def test_dies_with_the_session(self, google, ada, client):
        google.add("700", email=EMAIL)
        brought = google.authorize(post(client, "google/link").json()["authorization_url"], "700")
        post(client, "logout")
        assert outcome(post(client, "google/callback", **brought)) == (400, "state_invalid")
        assert not SocialAccount.objects.exists()

    @pytest.mark.parametrize("end", ["logout", "logout-all"])
    def test_is_not_made_where_the_session_ends_while_google_is_asked(self, google, client, end, monkeypatch):
        text, identify = id_token(ListenerClient("public"), google, "666"), sign_in_with_google.identify

        def slow(raw):
            identity = identify(raw)
            post(client, end)  # as the owner does, who has just found out
            return identity

        monkeypatch.setattr(sign_in_with_google, "identify", slow)
        assert outcome(post(client, "google/link", id_token=text)) == (401, "session_revoked")
        assert not SocialAccount.objects.exists()

    def test_of_another_account(self, public, google, client, make_user):
        link(make_user(), google, "700")
        answer = post(client, "google/link", id_token=id_token(public, google, "700"))
        assert outcome(answer) == (409, "google_account_taken")

    def test_a_second_one(self, public, google, ada, client):
        link(ada, google, "700")
        again = post(client, "google/link", id_token=id_token(public, google, "700"))
        assert again.json() == {"google_linked": True}
        answer = post(client, "google/link", id_token=id_token(public, google, "701"))
        assert outcome(answer) == (409, "google_already_linked")
        assert outcome(post(client, "google/link")) == (409, "google_already_linked")  # not only after Google
        assert SocialAccount.objects.get().uid == "700"

    def test_bad_id_tokens(self, google, client):
        before = rows()
        assert outcome(post(client, "google/link", id_token="x")) == (401, "id_token_invalid")
        assert rows() == before


class TestUnlink:
    def test_with_a_password(self, public, google, ada, client):
        link(ada, google, "700")
        assert post(client, "google/unlink").status_code == 204
        (mail,) = deliver_mails()
        assert mail.subject == "Google was unlinked"
        assert outcome(by_token(google)) == (409, "account_exists")
        assert post(client, "google/unlink").status_code == 204

    def test_the_last_way_in(self, public, google):
        tokens = by_token(google).json()
        client = public.with_token(tokens["access_token"])
        assert outcome(post(client, "google/unlink")) == (409, "last_login_method")
        assert post(client, "change-password", new_password=PASSWORD).status_code == 204
        assert post(client, "google/unlink").status_code == 204


class TestReauthenticate:
    def test_by_the_linked_account(self, public, google, ada, client):
        link(ada, google, "700")
        grow_old(client)
        refused = post(client, "google/unlink")
        assert (outcome(refused), refused.json()["methods"]) == (
            (403, "reauthentication_required"), ["password", "id_token"],
        )  # fmt: skip
        text = id_token(public, google, "700")
        proved = post(client, "reauthenticate", id_token=text)
        assert outcome(post(client, "google/unlink")) == (403, "reauthentication_required")
        take_token(client, proved.json()["access_token"])
        assert post(client, "google/unlink").status_code == 204
        assert outcome(post(client, "reauthenticate", id_token=text)) == (403, "reauthentication_failed")

    @pytest.mark.parametrize(
        "case", [(False, None, 200), (True, None, 403), (False, 10, 200), (True, 10, 200), (False, 400, 403)]
    )
    def test_who_was_asked_long_ago_proves_nothing(self, public, google, client, settings, case):
        """A browser that is signed in at Google gives a fresh token to anyone at the browser."""
        settings.GOOGLE_PROOF_NEEDS_AUTH_TIME, age, expected = case
        link(User.objects.get(email=EMAIL), google, "700")
        claims = {} if age is None else {"auth_time": int(timezone.now().timestamp()) - age}
        answer = post(client, "reauthenticate", id_token=id_token(public, google, "700", **claims))
        assert answer.status_code == expected

    @pytest.mark.parametrize("junk", ["1795946400", 1.5, True, [], {}])
    def test_a_time_that_is_not_one(self, public, google, ada, client, junk):
        link(ada, google, "700")
        answer = post(client, "reauthenticate", id_token=id_token(public, google, "700", auth_time=junk))
        assert outcome(answer) == (403, "reauthentication_failed")

    def test_by_another_one(self, public, google, ada, client):
        link(ada, google, "700")
        grow_old(client)
        for text in (id_token(public, google, "701"), id_token(public, google, "700", nonce="x"), "x"):
            assert outcome(post(client, "reauthenticate", id_token=text)) == (403, "reauthentication_failed")
        assert outcome(post(client, "google/unlink")) == (403, "reauthentication_required")


class TestThief:
    def test_the_undo_link_removes_the_google_account_that_was_linked_since(
        self, public, google, ada, client
    ):
        post(client, "change-email", new_email="thief@evil.test")
        mails = {mail.to[0]: mail for mail in [*deliver_mails(), *deliver_mails()]}
        assert post(client, "google/link", id_token=id_token(public, google, "666")).status_code == 200
        assert post(public, "undo-email-change", token=link_in(mails[EMAIL])).status_code == 200
        assert not SocialAccount.objects.exists()
        assert outcome(sign_in_by_token(public, google, "666", email=EMAIL)) == (409, "account_exists")

    def test_and_the_one_that_he_linked_before(self, public, google, ada, client):
        assert post(client, "google/link", id_token=id_token(public, google, "666")).status_code == 200
        deliver_mails()
        post(client, "change-email", new_email="thief@evil.test")
        mails = {mail.to[0]: mail for mail in [*deliver_mails(), *deliver_mails()]}
        assert post(public, "undo-email-change", token=link_in(mails[EMAIL])).status_code == 200
        assert not SocialAccount.objects.exists()

    def test_and_leaves_the_owners_own(self, public, google, ada, client):
        User.objects.update(created_at=Now() - timedelta(days=30))
        link(ada, google, "700")
        SocialAccount.objects.update(date_joined=Now() - timedelta(days=8))
        post(client, "change-email", new_email="thief@evil.test")
        mails = {mail.to[0]: mail for mail in [*deliver_mails(), *deliver_mails()]}
        assert post(public, "undo-email-change", token=link_in(mails[EMAIL])).status_code == 200
        assert SocialAccount.objects.get().uid == "700"

    def test_a_reset_soon_after_verification_removes_what_was_linked_meanwhile(
        self, public, google, ada, client
    ):
        assert post(client, "google/link", id_token=id_token(public, google, "666")).status_code == 200
        deliver_mails()
        self.reset(public)
        assert not SocialAccount.objects.exists()

    def test_but_not_the_google_account_that_founded_the_account(self, public, google):
        by_token(google)
        self.reset(public)
        assert SocialAccount.objects.get().uid == "700"

    def reset(self, public):
        post(public, "password-reset-request", email=EMAIL)
        (mail,) = [mail for mail in deliver_mails() if "password" in mail.subject]
        assert (
            post(public, "password-reset", token=link_in(mail), new_password=OTHER_PASSWORD).status_code
            == 204
        )


def test_the_export_has_it(google, ada, client):
    link(ada, google, "700")
    data = json.loads(client.get("/v1/auth/me/export").getvalue())
    (account,) = data["google_accounts"]
    assert (account["subject"], account["email"], account["issuer"]) == ("700", EMAIL, google.url)

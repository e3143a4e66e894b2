"""Leaving and staying: closed at once, erased after the grace, kept by signing in."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts import sessions
from accounts.errors import SessionRevoked
from accounts.identity import deletion, erasure
from accounts.kit.client import Client
from accounts.models import AuditEvent, Session, User
from accounts.tests.conftest import OTHER_PASSWORD, PASSWORD, at_once, deliver_mails, outcome, post
from tests.fixtures import issue_access_token

EMAIL = "ada@example.com"


@pytest.fixture
def ada(make_user):
    return make_user(EMAIL, password=PASSWORD, display_name="Ada")


@pytest.fixture
def client(public, ada):
    return public.with_token(issue_access_token(ada))


@pytest.mark.django_db
class TestDeleteMe:
    def test_anonymous(self, public):
        assert outcome(public.delete("/v1/auth/me")) == (401, "not_authenticated")

    def test_unverified(self, public, user):
        answer = public.with_token(issue_access_token(user)).delete("/v1/auth/me")
        assert outcome(answer) == (403, "email_not_verified")
        assert User.objects.get().status == "active"

    def test_a_sign_in_of_long_ago(self, public, ada):
        token = issue_access_token(ada, created_at=timezone.now() - timedelta(minutes=6))
        assert outcome(public.with_token(token).delete("/v1/auth/me")) == (403, "reauthentication_required")
        assert User.objects.get().status == "active"
        assert public.with_token(token).get("/v1/auth/me").status_code == 200  # looking is not sensitive

    def test_takes_no_body(self, client):
        assert outcome(client.delete("/v1/auth/me", {"deletes_at": "2020-01-01"})) == (400, "unknown_field")
        assert User.objects.get().status == "active"

    def test_lasts_as_long_as_the_settings_say(self, client, settings):
        settings.DELETION_GRACE = timedelta(days=3)
        left = datetime.fromisoformat(client.delete("/v1/auth/me").json()["deletes_at"]) - datetime.now(UTC)
        assert timedelta(days=3) - timedelta(minutes=1) < left <= timedelta(days=3)

    def test_says_when_and_signs_out_everywhere(self, public, ada, client):
        other = public.with_token(issue_access_token(ada))
        answer = client.delete("/v1/auth/me")
        assert answer.status_code == 202
        left = datetime.fromisoformat(answer.json()["deletes_at"]) - datetime.now(UTC)
        assert timedelta(days=14) - timedelta(minutes=1) < left <= timedelta(days=14)
        for session in (client, other):
            assert outcome(session.get("/v1/auth/me")) == (401, "session_revoked")
        (message,) = deliver_mails()
        assert (message.to, message.subject) == ([EMAIL], "Your account will be deleted")
        assert answer.json()["deletes_at"][:4] in message.body

    def test_a_session_that_ended_while_it_asked_closes_nothing(self, ada):
        """The owner's undo of a change of address, say, is not followed by the thief's deletion."""
        issue_access_token(ada)
        session = Session.objects.select_related("user").get()
        sessions.end_all(ada.pk, reason=sessions.EndReason.EMAIL)
        with pytest.raises(SessionRevoked):
            deletion.request(session, client=Client(None, ""))
        ada.refresh_from_db()
        assert (ada.status, ada.deletes_at) == ("active", None)

    def test_nobody_finds_the_user(self, public, internal, service_key, ada, client):
        token = issue_access_token(ada)
        client.delete("/v1/auth/me")
        service = internal.with_key(service_key())
        assert public.get(f"/v1/auth/users/{ada.pk}").status_code == 404
        assert service.get(f"/v1/users/{ada.pk}").status_code == 404
        assert service.get(f"/v1/users/by-email/{EMAIL}").status_code == 404
        assert service.post("/v1/tokens/introspect", {"token": token}).json() == {"active": False}

    def test_the_address_stays_reserved(self, public, ada, client):
        client.delete("/v1/auth/me")
        deliver_mails()
        assert post(public, "register", email=EMAIL, password=OTHER_PASSWORD).status_code == 202
        assert User.objects.get().pk == ada.pk
        assert deliver_mails()[0].subject == "You already have an account"

    def test_signing_in_keeps_the_account_where_it_is_asked_for(self, public, ada, client):
        client.delete("/v1/auth/me")
        refused = post(public, "login", email=EMAIL, password=PASSWORD)
        assert outcome(refused) == (403, "deletion_pending")
        answer = post(public, "login", email=EMAIL, password=PASSWORD, cancel_deletion=True)
        assert answer.status_code == 200
        ada.refresh_from_db()
        assert (ada.status, ada.deletes_at, ada.display_name) == ("active", None, "Ada")
        assert AuditEvent.objects.filter(type="deletion_cancelled").count() == 1

    def test_a_wrong_password_keeps_nothing(self, public, ada, client):
        client.delete("/v1/auth/me")
        answer = post(public, "login", email=EMAIL, password=OTHER_PASSWORD, cancel_deletion=True)
        assert outcome(answer) == (401, "invalid_credentials")
        ada.refresh_from_db()
        assert ada.status == "pending_deletion"


@pytest.mark.django_db
class TestErasure:
    def test_waits_for_the_end_of_the_grace(self, ada, client):
        client.delete("/v1/auth/me")
        assert erasure.erase_due() == 0
        ada.refresh_from_db()
        assert ada.email == EMAIL

    def test_frees_the_address_and_keeps_the_id(self, public, ada, client, register):
        client.delete("/v1/auth/me")
        deliver_mails()
        User.objects.update(deletes_at=timezone.now())
        assert erasure.erase_due() == 1
        assert erasure.erase_due() == 0
        gone = User.objects.get(pk=ada.pk)
        assert (gone.status, gone.email, gone.display_name, gone.deletes_at) == ("deleted", None, "", None)
        assert not gone.has_usable_password()
        answer = post(public, "login", email=EMAIL, password=PASSWORD, cancel_deletion=True)
        assert outcome(answer) == (401, "invalid_credentials")
        register(EMAIL, OTHER_PASSWORD)
        assert User.objects.get(email=EMAIL).pk != ada.pk

    def test_does_not_touch_who_has_come_back(self, public, ada, client):
        client.delete("/v1/auth/me")
        User.objects.update(deletes_at=timezone.now())
        post(public, "login", email=EMAIL, password=PASSWORD, cancel_deletion=True)
        assert not erasure.erase(ada.pk)
        ada.refresh_from_db()
        assert ada.email == EMAIL


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_coming_back_and_erasure(self, public, ada, client):
        """Either the account is erased and nobody is signed in, or it is kept and nothing is lost."""
        from tests.listeners import ListenerClient

        client.delete("/v1/auth/me")
        User.objects.update(deletes_at=timezone.now())

        def job(number):
            if number % 2:
                return erasure.erase(ada.pk)
            body = {"email": EMAIL, "password": PASSWORD, "cancel_deletion": True}
            return ListenerClient("public").post("/v1/auth/login", body).status_code

        results = at_once(4, job)
        ada.refresh_from_db()
        live = Session.objects.filter(ended_at=None).count()
        if ada.status == "deleted":
            assert (ada.email, live) == (None, 0)
            assert 200 not in results
        else:
            assert (ada.email, ada.status, ada.display_name) == (EMAIL, "active", "Ada")
            assert True not in results
            assert live == results.count(200)

    def test_closing_twice_closes_once(self, public, ada):
        tokens = [issue_access_token(ada) for _ in range(8)]
        results = at_once(
            8, lambda number: public.with_token(tokens[number]).delete("/v1/auth/me").status_code
        )
        assert (results.count(202), results.count(401)) == (1, 7)
        assert AuditEvent.objects.filter(type="deletion_requested").count() == 1

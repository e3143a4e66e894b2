"""Sessions: the list of devices, ending them, proving again who one is, and what makes a sign-in recent."""

from datetime import timedelta
from threading import Event as Signal
from threading import Thread
from uuid import uuid4

import jwt
import pytest
from django.db import connection
from django.db.models.functions import Now
from django.http import HttpResponse
from django.test import override_settings
from django.utils import timezone

from accounts import sessions
from accounts.identity import status
from accounts.kit import devices
from accounts.kit.client import Client
from accounts.models import AuditEvent, Session
from accounts.sessions.tokens import SessionAccessToken
from accounts.tests.conftest import OTHER_PASSWORD, PASSWORD, deliver_mails, link_in, outcome, post
from tests.fixtures import grow_old, take_token
from tests.listeners import ListenerClient
from tests.waiting import eventually

EMAIL = "ada@example.com"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36"


@pytest.fixture
def ada(make_user):
    return make_user(EMAIL, password=PASSWORD)


@pytest.fixture
def device(public, ada, sign_in):
    """`device()`: a client that is signed in as ada, in a session of its own."""
    return lambda: public.with_token(sign_in(EMAIL)["access_token"])


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


def listed(client):
    return client.get("/v1/auth/sessions").json()["results"]


def ended():
    return Session.objects.exclude(ended_at=None).count()


@pytest.mark.django_db
class TestSessions:
    def test_nobody(self, public):
        assert outcome(public.get("/v1/auth/sessions")) == (401, "not_authenticated")

    def test_lists_the_own_ones_that_live(self, public, device, make_user, access_token):
        access_token(make_user())
        *_, out, this = (device() for _ in range(5))
        out.post("/v1/auth/logout")
        ids = [entry["id"] for entry in listed(this)]
        Session.objects.filter(pk=ids[2]).update(current_expires_at=Now())  # idle for too long
        Session.objects.filter(pk=ids[3]).update(expires_at=Now())
        entries = listed(this)
        assert [entry["id"] for entry in entries] == ids[:2]
        assert [entry["current"] for entry in entries] == [True, False]
        assert set(entries[0]) == {
            *("id", "current", "admin", "created_at", "last_used_at", "ip", "user_agent", "methods")
        }
        assert (entries[0]["ip"], entries[0]["methods"]) == ("127.0.0.1", ["pwd"])


@pytest.mark.django_db
class TestHowMany:
    @pytest.fixture(autouse=True)
    def _three(self, settings):
        settings.SESSIONS_PER_USER = 3

    def test_one_more_ends_the_one_that_was_not_used_for_longest(
        self, public, device, make_user, access_token
    ):
        stranger = public.with_token(access_token(make_user()))
        first, second, third = device(), device(), device()
        oldest = Session.objects.filter(user__email=EMAIL).order_by("created_at")[0]
        Session.objects.filter(pk=oldest.pk).update(last_used_at=Now())
        fourth = device()
        assert [one.get("/v1/auth/me").status_code for one in (first, second, third, fourth, stranger)] == [
            200, 401, 200, 200, 200,
        ]  # fmt: skip
        assert Session.objects.exclude(ended_at=None).get().end_reason == "too_many"

    def test_ended_ones_do_not_count(self, device):
        for _ in range(5):
            post(device(), "logout")
        clients = [device() for _ in range(3)]
        assert [one.get("/v1/auth/me").status_code for one in clients] == [200] * 3


@pytest.mark.django_db
class TestEndOneSession:
    def test_nobody(self, public):
        assert outcome(public.delete(f"/v1/auth/sessions/{uuid4()}")) == (401, "not_authenticated")

    def test_another_users_is_unknown_as_any(self, device, make_user, access_token):
        this = device()
        access_token(make_user())
        foreign = Session.objects.exclude(user__email=EMAIL).get()
        for session_id in (foreign.pk, uuid4()):
            assert outcome(this.delete(f"/v1/auth/sessions/{session_id}")) == (404, "session_not_found")
        assert ended() == 0
        assert not AuditEvent.objects.filter(type="session_ended").exists()

    def test_ends_at_once(self, device):
        other, this = device(), device()
        other_id = listed(this)[1]["id"]
        assert this.delete(f"/v1/auth/sessions/{other_id}").status_code == 204
        assert other.get("/v1/auth/me").status_code == 401
        assert this.get("/v1/auth/me").status_code == 200
        assert outcome(this.delete(f"/v1/auth/sessions/{other_id}")) == (404, "session_not_found")
        assert Session.objects.get(pk=other_id).end_reason == "ended_by_user"

    def test_the_own_one_too(self, device):
        this = device()
        assert this.delete(f"/v1/auth/sessions/{listed(this)[0]['id']}").status_code == 204
        assert this.get("/v1/auth/me").status_code == 401


@pytest.mark.django_db
class TestEndOtherSessions:
    def test_nobody(self, public):
        assert outcome(public.delete("/v1/auth/sessions")) == (401, "not_authenticated")

    def test_leaves_this_one_and_other_users(self, public, device, make_user, access_token):
        stranger = public.with_token(access_token(make_user()))
        others, this = [device(), device()], device()
        assert this.delete("/v1/auth/sessions").status_code == 204
        assert [one.get("/v1/auth/me").status_code for one in others] == [401, 401]
        assert [one.get("/v1/auth/me").status_code for one in (this, stranger)] == [200, 200]


@pytest.mark.django_db
class TestLogoutByRefreshToken:
    """For an app whose access token has expired; the refresh token decides, and ends its own session only."""

    @pytest.fixture
    def pairs(self, ada, sign_in):
        return [sign_in(EMAIL), sign_in(EMAIL)]

    def state(self):
        return [row.end_reason for row in Session.objects.order_by("created_at")]

    @pytest.mark.parametrize("header", ["nothing", "expired", "junk", "another session's"])
    def test_ends_its_own_session(self, public, pairs, header):
        token = SessionAccessToken(pairs[0]["access_token"].encode())
        token["exp"] -= 4000
        sent = {"expired": str(token), "junk": "junk", "another session's": pairs[1]["access_token"]}
        client = public.with_token(sent[header]) if header in sent else public
        answer = post(client, "logout", refresh_token=pairs[0]["refresh_token"])
        assert answer.status_code == 204, answer.content
        assert self.state() == ["logout", ""]
        assert AuditEvent.objects.filter(type="signed_out").count() == 1

    def test_a_superseded_one_too(self, public, pairs):
        post(public, "refresh", refresh_token=pairs[0]["refresh_token"])
        assert post(public, "logout", refresh_token=pairs[0]["refresh_token"]).status_code == 204
        assert self.state() == ["logout", ""]

    def test_a_session_that_is_over_stays_as_it_ended(self, public, pairs):
        post(public.with_token(pairs[0]["access_token"]), "logout-all")
        for _ in range(2):
            assert post(public, "logout", refresh_token=pairs[0]["refresh_token"]).status_code == 204
        assert self.state() == ["logout_all"] * 2
        assert not AuditEvent.objects.filter(type="signed_out").exists()

    def test_no_other_token(self, public, pairs):
        good = pairs[0]["refresh_token"]
        for text in ("", "x", good[:-2], good + "x", pairs[0]["access_token"]):
            client = public.with_token(pairs[0]["access_token"])
            assert outcome(post(client, "logout", refresh_token=text)) == (401, "refresh_token_invalid")
        assert outcome(post(public, "logout", refresh_token=7)) == (400, "validation_error")
        assert self.state() == ["", ""]

    def test_without_it_the_access_token_is_asked_for(self, public, pairs):
        for body in ({}, {"refresh_token": None}):
            assert outcome(post(public, "logout", **body)) == (401, "not_authenticated")
        assert post(public.with_token(pairs[1]["access_token"]), "logout").status_code == 204
        assert self.state() == ["", "logout"]


@pytest.mark.django_db
class TestReauthenticate:
    def test_nobody(self, public):
        assert outcome(post(public, "reauthenticate", password=PASSWORD)) == (401, "not_authenticated")

    @pytest.mark.parametrize("body", [{}, {"password": None}])
    def test_wants_one_proof(self, device, body):
        assert outcome(post(device(), "reauthenticate", **body)) == (400, "validation_error")

    def test_the_token_that_answers_is_recent_and_no_other(self, public, device):
        """A stolen copy of the access token gains nothing when its owner proves who they are (B2)."""
        other, this = device(), device()
        for client in (other, this):
            grow_old(client)
        stolen = public.with_token(this.defaults["HTTP_AUTHORIZATION"].split()[1])
        before = list(Session.objects.order_by("pk").values())
        answer = post(this, "reauthenticate", password=PASSWORD)
        assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
        assert set(answer.json()) == {"access_token", "token_type", "expires_in"}
        take_token(this, answer.json()["access_token"])
        for client, expected in ((this, 200), (stolen, 403), (other, 403)):
            assert client.get("/v1/auth/me/export").status_code == expected
            assert client.get("/v1/auth/me").status_code == 200
        assert list(Session.objects.order_by("pk").values()) == before

    def test_a_refresh_carries_the_sign_in_and_not_the_proof(self, public, ada, sign_in):
        pair = sign_in(EMAIL)
        this = public.with_token(pair["access_token"])
        grow_old(this)
        proved = claims_of(post(this, "reauthenticate", password=PASSWORD).json()["access_token"])
        pair = post(public, "refresh", refresh_token=pair["refresh_token"]).json()
        refreshed = claims_of(pair["access_token"])
        assert proved["auth_time"] == proved["iat"]
        assert (
            refreshed["auth_time"]
            == int(Session.objects.get().created_at.timestamp())
            < proved["auth_time"] - 300
        )
        assert outcome(public.with_token(pair["access_token"]).get("/v1/auth/me/export"))[0] == 403

    def test_the_proof_counts_for_five_minutes(self, public, device):
        this = device()
        grow_old(this)
        token = SessionAccessToken(
            post(this, "reauthenticate", password=PASSWORD).json()["access_token"].encode()
        )
        for age, expected in ((295, 200), (302, 403)):
            token["auth_time"] = int(timezone.now().timestamp()) - age
            assert public.with_token(str(token)).get("/v1/auth/me/export").status_code == expected

    def test_a_row_that_the_version_before_had_proved(self, public, ada, sign_in):
        """It wrote the proof to the row: the token that it gave for it lasts, and a refresh brings the sign-in."""
        pair = sign_in(EMAIL)
        hour = timezone.now() - timedelta(hours=1)
        Session.objects.update(created_at=hour, authenticated_at=Now())
        pair = post(public, "refresh", refresh_token=pair["refresh_token"]).json()
        assert claims_of(pair["access_token"])["auth_time"] == int(hour.timestamp())

    def test_a_wrong_password_is_counted_in_its_session_and_told(self, device):
        one = device()
        before = list(Session.objects.order_by("pk").values())
        for _ in range(10):
            assert outcome(post(one, "reauthenticate", password=OTHER_PASSWORD)) == (
                403,
                "reauthentication_failed",
            )
        answer = post(one, "reauthenticate", password=PASSWORD)
        assert outcome(answer) == (429, "rate_limited")
        assert int(answer["Retry-After"]) in range(850, 901)
        assert list(Session.objects.order_by("pk").values()) == before
        assert [message.subject for message in deliver_mails()] == ["Someone is guessing your password"]

    def test_who_stole_a_session_uses_up_its_tries_alone(self, device):
        thief, owner = device(), device()
        for _ in range(30):
            post(thief, "reauthenticate", password=OTHER_PASSWORD)
            post(thief, "change-password", current_password=OTHER_PASSWORD, new_password="of the thief alone")
        refused = post(thief, "reauthenticate", password=PASSWORD)
        assert outcome(refused) == (429, "rate_limited")
        assert post(owner, "reauthenticate", password=PASSWORD).status_code == 200
        changed = post(owner, "change-password", current_password=PASSWORD, new_password="of the owner alone")
        assert changed.status_code == 204
        assert outcome(post(thief, "reauthenticate", password=PASSWORD)) == (401, "session_revoked")

    def test_a_right_one_does_not_clear_the_wrong_ones(self, device):
        this = device()
        for password in [OTHER_PASSWORD] * 9 + [PASSWORD] * 3 + [OTHER_PASSWORD]:
            post(this, "reauthenticate", password=password)
        assert outcome(post(this, "reauthenticate", password=PASSWORD)) == (429, "rate_limited")

    def test_without_a_password_there_is_none_to_prove(self, device, ada):
        this = device()
        ada.set_unusable_password()
        ada.save()
        assert outcome(post(this, "reauthenticate", password=PASSWORD)) == (403, "reauthentication_failed")


@pytest.mark.django_db
class TestNewDevice:
    def sign_in(self, client, user_agent, ip):
        return client.post(
            "/v1/auth/login",
            {"email": EMAIL, "password": PASSWORD},
            HTTP_USER_AGENT=user_agent,
            REMOTE_ADDR=ip,
        )

    @pytest.mark.parametrize(
        ("user_agent", "ip", "told"),
        [
            (FIREFOX, "198.51.100.7", False),
            (
                FIREFOX.replace("140", "141"),
                "198.51.100.99",
                False,
            ),  # updated, and another line of that street
            (FIREFOX, "198.51.7.7", True),  # a thief in the same town has a browser of the same name
            (CHROME, "198.51.100.7", True),
            (FIREFOX, "203.0.113.9", True),
            (FIREFOX, "2001:db8::1", True),
        ],
    )
    def test_is_told_after_the_first(self, public, ada, user_agent, ip, told):
        assert self.sign_in(public, FIREFOX, "198.51.100.7").status_code == 200
        assert deliver_mails() == []
        assert self.sign_in(public, user_agent, ip).status_code == 200
        assert [message.subject for message in deliver_mails()] == ["New sign-in to your account"] * told

    def test_what_was_known_must_be_one_device(self, public, ada):
        """Not the browser of one sign-in with the place of another."""
        self.sign_in(public, FIREFOX, "198.51.100.7")
        self.sign_in(public, CHROME, "203.0.113.9")
        deliver_mails()
        self.sign_in(public, FIREFOX, "203.0.113.9")
        assert len(deliver_mails()) == 1

    def test_is_not_told_of_a_device_that_shows_its_token(self, public, ada, make_user):
        token = self.sign_in(public, FIREFOX, "198.51.100.7").json()["device_token"]
        make_user("eve@example.com", password=PASSWORD)
        foreign = post(public, "login", email="eve@example.com", password=PASSWORD).json()["device_token"]
        for place, (sent, told) in enumerate(((token, 0), (foreign, 1), ("x", 1))):
            body = {"email": EMAIL, "password": PASSWORD, "device_token": sent}
            answer = public.post("/v1/auth/login", body, REMOTE_ADDR=f"203.0.{place}.1")
            assert answer.status_code == 200
            assert len(deliver_mails()) == told

    def test_the_mail_names_time_place_and_device_in_our_words(self, public, ada):
        self.sign_in(public, FIREFOX, "198.51.100.7")
        self.sign_in(public, f"{CHROME} <b>evil.example</b>", "203.0.113.9")
        (message,) = deliver_mails()
        assert "Chrome on Windows" in message.body
        assert "203.0.113.9" in message.body
        assert "evil" not in message.message().as_string()

    def test_an_address_that_is_not_proved_is_not_written_to(self, public, make_user):
        make_user(EMAIL, password=PASSWORD, verified=False)
        self.sign_in(public, FIREFOX, "198.51.100.7")
        self.sign_in(public, CHROME, "203.0.113.9")
        assert deliver_mails() == []

    def test_words(self):
        assert devices.describe("") == ""
        assert devices.describe(FIREFOX) == "Firefox on Linux"


@pytest.mark.django_db
def test_reuse_of_a_refresh_token_is_told_once(public, ada, sign_in):
    first = sign_in(EMAIL)["refresh_token"]
    second = post(public, "refresh", refresh_token=first).json()["refresh_token"]
    post(public, "refresh", refresh_token=second)
    for expected in ("refresh_token_reused", "session_revoked"):
        assert outcome(post(public, "refresh", refresh_token=first)) == (401, expected)
    assert [message.subject for message in deliver_mails()] == ["We have ended a session"]


def reset_by_mail(client, _):
    post(client, "password-reset-request", email=EMAIL)
    link = next(link_in(message) for message in deliver_mails() if "password-reset?token=" in message.body)
    return post(client, "password-reset", token=link, new_password=OTHER_PASSWORD)


def suspended_by_staff(client, _):
    user = Session.objects.earliest("created_at").user
    status.suspend(user_id=user.pk, reason="test", actor="boss@example.com")
    return HttpResponse(status=204)


WAYS_OUT = {
    "reset": reset_by_mail,
    "suspension": suspended_by_staff,
    "deletion": lambda client, _: client.delete("/v1/auth/me"),
    "logout": lambda client, _: post(client, "logout"),
    "logout-all": lambda client, _: post(client, "logout-all"),
    "end one": lambda client, session_id: client.delete(f"/v1/auth/sessions/{session_id}"),
    "end others": lambda client, _: client.delete("/v1/auth/sessions"),
    "change password": lambda client, _: post(
        client, "change-password", current_password=PASSWORD, new_password=OTHER_PASSWORD
    ),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_request_that_starts_after_the_answer_is_accepted(way, public, ada, sign_in):
    """Eight threads hammer with the old access token while its session is ended."""
    victim, ender = sign_in(EMAIL), sign_in(EMAIL)
    victim_id = str(Session.objects.order_by("created_at")[0].pk)
    answered, stop = Signal(), Signal()
    started_after: list[int] = []
    accepted_before: list[int] = []

    def hammer():
        client = ListenerClient("public").with_token(victim["access_token"])
        try:
            while not stop.is_set():
                late = answered.is_set()
                answer = client.get("/v1/auth/me/status")
                (started_after if late else accepted_before).append(answer.status_code)
        finally:
            connection.close()

    threads = [Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(accepted_before) > 16)
    token = victim if way == "logout" else ender
    answer = WAYS_OUT[way](public.with_token(token["access_token"]), victim_id)
    answered.set()
    eventually(lambda: len(started_after) > 40)
    stop.set()
    for thread in threads:
        thread.join()
    assert answer.status_code in {202, 204}
    assert 200 in accepted_before
    assert set(started_after) == {401}
    assert post(public, "refresh", refresh_token=victim["refresh_token"]).status_code == 401


@pytest.mark.django_db
@override_settings(RATE_LIMITS_FACTOR=10)
def test_a_sign_in_that_is_judged_before_a_password_change_opens_nothing(ada):
    ada.refresh_from_db()
    type(ada).objects.filter(pk=ada.pk).update(password="!")
    assert sessions.open_session(ada, methods=["pwd"], client=Client(None, "")) is None

"""Passkeys: added, used alone and as second factor; and every answer that proves nothing."""

from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import connection
from django.db.models.functions import Now

from accounts.factors import relying_party
from accounts.models import AuditEvent, PasskeyChallenge, Session, User
from accounts.tests.conftest import PASSWORD, at_once, deliver_mails, outcome, post
from accounts.tests.test_factors import enrol, first_step, second_step
from tests.authenticators import FLAG, SoftPasskey, encoded, next_code
from tests.fixtures import grow_old, issue_access_token, take_token
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
EMAIL = "ada@example.com"
BACKED_UP = FLAG.UP | FLAG.UV | FLAG.BE | FLAG.BS


@pytest.fixture
def ada(make_user):
    return make_user(EMAIL, password=PASSWORD)


@pytest.fixture
def client(ada, public, sign_in):
    return public.with_token(sign_in(EMAIL)["access_token"])


@pytest.fixture
def passkey(client):
    return add(client)


def add(client: ListenerClient, **lies: Any) -> SoftPasskey:
    passkey = SoftPasskey()
    answer = register(client, passkey, **lies)
    assert answer.status_code == 201, answer.content
    return passkey


def register(client: ListenerClient, passkey: SoftPasskey, *, name: str = "", **lies: Any) -> Any:
    options = client.post("/v1/auth/mfa/passkeys/options").json()
    return client.post("/v1/auth/mfa/passkeys", {"credential": passkey.make(options, **lies), "name": name})


def options(public: ListenerClient, **body: Any) -> dict[str, Any]:
    answer = public.post("/v1/auth/passkey/options", body)
    assert answer.status_code == 200, answer.content
    return answer.json()  # type: ignore[no-any-return]


def sign_in_by(public: ListenerClient, passkey: SoftPasskey, **lies: Any) -> Any:
    more = {"cancel_deletion": lies.pop("cancel_deletion")} if "cancel_deletion" in lies else {}
    credential = passkey.sign(options(public), **lies)
    return public.post("/v1/auth/passkey/login", {"credential": credential, **more})


def rows() -> list[Any]:
    """All that a sign-in could change, but the audit."""
    tables = ("mfa_authenticator", "accounts_session", "accounts_user", "accounts_passkeychallenge")
    with connection.cursor() as cursor:
        found = []
        for table in tables:
            cursor.execute(f"SELECT t::text FROM {table} AS t ORDER BY id")
            found.append(cursor.fetchall())
    return found


LIES: dict[str, dict[str, Any]] = {
    "another origin": {"origin": "https://auth.test.evil.example"},
    "a sub-domain": {"origin": "https://sub.auth.test"},
    "another scheme": {"origin": "http://auth.test"},
    "no origin": {"origin": None},
    "another relying party": {"rp_id": "evil.example"},
    "another challenge": {"challenge": encoded(b"x" * 32)},
    "no challenge": {"challenge": ""},
    "a number as challenge": {"challenge": 7},
    "a ceremony of another kind": {"type": "webauthn.payment"},
    "from a foreign frame": {"cross_origin": True},
    "nobody present": {"flags": FLAG.UV},
}
LIES_OF_SIGN_IN: dict[str, dict[str, Any]] = {
    **LIES,
    "user not verified": {"flags": FLAG.UP},
    "another key": {"key": ec.generate_private_key(ec.SECP256R1())},
    "no signature": {"signature": b""},
    "junk as signature": {"signature": b"\x30\x06\x02\x01\x00\x02\x01\x00"},
    "nobody's handle": {"user_handle": b"0" * 16},
    "a short handle": {"user_handle": b"0"},
    "no handle": {"user_handle": b""},
}


class TestAdding:
    def test_gives_recovery_codes_the_first_time(self, client):
        passkey = SoftPasskey()
        answer = register(client, passkey, name=" My phone ")
        assert answer.status_code == 201
        body = answer.json()
        assert (body["passkey"]["name"], len(body["recovery_codes"])) == ("My phone", 10)
        assert register(client, SoftPasskey()).json()["recovery_codes"] == []
        shown = client.get("/v1/auth/mfa").json()
        assert [one["name"] for one in shown["passkeys"]] == ["My phone", "Passkey"]
        subjects = [mail.subject for mail in deliver_mails()]
        assert subjects == ["Two-step sign-in is on", "A second factor was added"]

    def test_options_name_the_relying_party_and_what_there_is(self, client, passkey, ada):
        asked = client.post("/v1/auth/mfa/passkeys/options").json()
        assert asked["rp"]["id"] == "auth.test"
        assert asked["user"]["id"] == encoded(ada.pk.bytes)
        assert asked["authenticatorSelection"]["residentKey"] == "required"
        assert [one["id"] for one in asked["excludeCredentials"]] == [encoded(passkey.credential_id)]

    @pytest.mark.parametrize("lie", LIES)
    def test_a_wrong_answer_is_refused(self, client, lie):
        asked = client.post("/v1/auth/mfa/passkeys/options").json()
        before = rows()
        answer = client.post("/v1/auth/mfa/passkeys", {"credential": SoftPasskey().make(asked, **LIES[lie])})
        assert outcome(answer) == (400, "passkey_refused")
        assert rows() == before

    def test_a_challenge_is_used_once_and_by_its_own_session(self, client, public, ada):
        asked = client.post("/v1/auth/mfa/passkeys/options").json()
        other = public.with_token(issue_access_token(ada))
        credential = {"credential": SoftPasskey().make(asked)}
        assert outcome(other.post("/v1/auth/mfa/passkeys", credential)) == (400, "passkey_refused")
        assert client.post("/v1/auth/mfa/passkeys", credential).status_code == 201
        again = {"credential": SoftPasskey().make(asked)}
        assert outcome(client.post("/v1/auth/mfa/passkeys", again)) == (400, "passkey_refused")

    def test_a_challenge_runs_out(self, client):
        asked = client.post("/v1/auth/mfa/passkeys/options").json()
        PasskeyChallenge.objects.update(expires_at=Now())
        answer = client.post("/v1/auth/mfa/passkeys", {"credential": SoftPasskey().make(asked)})
        assert outcome(answer) == (400, "passkey_refused")

    def test_a_challenge_of_signing_in_registers_nothing(self, client, public):
        asked = {**client.post("/v1/auth/mfa/passkeys/options").json(), **options(public)}
        answer = client.post("/v1/auth/mfa/passkeys", {"credential": SoftPasskey().make(asked)})
        assert outcome(answer) == (400, "passkey_refused")

    def test_a_credential_belongs_to_one_account(self, client, passkey, public, make_user):
        other = public.with_token(issue_access_token(make_user()))
        assert outcome(register(other, passkey)) == (400, "passkey_refused")
        assert outcome(register(client, passkey)) == (400, "passkey_refused")

    @pytest.mark.parametrize(
        "junk",
        [
            {},
            {"id": "a", "rawId": "b", "response": {}},
            {"rawId": 7, "response": []},
            {"rawId": "AA", "response": {"clientDataJSON": "AA", "attestationObject": "AA"}},
            {"rawId": "\u00e9", "response": None},
            {"rawId": "AA", "response": {"clientDataJSON": "bnVsbA", "attestationObject": "n" * 9000}},
        ],
    )
    def test_junk_is_refused(self, client, public, junk):
        for caller, path, code in (
            (client, "/v1/auth/mfa/passkeys", (400, "passkey_refused")),
            (public, "/v1/auth/passkey/login", (401, "passkey_invalid")),
        ):
            assert outcome(caller.post(path, {"credential": junk})) == code

    def test_there_are_twenty_at_most(self, client):
        asked = client.post("/v1/auth/mfa/passkeys/options").json()
        for _ in range(20):
            Authenticator.objects.create(user=User.objects.get(), type="webauthn", data=stored(SoftPasskey()))
        Session.objects.update(methods=["pwd", "pop", "mfa"])
        assert outcome(client.post("/v1/auth/mfa/passkeys/options")) == (409, "passkey_limit")
        late = {"credential": SoftPasskey().make(asked)}
        assert outcome(client.post("/v1/auth/mfa/passkeys", late)) == (409, "passkey_limit")


def stored(passkey: SoftPasskey) -> dict[str, Any]:
    credential = passkey.make({"user": {"id": "AA"}, "challenge": "AA"})
    return {"name": "x", "credential": credential, "sign_count": 0}


class TestSignIn:
    def test_by_the_passkey_alone(self, passkey, public, ada):
        answer = sign_in_by(public, passkey)
        assert answer.status_code == 200, answer.content
        session = Session.objects.latest("created_at")
        assert (session.user_id, session.methods) == (ada.pk, ["pop", "user", "mfa"])
        signed_in = public.with_token(answer.json()["access_token"])
        assert signed_in.get("/v1/auth/me").json()["email"] == EMAIL
        assert signed_in.get("/v1/auth/mfa").status_code == 200

    def test_options_ask_for_a_verified_user_and_name_nobody(self, passkey, public):
        asked = options(public)
        assert asked["userVerification"] == "required"
        assert not asked.get("allowCredentials")
        assert asked["rpId"] == "auth.test"

    @pytest.mark.parametrize("lie", LIES_OF_SIGN_IN)
    def test_a_wrong_answer_is_refused(self, passkey, public, lie):
        credential = passkey.sign(options(public), **LIES_OF_SIGN_IN[lie])
        before = rows()
        answer = public.post("/v1/auth/passkey/login", {"credential": credential})
        assert outcome(answer) == (401, "passkey_invalid")
        assert rows() == before

    def test_an_answer_is_used_once(self, passkey, public):
        credential = passkey.sign(options(public))
        assert public.post("/v1/auth/passkey/login", {"credential": credential}).status_code == 200
        again = public.post("/v1/auth/passkey/login", {"credential": credential})
        assert outcome(again) == (401, "passkey_invalid")

    def test_a_challenge_runs_out(self, passkey, public):
        credential = passkey.sign(options(public))
        PasskeyChallenge.objects.update(expires_at=Now() - timedelta(seconds=1))
        answer = public.post("/v1/auth/passkey/login", {"credential": credential})
        assert outcome(answer) == (401, "passkey_invalid")

    def test_somebody_elses_passkey_opens_no_other_account(self, passkey, public, make_user):
        other = make_user()
        theirs = add(public.with_token(issue_access_token(other)))
        victim = User.objects.get(email=EMAIL)
        answer = sign_in_by(public, theirs, user_handle=victim.pk.bytes)
        assert outcome(answer) == (401, "passkey_invalid")

    def test_one_that_was_removed_opens_nothing(self, passkey, client, public):
        number = client.get("/v1/auth/mfa").json()["passkeys"][0]["id"]
        assert client.delete(f"/v1/auth/mfa/passkeys/{number}").status_code == 204
        assert outcome(sign_in_by(public, passkey)) == (401, "passkey_invalid")
        assert not Authenticator.objects.exists()

    def test_another_users_is_not_found(self, passkey, client, public, make_user):
        number = client.get("/v1/auth/mfa").json()["passkeys"][0]["id"]
        other = public.with_token(issue_access_token(make_user()))
        answer = other.delete(f"/v1/auth/mfa/passkeys/{number}")
        assert outcome(answer) == (404, "factor_not_found")
        assert Authenticator.objects.filter(pk=number).exists()


class TestCounter:
    def test_moves_forward(self, passkey, public):
        for count in (1, 2, 7):
            assert sign_in_by(public, passkey, count=count).status_code == 200

    @pytest.mark.parametrize("count", [0, 4, 5])
    def test_that_goes_back_is_refused_and_told_of(self, passkey, public, count):
        assert sign_in_by(public, passkey, count=5).status_code == 200
        deliver_mails()
        assert outcome(sign_in_by(public, passkey, count=count)) == (401, "passkey_invalid")
        assert [mail.subject for mail in deliver_mails()] == ["One of your passkeys may have been copied"]
        assert AuditEvent.objects.filter(type="passkey_counter_went_back").count() == 1
        assert Authenticator.objects.get(type="webauthn").data["sign_count"] == 5
        assert sign_in_by(public, passkey, count=6).status_code == 200

    def test_of_a_synchronised_key_stays_at_nothing(self, passkey, public):
        for _ in range(3):
            assert sign_in_by(public, passkey, count=0).status_code == 200

    @pytest.fixture
    def synced(self, client):
        """A passkey that is backed up, and counts all the same."""
        return add(client, flags=BACKED_UP)

    @pytest.mark.parametrize("count", [0, 3, 6])
    def test_of_a_backed_up_key_proves_nothing(self, synced, public, count):
        assert sign_in_by(public, synced, count=6, flags=BACKED_UP).status_code == 200
        deliver_mails()
        for _ in range(3):
            assert sign_in_by(public, synced, count=count, flags=BACKED_UP).status_code == 200
        (message,) = deliver_mails()
        assert message.subject == "One of your passkeys may have been copied"
        assert "the sign-in was accepted" in message.body
        assert AuditEvent.objects.filter(type="passkey_counter_went_back").count() == (3 if count else 1)
        assert Authenticator.objects.get(type="webauthn").data["sign_count"] == count

    def test_who_says_so_only_now_is_not_believed(self, passkey, public):
        """Sign these flags, too, with a copy of a key that was never to be backed up."""
        assert sign_in_by(public, passkey, count=6).status_code == 200
        assert outcome(sign_in_by(public, passkey, count=3, flags=BACKED_UP)) == (401, "passkey_invalid")

    def test_one_that_is_not_backed_up_now_is_judged(self, synced, public):
        assert sign_in_by(public, synced, count=6, flags=BACKED_UP).status_code == 200
        lone = FLAG.UP | FLAG.UV | FLAG.BE
        assert outcome(sign_in_by(public, synced, count=3, flags=lone)) == (401, "passkey_invalid")


class TestNeverVerifiedItsUser:
    """WebAuthn Level 3, 7.2, uvInitialized: its finder may have set the PIN that it now asks for."""

    @pytest.fixture
    def touched(self, client):
        return add(client, flags=FLAG.UP)

    def second(self, public, passkey, **lies):
        token = first_step(public)
        credential = passkey.sign(options(public, mfa_token=token), **lies)
        return public.post("/v1/auth/login/mfa", {"mfa_token": token, "credential": credential})

    def test_does_not_sign_in_alone(self, touched, public):
        before = Authenticator.objects.get(type="webauthn").data
        assert outcome(sign_in_by(public, touched, count=3)) == (401, "passkey_invalid")
        assert Authenticator.objects.get(type="webauthn").data == before
        assert Session.objects.count() == 1

    def test_is_a_second_factor(self, touched, public):
        assert self.second(public, touched, flags=FLAG.UP).status_code == 200
        assert outcome(sign_in_by(public, touched)) == (401, "passkey_invalid")

    def test_is_upgraded_beside_another_factor(self, touched, public):
        assert self.second(public, touched, count=4).status_code == 200
        assert Authenticator.objects.get(type="webauthn").data["sign_count"] == 4
        assert sign_in_by(public, touched, count=5).status_code == 200

    def test_is_not_upgraded_by_proving_it_again(self, touched, client, public):
        credential = touched.sign(options(public))
        assert client.post("/v1/auth/reauthenticate", {"credential": credential}).status_code == 200
        assert outcome(sign_in_by(public, touched)) == (401, "passkey_invalid")

    def test_is_not_the_way_in_that_is_left(self, touched, client, ada):
        SocialAccount.objects.create(user=ada, provider="google", uid="1")
        ada.set_unusable_password()
        ada.save()
        assert outcome(client.post("/v1/auth/google/unlink")) == (409, "last_login_method")


class TestStates:
    def test_a_suspended_user(self, passkey, public):
        User.objects.update(status="suspended")
        assert outcome(sign_in_by(public, passkey)) == (403, "account_suspended")

    def test_a_closed_account(self, passkey, public):
        User.objects.update(status="pending_deletion", deletes_at=Now() + timedelta(days=3))
        assert outcome(sign_in_by(public, passkey)) == (403, "deletion_pending")
        assert sign_in_by(public, passkey, cancel_deletion=True).status_code == 200
        assert User.objects.get().status == "active"

    def test_a_deleted_user(self, passkey, public):
        User.objects.update(status="deleted")
        assert outcome(sign_in_by(public, passkey)) == (401, "passkey_invalid")

    def test_a_deleted_user_uses_nothing_up(self, passkey, public):
        """As with a password: the account is unknown, so nothing of it is looked at."""
        User.objects.update(status="deleted")
        before = list(Authenticator.objects.order_by("pk").values())
        sign_in_by(public, passkey, count=9)
        assert list(Authenticator.objects.order_by("pk").values()) == before
        assert PasskeyChallenge.objects.latest("created_at").used_at is None

    def test_an_unverified_user_as_with_a_password(self, passkey, public, settings):
        User.objects.update(email_verified_at=None)
        assert sign_in_by(public, passkey).status_code == 200
        settings.LOGIN_REQUIRES_VERIFIED_EMAIL = True
        assert outcome(sign_in_by(public, passkey)) == (401, "passkey_invalid")


class TestAsSecondFactor:
    def answer(self, public: ListenerClient, token: str, passkey: SoftPasskey, **lies: Any) -> Any:
        credential = passkey.sign(options(public, mfa_token=token), **lies)
        return public.post("/v1/auth/login/mfa", {"mfa_token": token, "credential": credential})

    def test_need_not_have_verified_its_user(self, passkey, public):
        answer = self.answer(public, first_step(public), passkey, flags=FLAG.UP)
        assert answer.status_code == 200, answer.content
        assert Session.objects.latest("created_at").methods == ["pwd", "pop", "mfa"]

    def test_options_name_the_passkeys(self, passkey, public):
        asked = options(public, mfa_token=first_step(public))
        assert [one["id"] for one in asked["allowCredentials"]] == [encoded(passkey.credential_id)]
        assert outcome(public.post("/v1/auth/passkey/options", {"mfa_token": "mfa_x"})) == (
            401,
            "mfa_token_invalid",
        )

    @pytest.mark.parametrize("lie", LIES)
    def test_a_wrong_answer_is_refused(self, passkey, public, lie):
        answer = self.answer(public, first_step(public), passkey, **LIES[lie])
        assert outcome(answer) == (401, "mfa_invalid_code")
        assert Session.objects.count() == 1

    def test_answers_are_for_one_half_sign_in(self, passkey, public):
        mine, other = first_step(public), first_step(public)
        credential = passkey.sign(options(public, mfa_token=other))
        answer = public.post("/v1/auth/login/mfa", {"mfa_token": mine, "credential": credential})
        assert outcome(answer) == (401, "mfa_invalid_code")

    def test_and_for_no_sign_in_of_their_own(self, passkey, public):
        credential = passkey.sign(options(public, mfa_token=first_step(public)))
        answer = public.post("/v1/auth/passkey/login", {"credential": credential})
        assert outcome(answer) == (401, "passkey_invalid")
        mine = first_step(public)
        credential = passkey.sign(options(public))
        answer = public.post("/v1/auth/login/mfa", {"mfa_token": mine, "credential": credential})
        assert outcome(answer) == (401, "mfa_invalid_code")

    def test_wrong_ones_do_not_count_with_the_codes(self, passkey, public):
        """Nobody guesses a passkey; who sends nonsense must not keep its owner out."""
        for _ in range(11):
            answer = self.answer(public, first_step(public), passkey, origin="https://evil.example")
            assert outcome(answer) == (401, "mfa_invalid_code")
        assert self.answer(public, first_step(public), passkey).status_code == 200

    def test_a_pause_of_codes_does_not_hold_it_up(self, passkey, client, public):
        """At the second step, and where it is proved again."""
        wrong = [
            public.post("/v1/auth/login/mfa", {"mfa_token": first_step(public), "code": "0" * 16}).status_code
            for _ in range(11)
        ]
        assert wrong == [401] * 10 + [429]
        credential = passkey.sign(options(public))
        assert client.post("/v1/auth/reauthenticate", {"credential": credential}).status_code < 300
        assert self.answer(public, first_step(public), passkey).status_code == 200


class TestReauthenticate:
    def test_by_the_passkey(self, passkey, client, public):
        grow_old(client)
        refused = client.get("/v1/auth/mfa")
        assert refused.json()["methods"] == ["code", "credential"]
        credential = passkey.sign(options(public))
        proved = client.post("/v1/auth/reauthenticate", {"credential": credential})
        take_token(client, proved.json()["access_token"])
        assert client.get("/v1/auth/mfa").status_code == 200
        again = client.post("/v1/auth/reauthenticate", {"credential": credential})
        assert outcome(again) == (403, "reauthentication_failed")

    def test_not_by_one_of_another_user(self, client, passkey, public, make_user):
        theirs = add(public.with_token(issue_access_token(make_user())))
        credential = theirs.sign(options(public))
        answer = client.post("/v1/auth/reauthenticate", {"credential": credential})
        assert outcome(answer) == (403, "reauthentication_failed")


class TestBothFactors:
    def test_either_does_and_removing_one_keeps_the_codes(self, passkey, client, public):
        app = enrol(client)
        assert app["recovery_codes"] == []
        answer = post(public, "login", email=EMAIL, password=PASSWORD)
        assert answer.json()["methods"] == ["totp", "passkey", "recovery_code"]
        code = next_code(app["secret"])
        assert second_step(public, answer.json()["mfa_token"], code).status_code == 200
        number = client.get("/v1/auth/mfa").json()["passkeys"][0]["id"]
        assert client.delete(f"/v1/auth/mfa/passkeys/{number}").status_code == 204
        shown = client.get("/v1/auth/mfa").json()
        assert (shown["enabled"], shown["recovery_codes_left"]) == (True, 10)


class TestRelyingParty:
    @pytest.mark.parametrize(
        ("front_end", "base", "name", "origin"),
        [
            ("", "https://auth.example.com", "auth.example.com", "https://auth.example.com"),
            (
                "https://app.example.com/x",
                "https://auth.example.com",
                "app.example.com",
                "https://app.example.com",
            ),
            ("", "http://127.0.0.1:8000", "localhost", "http://localhost:8000"),
        ],
    )
    def test_is_where_the_front_end_is(self, settings, front_end, base, name, origin):
        settings.FRONTEND_URL, settings.PUBLIC_BASE_URL = front_end, base
        assert relying_party.name() == name
        assert set(relying_party.origins()) == {origin}

    def test_is_what_the_settings_say(self, settings):
        settings.WEBAUTHN_RP_ID, settings.WEBAUTHN_ORIGINS = "example.com", ["https://a.example.com"]
        assert relying_party.name() == "example.com"
        assert set(relying_party.origins()) == {"https://a.example.com"}


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_one_answer_opens_one_session(self, passkey, public):
        credential = passkey.sign(options(public))
        answers = at_once(
            10,
            lambda number: (
                ListenerClient("public")
                .post("/v1/auth/passkey/login", {"credential": credential})
                .status_code
            ),
        )
        assert sorted(answers) == [200] + [401] * 9

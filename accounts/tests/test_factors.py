"""Second factors: enrolled, asked for, used once, lost, removed."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now

from accounts.kit import sealing, throttles
from accounts.models import AuditEvent, MFAToken, Session, TOTPEnrolment, UsedTOTPStep, User
from accounts.sign_in import pauses
from accounts.tests.conftest import PASSWORD, at_once, deliver_mails, link_in, outcome, post
from tests.authenticators import code_of, next_code, wrong_code
from tests.fixtures import grow_old, take_token
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
EMAIL = "ada@example.com"


@pytest.fixture
def ada(make_user):
    return make_user(EMAIL, password=PASSWORD)


@pytest.fixture
def client(ada, public, sign_in):
    """Signed in a moment ago, by the password."""
    return public.with_token(sign_in(EMAIL)["access_token"])


@pytest.fixture
def app(client):
    """Ada's authenticator app and her recovery codes."""
    return enrol(client)


def enrol(client: ListenerClient) -> dict[str, Any]:
    shown = client.post("/v1/auth/mfa/totp").json()
    code = code_of(shown["secret"])
    answer = client.post("/v1/auth/mfa/totp/confirm", {"code": code})
    assert answer.status_code == 200, answer.content
    return {**shown, **answer.json(), "code": code}


def first_step(public: ListenerClient, *, ip: str = "127.0.0.1", **more: Any) -> str:
    body = {"email": EMAIL, "password": PASSWORD, **more}
    answer = public.post("/v1/auth/login", body, REMOTE_ADDR=ip)
    assert outcome(answer) == (401, "mfa_required"), answer.content
    return answer.json()["mfa_token"]  # type: ignore[no-any-return]


def second_step(public: ListenerClient, token: str, code: str, **headers: Any) -> Any:
    return public.post("/v1/auth/login/mfa", {"mfa_token": token, "code": code}, **headers)


def types_of_events() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("type", flat=True))


class TestEnrolment:
    def test_shows_a_secret_three_ways(self, client):
        shown = client.post("/v1/auth/mfa/totp").json()
        assert len(shown["secret"]) == 32
        url = urlsplit(shown["otpauth_url"])
        assert (url.scheme, url.netloc) == ("otpauth", "totp")
        assert unquote(url.path) == f"/{settings.SERVICE_NAME}:ada@example.com"
        assert dict(parse_qsl(url.query)) == {"secret": shown["secret"], "issuer": settings.SERVICE_NAME}
        assert "<svg" in shown["qr_svg"]

    def test_changes_nothing_until_it_is_confirmed(self, client, public):
        client.post("/v1/auth/mfa/totp")
        assert not Authenticator.objects.exists()
        assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 200

    def test_is_confirmed_by_a_code(self, client, app):
        assert len(set(app["recovery_codes"])) == 10
        assert all(len(code) == 16 and code.isdecimal() for code in app["recovery_codes"])
        assert client.get("/v1/auth/me").json()["mfa_enabled"] is True
        shown = client.get("/v1/auth/mfa").json()
        assert (shown["enabled"], shown["passkeys"], shown["recovery_codes_left"]) == (True, [], 10)
        assert [mail.subject for mail in deliver_mails()] == ["Two-step sign-in is on"]
        assert AuditEvent.objects.filter(type="second_factor_added").count() == 1

    def test_a_wrong_code_is_refused(self, client):
        secret = client.post("/v1/auth/mfa/totp").json()["secret"]
        for code in (wrong_code(secret), "", "junk", "0" * 64, "\u0661\u0662\u0663\u0664\u0665\u0666"):
            answer = client.post("/v1/auth/mfa/totp/confirm", {"code": code})
            assert outcome(answer) == (400, "mfa_invalid_code"), code
        assert not Authenticator.objects.exists()

    def test_another_session_cannot_confirm_it(self, client, public, sign_in):
        secret = client.post("/v1/auth/mfa/totp").json()["secret"]
        other = public.with_token(sign_in(EMAIL)["access_token"])
        answer = other.post("/v1/auth/mfa/totp/confirm", {"code": code_of(secret)})
        assert outcome(answer) == (400, "mfa_invalid_code")

    def test_it_runs_out(self, client):
        """And says so: every newer code would be wrong, too. No guess is counted."""
        secret = client.post("/v1/auth/mfa/totp").json()["secret"]
        TOTPEnrolment.objects.update(expires_at=Now() - timedelta(seconds=1))
        for _ in range(12):
            answer = client.post("/v1/auth/mfa/totp/confirm", {"code": code_of(secret)})
            assert outcome(answer) == (400, "mfa_invalid_code")
            assert "Start again" in answer.json()["detail"]

    def test_a_second_click_says_that_the_app_is_there(self, client, app):
        """The answer with the recovery codes may be lost: new ones can be made. No guess is counted."""
        for _ in range(12):
            answer = client.post("/v1/auth/mfa/totp/confirm", {"code": app["code"]})
            assert outcome(answer) == (409, "totp_already_enabled")
        assert len(client.post("/v1/auth/mfa/recovery-codes").json()["recovery_codes"]) == 10

    def test_there_is_one_app(self, client, app):
        assert outcome(client.post("/v1/auth/mfa/totp")) == (409, "totp_already_enabled")

    def test_seeds_are_sealed_for_their_own_user(self, client, app, ada):
        with connection.cursor() as cursor:
            cursor.execute("SELECT data::text FROM mfa_authenticator")
            stored = "".join(row[0] for row in cursor.fetchall())
        assert app["secret"] not in stored
        assert not any(code in stored for code in app["recovery_codes"])
        totp = Authenticator.objects.get(type="totp")
        assert sealing.open(totp.data["secret"], context=f"mfa.seed:{ada.pk}") == app["secret"]

    def test_seeds_move_to_a_new_key(self, client, app, public, settings):
        old = settings.FIELD_ENCRYPTION_KEYS
        new = [type(old[0])("new", old[0].algorithm, b"n" * 16 + b"e" * 16), *old]
        settings.FIELD_ENCRYPTION_KEYS = new
        call_command("reencrypt_fields", verbosity=0)
        settings.FIELD_ENCRYPTION_KEYS = new[:1]
        assert second_step(public, first_step(public), next_code(app["secret"])).status_code == 200

    def test_at_once_there_is_one(self, client):
        """Parallel confirmations of one secret: one factor, one set of codes."""
        secret = client.post("/v1/auth/mfa/totp").json()["secret"]
        for _ in range(2):
            client.post("/v1/auth/mfa/totp/confirm", {"code": code_of(secret)})
        assert Authenticator.objects.filter(type="totp").count() == 1


class TestSignIn:
    def test_takes_two_steps(self, app, public, ada):
        answer = post(public, "login", email=EMAIL, password=PASSWORD)
        assert outcome(answer) == (401, "mfa_required")
        assert answer.json()["methods"] == ["totp", "recovery_code"]
        assert "access_token" not in answer.json()
        tokens = second_step(public, answer.json()["mfa_token"], next_code(app["secret"]))
        assert tokens.status_code == 200
        session = Session.objects.latest("created_at")
        assert session.methods == ["pwd", "otp", "mfa"]
        assert public.with_token(tokens.json()["access_token"]).get("/v1/auth/me").status_code == 200

    def test_a_wrong_password_says_nothing_of_it(self, app, public):
        answer = post(public, "login", email=EMAIL, password="another sentence entirely")
        assert outcome(answer) == (401, "invalid_credentials")

    def test_spaces_do_not_matter(self, app, public):
        code = next_code(app["secret"])
        assert second_step(public, first_step(public), f" {code[:3]} {code[3:]}").status_code == 200

    def test_a_code_works_once_even_after_redis_forgot_everything(self, app, public):
        code = next_code(app["secret"])
        assert second_step(public, first_step(public), code).status_code == 200
        throttles._redis().flushall()
        assert outcome(second_step(public, first_step(public), code)) == (401, "mfa_invalid_code")
        assert UsedTOTPStep.objects.count() == 2

    def test_nor_does_the_code_that_enrolled(self, app, public):
        code = app["code"]
        assert outcome(second_step(public, first_step(public), code)) == (401, "mfa_invalid_code")

    def test_an_old_code_does_not(self, app, public):
        code = code_of(app["secret"], steps=-3)
        assert outcome(second_step(public, first_step(public), code)) == (401, "mfa_invalid_code")

    def test_a_recovery_code_works_once_and_is_told_of(self, app, public):
        deliver_mails()
        code = app["recovery_codes"][3]
        typed = f"{code[:4]}-{code[4:8]} {code[8:]}"
        assert second_step(public, first_step(public), typed).status_code == 200
        assert "A recovery code was used" in [mail.subject for mail in deliver_mails()]
        assert outcome(second_step(public, first_step(public), code)) == (401, "mfa_invalid_code")

    def test_refresh_asks_for_none(self, app, public):
        pair = second_step(public, first_step(public), next_code(app["secret"])).json()
        assert post(public, "refresh", refresh_token=pair["refresh_token"]).status_code == 200


class TestMFAToken:
    def test_is_used_once(self, app, public):
        token = first_step(public)
        assert second_step(public, token, next_code(app["secret"])).status_code == 200
        again = second_step(public, token, app["recovery_codes"][0])
        assert outcome(again) == (401, "mfa_token_invalid")

    def test_allows_five_tries(self, app, public):
        token = first_step(public)
        for _ in range(5):
            answer = second_step(public, token, wrong_code(app["secret"]))
            assert outcome(answer) == (401, "mfa_invalid_code")
        answer = second_step(public, token, next_code(app["secret"]))
        assert outcome(answer) == (401, "mfa_token_invalid")

    def test_survives_the_rotation_of_the_secret(self, public, app, settings):
        token = first_step(public)
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = f"new-{'x' * 40}"
        assert second_step(public, token, next_code(app["secret"])).status_code == 200

    def test_lives_five_minutes(self, app, public):
        token = first_step(public)
        row = MFAToken.objects.get(used_at=None)
        assert timedelta(minutes=4, seconds=50) < row.expires_at - row.created_at <= timedelta(minutes=5)
        MFAToken.objects.update(expires_at=Now())
        assert outcome(second_step(public, token, next_code(app["secret"]))) == (401, "mfa_token_invalid")

    @pytest.mark.parametrize("change", [{"token_version": 7}, {"password": "!other"}])
    def test_dies_with_the_password_and_with_a_sign_out_everywhere(self, app, public, change):
        token = first_step(public)
        User.objects.update(**change)
        assert outcome(second_step(public, token, next_code(app["secret"]))) == (401, "mfa_token_invalid")

    def test_is_not_in_the_database(self, app, public):
        token = first_step(public)
        with connection.cursor() as cursor:
            cursor.execute("SELECT string_agg(t::text, '') FROM accounts_mfatoken AS t")
            assert token not in cursor.fetchone()[0]

    @pytest.mark.parametrize("body", [{}, {"code": "123456", "credential": {}}])
    def test_comes_with_one_proof(self, app, public, body):
        answer = public.post("/v1/auth/login/mfa", {"mfa_token": first_step(public), **body})
        assert outcome(answer) == (400, "validation_error")


class TestStates:
    def test_a_suspended_user_is_told_so(self, app, public, ada):
        token = first_step(public)
        User.objects.update(status="suspended")
        assert outcome(post(public, "login", email=EMAIL, password=PASSWORD)) == (403, "account_suspended")
        code = next_code(app["secret"])
        assert outcome(second_step(public, token, code)) == (403, "account_suspended")
        User.objects.update(status="active")
        assert second_step(public, token, code).status_code == 200  # nothing was used up

    def test_a_closed_account_is_kept_on_request(self, app, public):
        User.objects.update(status="pending_deletion", deletes_at=Now() + timedelta(days=3))
        assert outcome(post(public, "login", email=EMAIL, password=PASSWORD)) == (403, "deletion_pending")
        token = first_step(public, cancel_deletion=True)
        assert User.objects.get().status == "pending_deletion"
        assert second_step(public, token, next_code(app["secret"])).status_code == 200
        assert User.objects.get().status == "active"

    def test_one_closed_meanwhile_is_not(self, app, public):
        token = first_step(public)
        User.objects.update(status="pending_deletion", deletes_at=Now() + timedelta(days=3))
        answer = second_step(public, token, next_code(app["secret"]))
        assert outcome(answer) == (403, "deletion_pending")

    def test_a_deleted_one_is_gone(self, app, public):
        token = first_step(public)
        User.objects.update(status="deleted")
        answer = second_step(public, token, next_code(app["secret"]))
        assert outcome(answer) == (401, "mfa_token_invalid")

    def test_an_unverified_one_may_come_in_as_with_a_password(self, app, public):
        User.objects.update(email_verified_at=None)
        assert second_step(public, first_step(public), next_code(app["secret"])).status_code == 200


class TestGuessing:
    def test_ten_wrong_ones_pause_the_account_and_are_mailed(self, app, public):
        deliver_mails()
        wrong = wrong_code(app["secret"])
        answers = []
        for number in range(40):
            address = f"198.51.100.{number % 20}"
            token = first_step(public, ip=address)
            answers.append(second_step(public, token, wrong, REMOTE_ADDR=address))
        codes = [outcome(answer)[1] for answer in answers]
        assert codes == ["mfa_invalid_code"] * 10 + ["rate_limited"] * 30
        throttles._redis().flushall()
        assert outcome(second_step(public, first_step(public), wrong)) == (429, "rate_limited")
        assert 890 <= int(answers[-1].headers["Retry-After"]) <= 900
        subjects = [mail.subject for mail in deliver_mails()]
        assert subjects.count("Someone is guessing your second factor") == 1

    def test_who_stole_a_session_brings_a_pause_to_it_alone(self, app, client, public):
        pair = second_step(public, first_step(public), next_code(app["secret"])).json()
        thief, owner = client, public.with_token(pair["access_token"])
        wrong, (first, second, third, *_) = wrong_code(app["secret"]), app["recovery_codes"]
        for _ in range(10):
            answer = thief.post("/v1/auth/reauthenticate", {"code": wrong})
            assert outcome(answer) == (403, "reauthentication_failed")
        assert [mail.subject for mail in deliver_mails()][-1] == "Someone is guessing your second factor"
        assert outcome(thief.post("/v1/auth/reauthenticate", {"code": wrong})) == (429, "rate_limited")
        assert second_step(public, first_step(public), first).status_code == 200
        assert owner.post("/v1/auth/reauthenticate", {"code": second}).status_code == 200
        answer = thief.post("/v1/auth/reauthenticate", {"code": third})
        assert outcome(answer) == (429, "rate_limited")
        assert 890 <= int(answer.headers["Retry-After"]) <= 900

    def test_a_session_may_not_use_up_what_there_is(self, app, client, public, settings):
        """Slowly, with a pause after each ten, a thief could else shut the owner out for a week."""
        free_of_pauses = {
            "wrong_factors": (8, 7 * 86400), "session_factor_pauses": (4, 7 * 86400, 1000, 1)
        }  # fmt: skip
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, **free_of_pauses}
        for _ in range(9):
            client.post("/v1/auth/reauthenticate", {"code": wrong_code(app["secret"])})
        assert second_step(public, first_step(public), next_code(app["secret"])).status_code == 200

    def test_the_doors_count_together(self, app, client, public, settings):
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, "wrong_factors": (10, 7 * 86400)}
        wrong = wrong_code(app["secret"])
        for _ in range(5):
            second_step(public, first_step(public), wrong)
            answer = client.post("/v1/auth/reauthenticate", {"code": wrong})
            assert outcome(answer) == (403, "reauthentication_failed")
        assert outcome(client.post("/v1/auth/reauthenticate", {"code": wrong})) == (429, "rate_limited")
        assert outcome(second_step(public, first_step(public), wrong)) == (429, "rate_limited")

    def test_a_right_password_gives_none_back_and_a_right_factor_does(self, app, public):
        wrong = wrong_code(app["secret"])
        for _ in range(9):
            second_step(public, first_step(public), wrong)
        assert second_step(public, first_step(public), next_code(app["secret"])).status_code == 200
        assert outcome(second_step(public, first_step(public), wrong)) == (401, "mfa_invalid_code")


class TestEndOfAPause:
    """Someone who knows the password has guessed: the owner gets in again (A7)."""

    @pytest.fixture(autouse=True)
    def _known_for_long(self, app, settings):
        """A reset removes the factors of an address that was proved lately; and nobody counts the sign-ins here."""
        User.objects.update(email_verified_at=Now() - timedelta(days=30))
        many = dict.fromkeys(("login", "proofs", "proofs_named"), (1000, 60))
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, **many}

    def guess(self, public, app, times=10):
        wrong = wrong_code(app["secret"])
        return [outcome(second_step(public, first_step(public), wrong))[1] for _ in range(times)]

    def reset(self, public):
        deliver_mails()
        post(public, "password-reset-request", email=EMAIL)
        link = next(link_in(one) for one in deliver_mails() if "password-reset?" in str(one.body))
        answer = post(public, "password-reset", token=link, new_password=PASSWORD)
        assert answer.status_code == 204

    def right(self, public, app):
        return second_step(public, first_step(public), app["recovery_codes"][0]).status_code

    def test_a_reset_ends_it(self, app, public):
        self.guess(public, app)
        assert self.right(public, app) == 429
        self.reset(public)
        assert self.right(public, app) == 200

    def test_once_a_week(self, app, public):
        """A thief of the mailbox must not buy ten guesses with each reset."""
        self.guess(public, app)
        self.reset(public)
        assert self.guess(public, app, 11) == ["mfa_invalid_code"] * 10 + ["rate_limited"]
        self.reset(public)
        assert self.right(public, app) == 429

    def test_one_without_a_pause_does_not_use_it_up(self, app, public):
        self.guess(public, app, 9)
        self.reset(public)
        self.guess(public, app, 1)
        assert self.right(public, app) == 429
        self.reset(public)
        assert self.right(public, app) == 200

    def test_the_count_of_a_week_stays(self, app, public, settings):
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, "wrong_factors": (15, 7 * 86400)}
        self.guess(public, app)
        self.reset(public)
        assert self.guess(public, app, 6) == ["mfa_invalid_code"] * 5 + ["rate_limited"]
        self.reset(public)
        assert self.right(public, app) == 429

    def test_staff_end_it_with_a_reason_and_a_mail(self, app, client, public):
        self.guess(public, app)
        for _ in range(11):
            client.post("/v1/auth/reauthenticate", {"code": wrong_code(app["secret"])})
        for number in range(12):
            login = {"email": EMAIL, "password": "wrong"}
            public.post("/v1/auth/login", login, REMOTE_ADDR=f"203.0.{number}.1")
        deliver_mails()
        User.objects.filter(email=EMAIL).update(locale="de")
        pauses.lift(user_id=User.objects.get().pk, reason="seen in the branch", actor="staff 7")
        assert [message.subject for message in deliver_mails()] == ["Die Anmeldung ist wieder möglich"]
        event = AuditEvent.objects.get(type="sign_in_pause_lifted")
        assert (event.actor, event.detail) == ("staff 7", {"reason": "seen in the branch"})
        token = first_step(public, ip="192.0.2.1")
        answer = second_step(public, token, app["recovery_codes"][0], REMOTE_ADDR="192.0.2.1")
        assert answer.status_code == 200
        proved = client.post("/v1/auth/reauthenticate", {"code": app["recovery_codes"][1]})
        assert proved.status_code == 200


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_of_many_guesses_ten_are_judged(self, app, public):
        wrong = wrong_code(app["secret"])
        tokens = [first_step(public, ip=f"198.51.100.{number % 20}") for number in range(40)]
        answers = at_once(
            40,
            lambda number: outcome(
                second_step(
                    ListenerClient("public"),
                    tokens[number],
                    wrong,
                    REMOTE_ADDR=f"198.51.100.{number % 20}",
                )
            )[1],
        )
        assert answers.count("mfa_invalid_code") <= 10
        assert set(answers) == {"mfa_invalid_code", "rate_limited"}

    def test_one_code_opens_one_session(self, app, public, settings):
        settings.RATE_LIMITS_FACTOR = 100
        tokens = [first_step(public) for _ in range(50)]
        code = next_code(app["secret"])
        answers = at_once(
            50, lambda number: second_step(ListenerClient("public"), tokens[number], code).status_code
        )
        assert sorted(answers) == [200] + [401] * 49

    def test_one_recovery_code_opens_one_session(self, app, public, settings):
        settings.RATE_LIMITS_FACTOR = 100
        tokens = [first_step(public) for _ in range(20)]
        code = app["recovery_codes"][0]
        answers = at_once(
            20, lambda number: second_step(ListenerClient("public"), tokens[number], code).status_code
        )
        assert sorted(answers) == [200] + [401] * 19

    def test_one_half_sign_in_opens_one_session(self, app, public):
        token = first_step(public)
        codes = [next_code(app["secret"]), *app["recovery_codes"][:4]]
        answers = at_once(
            5, lambda number: second_step(ListenerClient("public"), token, codes[number]).status_code
        )
        assert sorted(answers) == [200] + [401] * 4

    def test_a_button_clicked_twice_is_no_wrong_guess(self, app, public, ada):
        for _ in range(3):  # either may be looked at first
            UsedTOTPStep.objects.all().delete()
            clicked = [first_step(public), next_code(app["secret"])]
            answers = at_once(4, lambda _: outcome(second_step(ListenerClient("public"), *clicked)))  # noqa: B023
            assert sorted(answers) == [(200, "")] + [(401, "mfa_token_invalid")] * 3
        assert not AuditEvent.objects.filter(user=ada, type="factor_wrong").exists()


class TestRemoval:
    def test_of_the_last_factor_ends_the_recovery_codes(self, app, client, public):
        deliver_mails()
        assert client.delete("/v1/auth/mfa/totp").status_code == 204
        assert not Authenticator.objects.exists()
        assert client.get("/v1/auth/me").json()["mfa_enabled"] is False
        assert "Two-step sign-in is off" in [mail.subject for mail in deliver_mails()]
        assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 200
        assert outcome(client.delete("/v1/auth/mfa/totp")) == (404, "factor_not_found")

    def test_codes_of_before_open_nothing_after_a_new_enrolment(self, app, client, public):
        client.delete("/v1/auth/mfa/totp")
        fresh = enrol(client)
        assert set(fresh["recovery_codes"]).isdisjoint(app["recovery_codes"])
        answer = second_step(public, first_step(public), app["recovery_codes"][0])
        assert outcome(answer) == (401, "mfa_invalid_code")
        assert outcome(second_step(public, first_step(public), next_code(app["secret"])))[0] == 401

    def test_new_codes_end_the_old_ones(self, app, client, public):
        deliver_mails()
        fresh = client.post("/v1/auth/mfa/recovery-codes").json()["recovery_codes"]
        assert [mail.subject for mail in deliver_mails()] == ["You have new recovery codes"]
        answer = second_step(public, first_step(public), app["recovery_codes"][0])
        assert outcome(answer) == (401, "mfa_invalid_code")
        assert second_step(public, first_step(public), fresh[0]).status_code == 200

    def test_there_are_no_codes_without_a_factor(self, client):
        assert outcome(client.post("/v1/auth/mfa/recovery-codes")) == (409, "mfa_not_enabled")


class TestReauthenticate:
    def test_takes_the_factor_and_no_password(self, app, client):
        grow_old(client)
        refused = client.get("/v1/auth/mfa")
        assert outcome(refused) == (403, "reauthentication_required")
        assert refused.json()["methods"] == ["code"]
        answer = client.post("/v1/auth/reauthenticate", {"password": PASSWORD})
        assert outcome(answer) == (403, "reauthentication_failed")
        assert outcome(client.get("/v1/auth/mfa")) == (403, "reauthentication_required")
        code = next_code(app["secret"])
        proved = client.post("/v1/auth/reauthenticate", {"code": code})
        assert outcome(client.get("/v1/auth/mfa")) == (403, "reauthentication_required")
        take_token(client, proved.json()["access_token"])
        assert client.get("/v1/auth/mfa").status_code == 200
        again = client.post("/v1/auth/reauthenticate", {"code": code})
        assert outcome(again) == (403, "reauthentication_failed")

    def test_a_session_of_before_is_asked_for_it_at_once(self, client, public, sign_in):
        other = public.with_token(sign_in(EMAIL)["access_token"])
        assert other.get("/v1/auth/mfa").status_code == 200
        app = enrol(client)
        assert client.get("/v1/auth/mfa").status_code == 200
        assert outcome(other.get("/v1/auth/mfa")) == (403, "reauthentication_required")
        code = next_code(app["secret"])
        copy = other.with_token(other.defaults["HTTP_AUTHORIZATION"].split()[1])
        take_token(other, other.post("/v1/auth/reauthenticate", {"code": code}).json()["access_token"])
        assert other.get("/v1/auth/mfa").status_code == 200
        assert outcome(copy.get("/v1/auth/mfa")) == (403, "reauthentication_required")

    def test_a_sign_in_by_both_steps_counts(self, app, public):
        pair = second_step(public, first_step(public), next_code(app["secret"])).json()
        assert public.with_token(pair["access_token"]).get("/v1/auth/mfa").status_code == 200

    def test_a_code_means_nothing_to_an_account_without_factors(self, client):
        answer = client.post("/v1/auth/reauthenticate", {"code": "123456"})
        assert outcome(answer) == (403, "reauthentication_failed")

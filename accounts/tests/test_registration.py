"""Registration: every arm alike, several registrations of one address, and the confirmation by link and code."""

import re
import unicodedata
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import override_settings

from accounts.identity import signup
from accounts.kit.client import Client
from accounts.mail import tokens as mail_tokens
from accounts.models import AuditEvent, MailToken, OutboxMessage, PendingRegistration, Session, User
from accounts.tests.conftest import (
    OTHER_PASSWORD,
    PASSWORD,
    at_once,
    code_in,
    deliver_mails,
    hashes,
    link_in,
    outcome,
    post,
    statements,
    steady_headers,
)
from tests.listeners import ListenerClient

EMAIL = "ada@example.com"
CLIENT = Client("192.0.2.1", "test")


def nothing_is_stored():
    stored = (User, PendingRegistration, MailToken, OutboxMessage, AuditEvent)
    return not any(model.objects.exists() for model in stored)


@pytest.mark.django_db
class TestRegister:
    def test_refuses_get(self, public):
        assert public.get("/v1/auth/register").status_code == 405

    @pytest.mark.parametrize(
        "email",
        [
            *(
                "",
                "ada",
                "ada@",
                "@example.com",
                "ada@example",
                "ada@@example.com",
                "a da@example.com",
                "ada@exa mple.com",
            ),
            *(
                "ada@example.com\r\nBcc: eve@example.com",
                "a\tb@example.com",
                "ada@[127.0.0.1]",
            ),
            *(
                "ada@-example.com",
                "ada@example..com",
                ".ada@example.com",
                "a..b@example.com",
                "ada@example.com,eve@x.org",
            ),
            *(
                '"ada"@example.com',
                "ada@127.0.0.1",
                "a" * 65 + "@example.com",
                "a@" + "b" * 250 + ".com",
                "ada@ex_a.com",
            ),
            *("ada@exam\u202eple.com", "ada@xn--a.com", "<ada@example.com>"),
        ],
    )
    def test_refuses_what_is_no_address(self, public, email):
        answer = post(public, "register", email=email, password=PASSWORD)
        assert outcome(answer) == (400, "validation_error")
        assert [fault["code"] for fault in answer.json()["errors"]] == ["invalid_email"]
        assert nothing_is_stored()

    def test_refuses_nul_before_anything_else(self, public):
        assert post(public, "register", email="ada\0@example.com", password=PASSWORD).status_code == 400
        assert nothing_is_stored()

    @pytest.mark.parametrize(
        ("password", "code"),
        [
            ("elevenchars", "password_too_short"),
            ("\ufb03" * 3, "password_too_short"),  # a ligature of three letters: nine after NFKC
            ("x" * 257, "password_too_long"),
            ("passwordpassword", "password_too_common"),
            ("Qwertyuiop123", "password_too_common"),
            ("abcabcabcabc", "password_too_common"),
            ("ada@example.com", "password_too_similar"),
            ("AuthService2026!", "password_too_similar"),
            ("Lovelace1815!", "password_too_similar"),
        ],
    )
    def test_refuses_a_bad_password_without_hashing_it(self, public, password, code):
        with hashes() as made:
            answer = post(public, "register", email=EMAIL, password=password, display_name="Ada Lovelace")
        assert answer.status_code == 400
        assert [(fault["field"], fault["code"]) for fault in answer.json()["errors"]] == [("password", code)]
        assert made() == 0
        assert nothing_is_stored()

    def test_names_every_wrong_field_at_once(self, public):
        answer = post(public, "register", email="ada", password="short", display_name="a\u2028b", locale="x!")
        assert [(fault["field"], fault["code"]) for fault in answer.json()["errors"]] == [
            ("email", "invalid_email"),
            ("password", "password_too_short"),
            ("display_name", "invalid_text"),
            ("locale", "invalid_locale"),
        ]

    @pytest.mark.parametrize("field", ["is_staff", "is_superuser", "email_verified", "status", "id", "role"])
    def test_refuses_unknown_fields(self, public, field):
        answer = post(public, "register", email=EMAIL, password=PASSWORD, **{field: True})
        assert outcome(answer) == (400, "unknown_field")
        assert nothing_is_stored()

    def test_makes_an_unverified_user_and_mails_link_and_code(self, public, register):
        message = register("Ada@Example.COM", display_name="Ada", locale="it")
        user = User.objects.get()
        assert (user.email, user.email_verified, user.display_name, user.locale) == (
            EMAIL,
            False,
            "Ada",
            "it",
        )
        assert not user.is_staff
        assert not user.is_superuser
        assert message.to == [EMAIL]
        assert link_in(message)
        assert code_in(message)
        assert AuditEvent.objects.get(user=user).type == "registered"

    @pytest.mark.parametrize(
        "password",
        [" " * 6 + "sp aces" + " " * 6, "密码是一句只有我知道的话呀", "x1" * 40 + "y", "🦉" * 6 + "🌒" * 6],
    )
    def test_takes_any_character(self, register, sign_in, password):
        register(EMAIL, password)
        assert sign_in(EMAIL, password)["token_type"] == "Bearer"

    def test_spellings_of_one_address_are_one_user(self, register):
        for spelling in ("ADA@Bücher.example", "ada@bücher.example\n", "\u200bada@XN--bcher-kva.example"):
            register(spelling)
        assert User.objects.get().email == "ada@xn--bcher-kva.example"

    @pytest.mark.parametrize(
        ("locale", "stored"),
        [
            ("en-US", "en"),
            ("de-AT", "de"),
            ("DE", "de"),
            ("pt-BR", "en"),
            ("zh-Hant-TW", "en"),
            ("fr_CA.UTF-8", "fr"),
            ("i-klingon", "en"),
            ("C", "en"),
        ],
    )
    def test_a_locale_is_its_language_and_an_unknown_one_the_default(self, public, locale, stored):
        post(public, "register", email=EMAIL, password=PASSWORD, locale=locale)
        assert User.objects.get().locale == stored

    @override_settings(RATE_LIMITS={"register": (3, 3600), "proofs": (9, 60), "proofs_named": (9, 300)})
    def test_is_limited_per_address_of_the_client(self, public):
        for number in range(3):
            assert (
                post(public, "register", email=f"a{number}@example.com", password=PASSWORD).status_code == 202
            )
        answer = post(public, "register", email="b@example.com", password=PASSWORD)
        assert outcome(answer) == (429, "rate_limited")
        assert int(answer["Retry-After"]) in range(3590, 3601)
        assert User.objects.count() == 3


ARMS: dict[str, dict[str, Any]] = {
    "unknown": {},
    "unverified": {"verified": False},
    "verified": {},
    "suspended": {"status": "suspended"},
    "pending_deletion": {"status": "pending_deletion"},
    "without_password": {"password": None},
    "registered_before": {},
    "registered_alike": {},
}
FIRST_PASSWORDS = {"registered_before": PASSWORD, "registered_alike": OTHER_PASSWORD}


@pytest.mark.django_db
class TestEveryArmOfRegister:
    """The same whether or not the address is taken: answer, statements, hashes and number of mails."""

    @pytest.fixture
    def seen(self, public, make_user):
        seen = {}
        post(
            public, "register", email="first@example.com", password=PASSWORD
        )  # whatever is loaded once, now is
        deliver_mails()
        for arm, fields in ARMS.items():
            if arm in FIRST_PASSWORDS:
                post(public, "register", email=f"{arm}@example.com", password=FIRST_PASSWORDS[arm])
                deliver_mails()
            elif arm != "unknown":
                make_user(f"{arm}@example.com", **fields)
            with statements() as run, hashes() as made:
                answer = post(public, "register", email=f"{arm}@example.com", password=OTHER_PASSWORD)
            headers = steady_headers(answer)
            seen[arm] = (answer.status_code, answer.content, headers, run, made(), len(deliver_mails()))
        return seen

    @pytest.mark.parametrize("arm", ARMS)
    def test_is_the_same(self, seen, arm):
        status, _, _, run, made, mails = seen[arm]
        assert seen[arm] == seen["unknown"]
        assert (status, made, mails) == (202, 1, 1)
        verbs = ["SELECT", "INSERT", "SELECT", "INSERT", "SELECT", "INSERT", "UPDATE", *["INSERT"] * 4]
        assert [statement.split()[0] for statement in run] == verbs

    def test_the_owner_of_a_taken_address_is_told(self, register, make_user):
        owner = make_user(EMAIL, password=PASSWORD)
        message = register(EMAIL, OTHER_PASSWORD, display_name="Eve")
        owner.refresh_from_db()
        assert message.subject == "You already have an account"
        assert "/v1/auth/password-reset?token=" in message.body
        assert "Eve" not in message.message().as_string()
        assert owner.check_password(PASSWORD)
        assert owner.display_name == ""
        assert PendingRegistration.objects.get().password == ""

    def test_a_stranger_cannot_flood_a_mailbox(self, public, make_user):
        make_user("ada@gmail.com")
        for address in ("ada@gmail.com", "a.d.a@gmail.com", "ada+x@googlemail.com") * 3:
            assert post(public, "register", email=address, password=PASSWORD).status_code == 202
        assert len(deliver_mails()) == 4  # the fifth of the hour may only be a link for a new password
        assert OutboxMessage.objects.filter(last_error="over the mailbox's hourly budget").count() == 5


@pytest.mark.django_db
class TestVerifyEmail:
    def test_refuses_other_methods(self, public):
        assert public.put("/v1/auth/verify-email", {}).status_code == 405

    @pytest.mark.parametrize(
        "body",
        [{}, {"email": EMAIL}, {"code": "BCDFGHJK"}, {"token": "x", "email": EMAIL, "code": "BCDFGHJK"}],
    )
    def test_wants_a_token_or_a_code(self, public, register, body):
        register(EMAIL)
        assert outcome(post(public, "verify-email", **body)) == (400, "validation_error")
        assert not User.objects.get().email_verified

    @override_settings(RATE_LIMITS_FACTOR=10)
    def test_refuses_unknown_and_altered_links(self, public, register):
        token = link_in(register(EMAIL))
        flipped = [
            token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :] for place in range(64)
        ]
        for wrong in (*flipped, token[:-1], token + "A", token + "=", "", "é" * 64, token.swapcase()):
            assert outcome(post(public, "verify-email", token=wrong)) == (400, "token_invalid")
        assert not User.objects.get().email_verified

    def test_a_token_of_another_purpose_is_refused(self, public, make_user, register):
        make_user(EMAIL)
        token = link_in(register(EMAIL))  # of the notice: a reset
        assert outcome(post(public, "verify-email", token=token)) == (400, "token_invalid")
        assert MailToken.objects.get().used_at is None

    def test_refuses_an_expired_link(self, public, register):
        token = link_in(register(EMAIL))
        MailToken.objects.update(expires_at=Now())
        assert outcome(post(public, "verify-email", token=token)) == (400, "token_invalid")
        assert not User.objects.get().email_verified

    def test_refuses_a_link_mailed_to_another_address(self, public, register):
        token = link_in(register(EMAIL))
        User.objects.update(email="changed@example.com")
        assert outcome(post(public, "verify-email", token=token)) == (400, "token_invalid")

    def test_confirms_once(self, public, register):
        token = link_in(register(EMAIL))
        answer = post(public, "verify-email", token=token)
        assert (answer.status_code, answer.json()) == (200, {"email": EMAIL, "email_verified": True})
        assert outcome(post(public, "verify-email", token=token)) == (400, "token_invalid")

    def test_keeps_password_and_session_of_the_only_registration(self, public, register, sign_in):
        message = register(EMAIL)
        pair = sign_in(EMAIL)
        post(public, "verify-email", token=link_in(message))
        me = public.with_token(pair["access_token"]).get("/v1/auth/me")
        assert (me.status_code, me.json()["email_verified"], me.json()["has_password"]) == (200, True, True)
        assert PendingRegistration.objects.get().password == ""

    def test_a_code_does_the_same(self, public, register):
        code = code_in(register(EMAIL))
        typed = f" {code[:4].lower()}-{code[4:]} "
        answer = post(public, "verify-email", email="ADA@example.com", code=typed)
        assert answer.json() == {"email": EMAIL, "email_verified": True}
        assert outcome(post(public, "verify-email", email=EMAIL, code=code)) == (400, "token_invalid")

    def test_a_code_dies_after_five_tries(self, public, register):
        message = register(EMAIL)
        for _ in range(5):
            assert outcome(post(public, "verify-email", email=EMAIL, code="BBBBBBBB")) == (
                400,
                "token_invalid",
            )
        assert outcome(post(public, "verify-email", email=EMAIL, code=code_in(message))) == (
            400,
            "token_invalid",
        )
        assert post(public, "verify-email", token=link_in(message)).status_code == 200  # the link lives on

    def test_wrong_codes_of_strangers_leave_the_owner_his(self, public, register):
        """Twenty a day from one network, for whomever; elsewhere they count for nothing (A10)."""
        wrong = {"email": EMAIL, "code": "BBBBBBBB"}
        answers = [
            public.post("/v1/auth/verify-email", wrong, REMOTE_ADDR="203.0.113.9").status_code
            for _ in range(21)
        ]
        assert answers == [400] * 20 + [429]
        code = code_in(register(EMAIL))
        body = {"email": EMAIL, "code": code}
        assert public.post("/v1/auth/verify-email", body, REMOTE_ADDR="203.0.113.9").status_code == 429
        assert public.post("/v1/auth/verify-email", body, REMOTE_ADDR="198.51.100.7").status_code == 200

    def test_a_code_dies_after_15_minutes(self, public, register):
        code = code_in(register(EMAIL))
        MailToken.objects.update(code_expires_at=Now() - timedelta(seconds=1))
        assert outcome(post(public, "verify-email", email=EMAIL, code=code)) == (400, "token_invalid")

    def test_a_code_of_another_address_is_refused(self, public, register):
        code = code_in(register(EMAIL))
        register("eve@example.com")
        assert outcome(post(public, "verify-email", email="eve@example.com", code=code)) == (
            400,
            "token_invalid",
        )

    @override_settings(
        MAIL_TOKEN_KEYS=[
            "a new key that has been put first, 32 bytes",
            "test-only-mail-5f0c2b7de94a4168a3c1e6d8b7f92041",
        ]
    )
    def test_a_rotated_key_still_verifies(self, public, register):
        with override_settings(MAIL_TOKEN_KEYS=["test-only-mail-5f0c2b7de94a4168a3c1e6d8b7f92041"]):
            message = register(EMAIL)
        assert post(public, "verify-email", email=EMAIL, code=code_in(message)).status_code == 200

    @override_settings(MAIL_TOKEN_KEYS=["another installation's key, as long as it must be"])
    def test_a_foreign_key_does_not(self, public, register):
        with override_settings(MAIL_TOKEN_KEYS=["test-only-mail-5f0c2b7de94a4168a3c1e6d8b7f92041"]):
            message = register(EMAIL)
        assert outcome(post(public, "verify-email", token=link_in(message))) == (400, "token_invalid")
        assert outcome(post(public, "verify-email", email=EMAIL, code=code_in(message))) == (
            400,
            "token_invalid",
        )


@pytest.mark.django_db
class TestContestedAddress:
    """A thief registers the victim's address, first or second; the victim confirms. The thief's password is void."""

    @pytest.mark.parametrize("clicked", [0, 1])
    def test_confirming_keeps_no_password_and_no_session(self, public, register, sign_in, clicked):
        messages = [register(EMAIL, OTHER_PASSWORD, display_name="Thief"), register(EMAIL, PASSWORD)]
        thief = sign_in(EMAIL, OTHER_PASSWORD)

        answer = post(public, "verify-email", token=link_in(messages[clicked]))

        assert answer.json() == {"email": EMAIL, "email_verified": True}
        user = User.objects.get()
        assert (user.has_usable_password(), user.display_name) == (False, "")
        for password in (PASSWORD, OTHER_PASSWORD):
            assert outcome(post(public, "login", email=EMAIL, password=password)) == (
                401,
                "invalid_credentials",
            )
        assert public.with_token(thief["access_token"]).get("/v1/auth/me").status_code == 401
        assert outcome(post(public, "refresh", refresh_token=thief["refresh_token"])) == (
            401,
            "session_revoked",
        )
        assert outcome(post(public, "verify-email", token=link_in(messages[1 - clicked]))) == (
            400,
            "token_invalid",
        )
        (reset,) = deliver_mails()
        assert (reset.to, "/v1/auth/password-reset?token=" in reset.body) == ([EMAIL], True)
        assert not PendingRegistration.objects.exclude(password="").exists()

    def test_before_that_only_the_first_password_signs_in(self, public, register, sign_in):
        register(EMAIL, PASSWORD)
        register(EMAIL, OTHER_PASSWORD)
        sign_in(EMAIL, PASSWORD)
        assert post(public, "login", email=EMAIL, password=OTHER_PASSWORD).status_code == 401

    def test_a_stranger_does_not_void_the_link_of_the_first(self, public, register):
        first = link_in(register(EMAIL))
        register(EMAIL, OTHER_PASSWORD)
        assert post(public, "verify-email", token=first).status_code == 200

    def test_a_registration_on_top_of_an_account_made_otherwise_is_contested(
        self, public, make_user, register
    ):
        make_user(EMAIL, verified=False, password=OTHER_PASSWORD)
        post(public, "verify-email", token=link_in(register(EMAIL)))
        assert not User.objects.get().has_usable_password()


@pytest.mark.django_db
class TestRepeatedRegistration:
    """A double click, or a try after an answer that was lost: who knows the password is one and the same."""

    @pytest.mark.parametrize(("times", "clicked"), [(2, 0), (2, -1), (3, 0), (3, 1)])
    @pytest.mark.parametrize("by_code", [False, True])
    def test_any_mail_confirms_and_the_password_opens(self, register, sign_in, times, clicked, *, by_code):
        public = ListenerClient("public")
        messages = [register(EMAIL, display_name=f"Ada {number}") for number in range(times)]
        proofs = [
            {"email": EMAIL, "code": code_in(one)} if by_code else {"token": link_in(one)} for one in messages
        ]
        assert post(public, "verify-email", **proofs[clicked]).status_code == 200
        assert sign_in(EMAIL)["access_token"]
        assert User.objects.get().display_name == "Ada 0"
        assert not PendingRegistration.objects.waiting().exists()
        assert not PendingRegistration.objects.exclude(password="").exists()
        for token in {link_in(one) for one in messages if one is not messages[clicked]}:
            assert outcome(post(public, "verify-email", token=token)) == (400, "token_invalid")
        assert deliver_mails()[1:] == []

    def test_forms_of_unicode_are_one_password(self, public, register, sign_in):
        composed = "Zo\u00eb's bicycles over oil"
        register(EMAIL, composed)
        message = register(EMAIL, unicodedata.normalize("NFD", composed))
        assert post(public, "verify-email", token=link_in(message)).status_code == 200
        assert sign_in(EMAIL, composed)["access_token"]

    @pytest.mark.parametrize(
        "typed",
        [
            (OTHER_PASSWORD, PASSWORD, PASSWORD),
            (PASSWORD, OTHER_PASSWORD, PASSWORD),
            (PASSWORD, PASSWORD, OTHER_PASSWORD),
            (PASSWORD, PASSWORD.upper()),
        ],
        ids=["thief first", "thief between", "thief last", "nearly"],
    )
    @pytest.mark.parametrize("clicked", [0, -1])
    def test_beside_another_password_none_opens(self, public, register, typed, clicked):
        messages = [register(EMAIL, password) for password in typed]
        assert post(public, "verify-email", token=link_in(messages[clicked])).status_code == 200
        assert not User.objects.get().has_usable_password()

    def test_hashes_of_strangers_have_salts_of_their_own(self, register):
        for email in (EMAIL, "eve@example.com"):
            register(email)
        first, second = User.objects.values_list("password", flat=True)
        assert first[:40] != second[:40]


@pytest.mark.django_db
class TestPageOfTheLink:
    def test_opening_changes_nothing(self, public, register):
        token = link_in(register(EMAIL))
        for call in (public.get, public.head, public.options):
            assert call(f"/v1/auth/verify-email?token={token}").status_code in {200, 204}
        assert not User.objects.get().email_verified
        assert MailToken.objects.get().used_at is None

    def test_its_form_confirms(self, public, register):
        token = link_in(register(EMAIL))
        page = public.get(f"/v1/auth/verify-email?token={token}")
        assert page["Content-Type"] == "text/html; charset=utf-8"
        assert f'value="{token}"' in page.content.decode()
        answer = public.post(
            "/v1/auth/verify-email", f"token={token}", content_type="application/x-www-form-urlencoded"
        )
        assert (answer.status_code, answer["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert User.objects.get().email_verified

    def test_a_spent_link_is_refused_with_a_page(self, public):
        answer = public.post(
            "/v1/auth/verify-email", "token=x", content_type="application/x-www-form-urlencoded"
        )
        assert answer.status_code == 400
        assert "That didn't work" in answer.content.decode()

    def test_what_the_query_says_is_inert(self, public):
        page = public.get('/v1/auth/verify-email?token="><script>alert(1)</script>')
        assert "<script" not in page.content.decode()
        assert re.match(r"default-src 'none'; style-src 'nonce-[\w-]{20,}'", page["Content-Security-Policy"])
        assert page["Cache-Control"] == "no-store"

    def test_links_begin_with_our_own_address_whatever_the_host_header_says(self, public):
        public.post("/v1/auth/register", {"email": EMAIL, "password": PASSWORD}, HTTP_HOST="evil.example")
        (message,) = deliver_mails()
        assert "https://auth.test/v1/auth/verify-email?token=" in message.body
        assert "evil" not in message.message().as_string()

    @override_settings(FRONTEND_URL="https://app.example")
    def test_links_lead_to_the_front_end_if_there_is_one(self, register):
        assert "https://app.example/verify-email?token=" in register(EMAIL).body


@pytest.mark.django_db
class TestResendVerification:
    def test_refuses_what_is_no_address(self, public):
        assert outcome(post(public, "resend-verification", email="ada")) == (400, "validation_error")
        assert not OutboxMessage.objects.exists()

    @pytest.mark.parametrize("arm", ["unknown", "verified", "suspended"])
    def test_sends_nothing_where_nothing_waits(self, public, make_user, arm):
        if arm != "unknown":
            make_user(EMAIL, **ARMS[arm])
        assert post(public, "resend-verification", email=EMAIL).status_code == 202
        assert deliver_mails() == []
        assert not OutboxMessage.objects.exists()

    def test_every_arm_is_the_same(self, public, make_user):
        make_user("verified@example.com")
        make_user("unverified@example.com", verified=False)
        seen = []
        for arm in ("unknown", "verified", "unverified"):
            with statements() as run:
                answer = post(public, "resend-verification", email=f"{arm}@example.com")
            seen.append((answer.status_code, answer.content, run, steady_headers(answer)))
        assert seen[0] == seen[1] == seen[2]
        assert len([statement for statement in seen[0][2] if statement.startswith("INSERT")]) == 1

    def test_the_newest_link_wins(self, public, register):
        old = link_in(register(EMAIL))
        post(public, "resend-verification", email=EMAIL)
        (message,) = deliver_mails()
        assert outcome(post(public, "verify-email", token=old)) == (400, "token_invalid")
        assert post(public, "verify-email", token=link_in(message)).status_code == 200

    def test_is_limited_per_mailbox_and_network(self, public):
        for address in ("ada@example.com", "ADA@example.com", "ada+tag@example.com"):
            assert post(public, "resend-verification", email=address).status_code == 202
        assert outcome(post(public, "resend-verification", email=EMAIL)) == (429, "rate_limited")
        assert OutboxMessage.objects.count() == 3


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_one_of_50_uses_of_a_link_succeeds(self, register):
        token = link_in(register(EMAIL))
        results = at_once(50, lambda _: signup.confirm_by_link(token, client=CLIENT).email, threads=50)
        assert (results.count(EMAIL), results.count("token_invalid")) == (1, 49)

    @override_settings(RATE_LIMITS_FACTOR=100)
    def test_one_of_50_uses_of_a_code_succeeds_at_most(self, register):
        code = code_in(register(EMAIL))
        results = at_once(
            50, lambda _: signup.confirm_by_code(email=EMAIL, code=code, client=CLIENT).email, threads=50
        )
        assert (results.count(EMAIL), results.count("token_invalid")) == (1, 49)

    @override_settings(RATE_LIMITS_FACTOR=100)
    def test_five_of_50_wrong_codes_are_compared(self, register):
        register(EMAIL)
        results = at_once(
            50,
            lambda _: mail_tokens.id_from_code("BBBBBBBB", email=EMAIL, purpose=mail_tokens.Purpose.VERIFY),
        )
        assert results == [None] * 50
        assert MailToken.objects.get().code_tries == 5

    def test_registrations_of_one_address_stand_side_by_side(self):
        def register(number):
            signup.register(email=EMAIL, password=PASSWORD, display_name="", locale="en", client=CLIENT)

        results = at_once(12, register)
        made = results.count(None)
        assert set(results) <= {None, "service_unavailable"}
        assert (User.objects.count(), PendingRegistration.objects.count()) == (1, made)
        assert PendingRegistration.objects.filter(founding=True).count() == 1

    def test_a_double_click_is_one_registration(self, public, sign_in):
        def register(_number):
            signup.register(email=EMAIL, password=PASSWORD, display_name="", locale="en", client=CLIENT)

        assert at_once(2, register) == [None, None]
        (message, _) = deliver_mails()
        assert post(public, "verify-email", token=link_in(message)).status_code == 200
        assert sign_in(EMAIL)["access_token"]

    def test_confirming_both_links_at_once_confirms_one(self, register):
        tokens = [link_in(register(EMAIL, PASSWORD)), link_in(register(EMAIL, OTHER_PASSWORD))]
        results = at_once(20, lambda number: signup.confirm_by_link(tokens[number % 2], client=CLIENT).email)
        assert results.count(EMAIL) == 1
        assert not User.objects.get().has_usable_password()
        assert not Session.objects.filter(ended_at=None).exists()

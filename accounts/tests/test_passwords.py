"""Passwords: asked for again, chosen by the mailed link, changed by who is signed in. And who is out afterwards."""

from contextlib import nullcontext
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import override_settings

from accounts.kit.client import Client
from accounts.kit.problems import ServiceUnavailable
from accounts.models import AuditEvent, MailToken, OutboxMessage, PendingRegistration, Session, User
from accounts.sign_in import password_change, password_reset
from accounts.tests.conftest import (
    OTHER_PASSWORD,
    PASSWORD,
    at_once,
    deliver_mails,
    hashes,
    link_in,
    outcome,
    post,
    statements,
    steady_headers,
)
from tests.fixtures import grow_old, take_token

EMAIL = "ada@example.com"
NEW_PASSWORD = "a third sentence that nobody has typed"
CLIENT = Client("192.0.2.1", "test")
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def ada(make_user):
    return make_user(EMAIL, password=PASSWORD)


@pytest.fixture
def reset_link(public):
    """`reset_link()`: the token of the mail that a request for ada brings."""

    def ask(email=EMAIL):
        assert post(public, "password-reset-request", email=email).status_code == 202
        (message,) = deliver_mails()
        assert message.to == [EMAIL]
        return link_in(message)

    return ask


def stored():
    return list(
        User.objects.order_by("pk").values_list("pk", "password", "token_version", "email_verified_at")
    )


ARMS = {
    "unknown": None,
    "verified": {},
    "unverified": {"verified": False},
    "suspended": {"status": "suspended"},
    "pending_deletion": {"status": "pending_deletion"},
    "without_password": {"password": None},
    "imported": {},
    "over_budget": {},
}


@pytest.mark.django_db
class TestPasswordResetRequest:
    def test_refuses_what_is_no_address(self, public):
        assert outcome(post(public, "password-reset-request", email="ada")) == (400, "validation_error")
        assert not OutboxMessage.objects.exists()

    def test_every_arm_is_the_same(self, public, make_user, settings):
        post(public, "password-reset-request", email="first@example.com")
        seen = {}
        for arm, fields in ARMS.items():
            if fields is not None:
                user = make_user(f"{arm}@example.com", **fields)
                if arm == "imported":
                    User.objects.filter(pk=user.pk).update(password="bcrypt$$2b$04$" + "." * 53)
            if arm == "over_budget":
                settings.RATE_LIMITS = {**settings.RATE_LIMITS, "mails_by_strangers": (0, 3600)}
            with statements() as run, hashes() as made:
                answer = post(public, "password-reset-request", email=f"{arm}@example.com")
            headers = steady_headers(answer)
            seen[arm] = (answer.status_code, answer.content, headers, run, made())
        assert all(one == seen["unknown"] for one in seen.values())
        assert (seen["unknown"][0], seen["unknown"][4]) == (202, 0)
        assert [statement.split()[0] for statement in seen["unknown"][3]] == ["SELECT", "INSERT"]

    def test_mails_a_link_to_whoever_has_an_account(self, public, make_user):
        for arm, fields in ARMS.items():
            if fields is not None:
                make_user(f"{arm}@example.com", **fields)
            post(public, "password-reset-request", email=f"{arm}@example.com")
        assert sorted(message.to[0].partition("@")[0] for message in deliver_mails()) == sorted(
            set(ARMS) - {"unknown"}
        )
        assert not OutboxMessage.objects.exclude(requested_email="").exists()

    def test_the_newest_link_wins(self, public, ada, reset_link):
        old, new = reset_link(), reset_link()
        assert outcome(post(public, "password-reset", token=old, new_password=NEW_PASSWORD)) == (
            400,
            "token_invalid",
        )
        assert post(public, "password-reset", token=new, new_password=NEW_PASSWORD).status_code == 204

    def test_is_limited_per_mailbox_and_network(self, public, ada):
        for address in (EMAIL, "ADA@example.com", "ada+tag@example.com"):
            assert post(public, "password-reset-request", email=address).status_code == 202
        assert outcome(post(public, "password-reset-request", email=EMAIL)) == (429, "rate_limited")
        assert OutboxMessage.objects.count() == 3
        elsewhere = {"REMOTE_ADDR": "198.51.100.7"}
        answer = public.post("/v1/auth/password-reset-request", {"email": EMAIL}, **elsewhere)
        assert answer.status_code == 202

    def test_strangers_use_up_nothing_of_what_is_asked_for_at_home(self, public, ada, sign_in):
        """Not from however many networks (A10)."""
        sign_in(EMAIL)
        deliver_mails()
        for number in range(6):
            body = {"email": EMAIL}
            public.post("/v1/auth/password-reset-request", body, REMOTE_ADDR=f"198.51.{number}.7")
        assert len(deliver_mails()) == 5
        assert post(public, "password-reset-request", email=EMAIL).status_code == 202
        (message,) = deliver_mails()
        answer = post(public, "password-reset", token=link_in(message), new_password=NEW_PASSWORD)
        assert answer.status_code == 204

    @pytest.mark.parametrize("call", ["password-reset-request", "resend-verification"])
    def test_one_network_asks_for_sixty_mails_an_hour(self, public, settings, call):
        """Whosever mailboxes they are (A4)."""
        assert settings.RATE_LIMITS["mail_requests"] == (60, 3600)
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, "mail_requests": (3, 3600)}
        codes = [
            public.post(
                f"/v1/auth/{call}", {"email": f"{n}@example.com"}, REMOTE_ADDR="2001:db8:1:2::1"
            ).status_code
            for n in range(5)
        ]
        assert codes == [202] * 3 + [429] * 2
        elsewhere = {"REMOTE_ADDR": "2001:db8:2::1"}
        assert public.post(f"/v1/auth/{call}", {"email": EMAIL}, **elsewhere).status_code == 202

    def test_both_calls_count_together_and_all_networks_have_a_ceiling(self, public, settings):
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, "mail_requests_in_all": (4, 60)}
        calls = ["password-reset-request", "resend-verification"] * 3
        codes = [
            public.post(
                f"/v1/auth/{call}", {"email": f"{n}@example.com"}, REMOTE_ADDR=f"198.51.{n}.7"
            ).status_code
            for n, call in enumerate(calls)
        ]
        assert codes == [202] * 4 + [429] * 2

    @pytest.mark.parametrize(
        ("call", "email"),
        [
            ("password-reset-request", "nobody@example.com"),
            ("resend-verification", "nobody@example.com"),
            ("resend-verification", EMAIL),
        ],
    )
    def test_what_leads_to_nothing_leaves_no_row(self, public, ada, call, email):
        assert post(public, call, email=email).status_code == 202
        assert deliver_mails() == []
        assert not OutboxMessage.objects.exists()

    def test_mails_that_strangers_cause_leave_one_place_for_it(self, public, ada):
        """A stranger registers the address five times: the owner's own link is mailed all the same (A10)."""
        for number in range(5):
            body = {"email": EMAIL, "password": f"a sentence of stranger {number}"}
            assert public.post("/v1/auth/register", body).status_code == 202
        assert [one.subject for one in deliver_mails()] == ["You already have an account"] * 4
        post(public, "password-reset-request", email=EMAIL)
        assert [one.subject for one in deliver_mails()] == ["Choose a new password"]

    def test_one_that_is_not_mailed_voids_no_link(self, public, ada, reset_link):
        for number in range(5):
            body = {"email": EMAIL, "password": f"a sentence of stranger {number}"}
            public.post("/v1/auth/register", body)
        deliver_mails()
        link = reset_link()
        post(public, "password-reset-request", email=EMAIL)
        assert deliver_mails() == []
        answer = post(public, "password-reset", token=link, new_password=NEW_PASSWORD)
        assert answer.status_code == 204

    def test_its_page_and_form(self, public, ada):
        page = public.get("/v1/auth/password-reset-request")
        assert 'name="email"' in page.content.decode()
        answer = public.post("/v1/auth/password-reset-request", f"email={EMAIL}", content_type=FORM)
        assert (answer.status_code, answer["Content-Type"]) == (202, "text/html; charset=utf-8")
        assert len(deliver_mails()) == 1


@pytest.mark.django_db
class TestPasswordReset:
    @pytest.mark.parametrize("token", ["", "x", "A" * 64, "é" * 64])
    def test_refuses_unknown_links_without_a_hash(self, public, ada, token):
        before = stored()
        with hashes() as made:
            answer = post(public, "password-reset", token=token, new_password=NEW_PASSWORD)
        assert outcome(answer) == (400, "token_invalid")
        assert (made(), stored()) == (0, before)

    def test_refuses_a_link_that_has_expired_or_was_mailed_to_another_address(self, public, ada, reset_link):
        token = reset_link()
        MailToken.objects.update(expires_at=Now())
        assert outcome(post(public, "password-reset", token=token, new_password=NEW_PASSWORD))[0] == 400
        MailToken.objects.update(expires_at=Now() + timedelta(hours=1), email="eve@example.com")
        assert outcome(post(public, "password-reset", token=token, new_password=NEW_PASSWORD))[0] == 400
        assert User.objects.get().password == ada.password

    def test_refuses_a_link_of_another_purpose(self, public, register):
        token = link_in(register(EMAIL))
        assert outcome(post(public, "password-reset", token=token, new_password=NEW_PASSWORD)) == (
            400,
            "token_invalid",
        )

    def test_a_bad_password_leaves_the_link_as_it_was(self, public, ada, reset_link):
        token, before = reset_link(), stored()
        for bad in ("short", "x" * 257, "passwordpassword", EMAIL):
            answer = post(public, "password-reset", token=token, new_password=bad)
            assert outcome(answer) == (400, "validation_error")
            assert answer.json()["errors"][0]["field"] == "new_password"
        assert stored() == before
        assert post(public, "password-reset", token=token, new_password=NEW_PASSWORD).status_code == 204

    def test_ends_every_session_and_every_other_link(self, public, ada, reset_link, sign_in):
        pair, token = sign_in(EMAIL), reset_link()
        assert post(public, "password-reset", token=token, new_password=NEW_PASSWORD).status_code == 204
        assert public.with_token(pair["access_token"]).get("/v1/auth/me").status_code == 401
        assert outcome(post(public, "refresh", refresh_token=pair["refresh_token"])) == (
            401,
            "session_revoked",
        )
        assert outcome(post(public, "password-reset", token=token, new_password=NEW_PASSWORD))[0] == 400
        assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 401
        sign_in(EMAIL, NEW_PASSWORD)
        assert set(AuditEvent.objects.values_list("type", flat=True)) >= {"password_reset"}

    def test_its_owner_is_told(self, public, ada, reset_link):
        post(public, "password-reset", token=reset_link(), new_password=NEW_PASSWORD)
        (message,) = deliver_mails()
        assert (message.subject, message.to) == ("You have a new password", [EMAIL])

    def test_proves_the_address(self, public, make_user, reset_link):
        make_user(EMAIL, verified=False, display_name="Thief")
        post(public, "password-reset", token=reset_link(), new_password=NEW_PASSWORD)
        user = User.objects.get()
        assert (user.email_verified, user.display_name) == (True, "")

    @pytest.mark.parametrize(("days", "removed"), [(6, True), (8, False)])
    def test_removes_what_was_added_soon_after_verification(  # noqa: PLR0917 -- fixtures
        self, public, ada, reset_link, settings, days, removed
    ):
        REMOVED.clear()
        settings.ACCOUNT_HOOKS = {
            **settings.ACCOUNT_HOOKS,
            "remove_sign_in_methods": [f"{__name__}.note_removal"],
        }
        User.objects.update(email_verified_at=Now() - timedelta(days=days))
        post(public, "password-reset", token=reset_link(), new_password=NEW_PASSWORD)
        assert ([ada.pk] if removed else []) == REMOVED

    def test_does_not_lift_a_suspension(self, public, make_user, reset_link):
        make_user(EMAIL, status="suspended")
        post(public, "password-reset", token=reset_link(), new_password=NEW_PASSWORD)
        assert outcome(post(public, "login", email=EMAIL, password=NEW_PASSWORD)) == (
            403,
            "account_suspended",
        )

    def test_lets_a_guessed_account_in_again(self, public, ada, reset_link, settings):
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, "login_account": (2, 3600, 10, 30)}
        for _ in range(2):
            post(public, "login", email=EMAIL, password=OTHER_PASSWORD)
        assert post(public, "login", email=EMAIL, password=PASSWORD).status_code == 429
        post(public, "password-reset", token=reset_link(), new_password=NEW_PASSWORD)
        assert post(public, "login", email=EMAIL, password=NEW_PASSWORD).status_code == 200


REMOVED: list[object] = []


def note_removal(*, user_id, since):
    REMOVED.append(user_id)


@pytest.mark.django_db
class TestPageOfTheReset:
    def test_opening_changes_nothing(self, public, ada, reset_link):
        token, before = reset_link(), stored()
        for call in (public.get, public.head, public.options):
            assert call(f"/v1/auth/password-reset?token={token}").status_code in {200, 204}
        assert stored() == before
        assert MailToken.objects.get().used_at is None

    def test_its_form_keeps_the_link_after_a_fault_and_then_works(self, public, ada, reset_link):
        token = reset_link()
        answer = public.post(
            "/v1/auth/password-reset", f"token={token}&new_password=short", content_type=FORM
        )
        text = answer.content.decode()
        assert answer.status_code == 400
        assert f'value="{token}"' in text
        assert 'role="alert"' in text
        answer = public.post(
            "/v1/auth/password-reset",
            f"token={token}&new_password={NEW_PASSWORD.replace(' ', '+')}",
            content_type=FORM,
        )
        assert (answer.status_code, "You have a new password" in answer.content.decode()) == (200, True)
        assert post(public, "login", email=EMAIL, password=NEW_PASSWORD).status_code == 200

    def test_a_spent_link_is_refused_with_a_page(self, public):
        answer = public.post("/v1/auth/password-reset", f"token=x&new_password={'y' * 20}", content_type=FORM)
        assert (answer.status_code, "That didn't work" in answer.content.decode()) == (400, True)

    def test_a_dead_link_asks_for_no_password(self, public, ada, reset_link):
        shown = public.get("/v1/auth/password-reset?token=x").content.decode()
        assert ("no longer valid" in shown, "new_password" in shown) == (True, False)
        token = reset_link()
        path = f"/v1/auth/password-reset?token={token}"
        assert "new_password" in public.get(path).content.decode()
        post(public, "password-reset", token=token, new_password=NEW_PASSWORD)
        shown = public.get(path).content.decode()
        assert ("used before" in shown, "new_password" in shown) == (True, False)

    def test_what_the_query_says_is_inert(self, public):
        page = public.get('/v1/auth/password-reset?token="><script>alert(1)</script>')
        assert "<script" not in page.content.decode()


@pytest.mark.django_db
class TestChangePassword:
    @pytest.fixture
    def signed_in(self, public, ada, sign_in):
        return public.with_token(sign_in(EMAIL)["access_token"])

    def change(self, client, current, new=NEW_PASSWORD):
        known = {} if current is None else {"current_password": current}
        return client.post("/v1/auth/change-password", {**known, "new_password": new})

    def test_nobody(self, public):
        assert outcome(self.change(public, PASSWORD)) == (401, "not_authenticated")

    def test_unverified(self, public, make_user, sign_in):
        make_user(EMAIL, password=PASSWORD, verified=False)
        client = public.with_token(sign_in(EMAIL)["access_token"])
        assert outcome(self.change(client, PASSWORD)) == (403, "email_not_verified")

    def test_a_wrong_password_is_refused_and_counted(self, signed_in):
        before = stored()
        for _ in range(10):
            assert outcome(self.change(signed_in, OTHER_PASSWORD)) == (403, "reauthentication_failed")
        assert outcome(self.change(signed_in, PASSWORD)) == (429, "rate_limited")
        assert stored() == before
        assert [message.subject for message in deliver_mails()] == ["Someone is guessing your password"]

    @pytest.mark.parametrize(
        ("current", "new", "code"),
        [(PASSWORD, "short", "password_too_short"), (None, NEW_PASSWORD, "required")],
    )
    def test_names_what_is_wrong_without_a_hash(self, signed_in, current, new, code):
        before = stored()
        with hashes() as made:
            answer = self.change(signed_in, current, new)
        assert [fault["code"] for fault in answer.json()["errors"]] == [code]
        assert (made(), stored()) == (0, before)

    def test_ends_every_other_session_and_every_link(self, public, signed_in, sign_in, reset_link):
        other, link = sign_in(EMAIL), reset_link()
        assert self.change(signed_in, PASSWORD).status_code == 204
        assert signed_in.get("/v1/auth/me").status_code == 200
        assert public.with_token(other["access_token"]).get("/v1/auth/me").status_code == 401
        assert outcome(post(public, "refresh", refresh_token=other["refresh_token"])) == (
            401,
            "session_revoked",
        )
        assert outcome(post(public, "password-reset", token=link, new_password=OTHER_PASSWORD))[0] == 400
        (message,) = deliver_mails()
        assert (message.subject, message.to) == ("Your password was changed", [EMAIL])
        sign_in(EMAIL, NEW_PASSWORD)

    @pytest.mark.parametrize("meant", [NEW_PASSWORD, OTHER_PASSWORD])
    def test_a_second_click_is_done_and_another_password_is_not(self, signed_in, meant):
        """Both clicks were read before the first was carried out. A repeat would prove the password of before."""
        first, second = (Session.objects.select_related("user").get() for _ in range(2))

        def change(session, new):
            password_change.change(session, current_password=PASSWORD, new_password=new, client=CLIENT)

        change(first, NEW_PASSWORD)
        with nullcontext() if meant == NEW_PASSWORD else pytest.raises(ServiceUnavailable):
            change(second, meant)
        assert User.objects.get().check_password(NEW_PASSWORD)
        assert AuditEvent.objects.filter(type="password_changed").count() == 1

    def test_a_first_password_needs_a_recent_sign_in(self, signed_in, ada):
        User.objects.update(password="!")
        fresh = signed_in.defaults["HTTP_AUTHORIZATION"].split()[1]
        grow_old(signed_in)
        answer = self.change(signed_in, None)
        assert (outcome(answer), answer.json()["methods"]) == ((403, "reauthentication_required"), [])
        take_token(signed_in, fresh)
        assert self.change(signed_in, None).status_code == 204
        assert User.objects.get().check_password(NEW_PASSWORD)


@pytest.mark.django_db
class TestThiefRegistersFirst:
    """A stranger registers the victim's address; the victim resets. Nothing of the stranger's opens anything."""

    def test_reset_before_any_link_was_followed(self, public, register, sign_in, reset_link):
        link = link_in(register(EMAIL, OTHER_PASSWORD, display_name="Thief"))
        thief = sign_in(EMAIL, OTHER_PASSWORD)
        post(public, "password-reset", token=reset_link(), new_password=NEW_PASSWORD)
        assert public.with_token(thief["access_token"]).get("/v1/auth/me/status").status_code == 401
        assert post(public, "refresh", refresh_token=thief["refresh_token"]).status_code == 401
        assert post(public, "login", email=EMAIL, password=OTHER_PASSWORD).status_code == 401
        assert outcome(post(public, "verify-email", token=link)) == (400, "token_invalid")
        assert not PendingRegistration.objects.exclude(password="").exists()
        sign_in(EMAIL, NEW_PASSWORD)

    def test_reset_after_the_link_was_followed_unasked(self, public, register, sign_in, reset_link):
        post(public, "verify-email", token=link_in(register(EMAIL, OTHER_PASSWORD)))
        thief = sign_in(EMAIL, OTHER_PASSWORD)
        post(public, "password-reset", token=reset_link(), new_password=NEW_PASSWORD)
        assert public.with_token(thief["access_token"]).get("/v1/auth/me").status_code == 401
        assert post(public, "login", email=EMAIL, password=OTHER_PASSWORD).status_code == 401

    @pytest.mark.parametrize("clicked", [0, 1])
    def test_a_contested_account_gets_its_password_by_the_mailed_link(
        self, public, register, sign_in, clicked
    ):
        messages = [register(EMAIL, OTHER_PASSWORD), register(EMAIL, PASSWORD)]
        post(public, "verify-email", token=link_in(messages[clicked]))
        (message,) = deliver_mails()
        assert (
            post(public, "password-reset", token=link_in(message), new_password=NEW_PASSWORD).status_code
            == 204
        )
        sign_in(EMAIL, NEW_PASSWORD)
        for password in (PASSWORD, OTHER_PASSWORD):
            assert post(public, "login", email=EMAIL, password=password).status_code == 401

    def test_a_session_that_was_stolen_loses_to_the_reset(self, public, ada, sign_in, reset_link):
        thief = public.with_token(sign_in(EMAIL)["access_token"])
        body = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
        assert thief.post("/v1/auth/change-password", body).status_code == 204
        deliver_mails()
        post(public, "password-reset", token=reset_link(), new_password=NEW_PASSWORD)
        assert thief.get("/v1/auth/me").status_code == 401
        assert post(public, "login", email=EMAIL, password=OTHER_PASSWORD).status_code == 401


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    @override_settings(RATE_LIMITS_FACTOR=100)
    def test_one_of_50_uses_of_a_link_succeeds(self, ada, reset_link):
        token = reset_link()

        def use(number):
            for _ in range(200):  # more hash at once than may: those try again
                try:
                    return password_reset.reset(
                        token=token, new_password=f"{NEW_PASSWORD} {number}", client=CLIENT
                    )
                except ServiceUnavailable:
                    continue
            return "never"

        results = at_once(50, use, threads=50)
        assert (results.count(None), results.count("token_invalid")) == (1, 49)
        winner = results.index(None)
        assert User.objects.get().check_password(f"{NEW_PASSWORD} {winner}")

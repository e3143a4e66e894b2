"""The admin's second step: asked of everybody, the first factor enrolled by a one-time link, lost with the factor."""

import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db.models import F
from django.db.models.functions import Now

from accounts.admin import actions, sign_in
from accounts.identity import status
from accounts.models import AuditEvent, User
from accounts.models import Session as SessionRow
from accounts.sessions import of_staff
from accounts.tests.conftest import at_once, outcome
from accounts.tests.test_admin import first_step, post
from tests.authenticators import code_of, next_code, wrong_code
from tests.fixtures import PASSWORD, give_app, issue_access_token
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
EMAIL = "boss@example.com"


@pytest.fixture
def boss(make_user):
    return make_user(EMAIL, is_staff=True, is_superuser=True)


@pytest.fixture
def secret(boss):
    return give_app(boss)


def is_in(client: ListenerClient) -> bool:
    return client.get("/admin/").status_code == 200


def second_step(client: ListenerClient, code: str, **headers: Any) -> Any:
    return post(client, "/admin/factor/", {"code": code}, **headers)


class TestSessions:
    def test_a_dump_of_them_signs_nobody_in(self, admin_site, boss, secret):
        first_step(admin_site, EMAIL)
        second_step(admin_site, code_of(secret))
        cookie = admin_site.cookies["sessionid"].value
        (stored,) = Session.objects.values_list("session_key", flat=True)
        assert cookie not in stored
        thief = ListenerClient("admin")
        for key in (stored, of_staff.stored_key(stored)):
            thief.cookies["sessionid"] = key
            assert not is_in(thief)
        assert is_in(admin_site)

    def test_signing_out_leaves_none(self, admin_site, boss, secret):
        first_step(admin_site, EMAIL)
        second_step(admin_site, code_of(secret))
        old = admin_site.cookies["sessionid"].value
        post(admin_site, "/admin/logout/", {})
        assert not Session.objects.exists()
        admin_site.cookies["sessionid"] = old
        assert not is_in(admin_site)


END_THEM = {
    "logout-all": lambda client, _: client.post("/v1/auth/logout-all"),
    "the other sessions": lambda client, _: client.delete("/v1/auth/sessions"),
    "one session": lambda client, row: client.delete(f"/v1/auth/sessions/{row.pk}"),
    "another password": lambda client, _: client.post(
        "/v1/auth/change-password",
        {"current_password": PASSWORD, "new_password": "another sentence of the boss"},
    ),
    "suspension": lambda _, row: status.suspend(user_id=row.user_id, reason="test", actor="test"),
    "staff": lambda _, row: actions.end_session(
        user_id=row.user_id, reason="test", actor="test", target=row.pk
    ),
}


class TestRows:
    """A session of the admin is one of its user's sessions."""

    @pytest.fixture
    def row(self, admin_site, boss, secret):
        first_step(admin_site, EMAIL)
        second_step(admin_site, code_of(secret))
        assert is_in(admin_site)
        return SessionRow.objects.get()

    def test_is_listed(self, row, boss, public):
        client = public.with_token(issue_access_token(boss, methods=["pwd", "otp", "mfa"]))
        entries = client.get("/v1/auth/sessions").json()["results"]
        assert [(entry["id"] == str(row.pk), entry["admin"]) for entry in entries] == [
            (False, False),
            (True, True),
        ]
        assert (entries[1]["methods"], entries[1]["ip"]) == (["pwd", "otp", "mfa"], "127.0.0.1")

    @pytest.mark.parametrize("way", END_THEM)
    def test_ends_with_what_ends_the_others(self, way, row, boss, public, admin_site):
        client = public.with_token(issue_access_token(boss, methods=["pwd", "otp", "mfa"]))
        answer = END_THEM[way](client, row)
        assert answer is None or answer.status_code == 204
        assert not is_in(admin_site)
        row.refresh_from_db()
        assert row.ended_at is not None

    def test_the_cookie_is_bound_to_the_version_of_the_tokens(self, row, admin_site):
        User.objects.update(token_version=F("token_version") + 1)
        assert not is_in(admin_site)

    def test_is_over_when_nobody_uses_it(self, row, admin_site):
        assert row.current_expires_at - row.last_used_at == timedelta(minutes=30)
        SessionRow.objects.update(current_expires_at=Now() + timedelta(minutes=1))
        assert is_in(admin_site)
        used = SessionRow.objects.get()
        assert used.current_expires_at - used.last_used_at == timedelta(minutes=30)
        SessionRow.objects.update(current_expires_at=Now())
        assert not is_in(admin_site)

    def test_is_over_after_eight_hours(self, row, admin_site):
        assert row.expires_at - row.created_at == timedelta(hours=8)
        SessionRow.objects.update(expires_at=Now() + timedelta(minutes=1))
        assert is_in(admin_site)
        used = SessionRow.objects.get()
        assert used.current_expires_at == used.expires_at
        SessionRow.objects.update(expires_at=Now())
        assert not is_in(admin_site)

    def test_signing_out_ends_it(self, row, admin_site):
        post(admin_site, "/admin/logout/", {})
        row.refresh_from_db()
        assert row.end_reason == "logout"
        assert AuditEvent.objects.filter(type="signed_out", detail={"listener": "admin"}).count() == 1

    def test_a_cookie_of_the_version_before_has_none_and_opens_nothing(self, row, admin_site, boss, secret):
        session = admin_site.session
        del session[sign_in.ROW]
        session.save()
        assert not is_in(admin_site)
        first_step(admin_site, EMAIL)
        second_step(admin_site, next_code(secret))
        assert is_in(admin_site)

    def test_no_row_of_the_api_opens_the_admin(self, row, boss, admin_site):
        issue_access_token(boss)
        session = admin_site.session
        session[sign_in.ROW] = str(SessionRow.objects.get(door="api").pk)
        session.save()
        assert not is_in(admin_site)


class TestSecondStep:
    def test_is_asked_of_everybody(self, admin_site, boss, secret):
        answer = first_step(admin_site, EMAIL)
        assert answer.headers["Location"] == "/admin/factor/"
        assert not is_in(admin_site)
        before = admin_site.cookies["sessionid"].value
        answer = second_step(admin_site, code_of(secret))
        assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
        assert is_in(admin_site)
        assert admin_site.cookies["sessionid"].value != before
        assert AuditEvent.objects.filter(type="signed_in", detail={"listener": "admin"}).count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_a_button_clicked_twice_signs_in_all_the_same(self, admin_site, secret):
        first_step(admin_site, EMAIL)
        admin_site.get("/admin/factor/")
        before = {name: admin_site.cookies[name].value for name in ("sessionid", "csrftoken")}

        def click(_: int) -> Any:
            browser = ListenerClient("admin")
            browser.cookies.load(before)
            fields = {"code": code_of(secret), "csrfmiddlewaretoken": before["csrftoken"]}
            return browser.post("/admin/factor/", fields, format="multipart")

        answers = [*at_once(3, click), click(0)]  # the last one after the others
        assert {answer.status_code for answer in answers} == {302}
        (opened,) = [answer for answer in answers if "sessionid" in answer.cookies]
        admin_site.cookies["sessionid"] = opened.cookies["sessionid"].value
        assert admin_site.get("/admin/login/").headers["Location"] == "/admin/"
        assert not AuditEvent.objects.filter(type="factor_wrong").exists()

    def test_without_the_first_there_is_none(self, admin_site, secret):
        assert admin_site.get("/admin/factor/").headers["Location"].startswith("/admin/login/")

    def test_a_wrong_code_is_counted_with_the_api(self, admin_site, public, secret):
        first_step(admin_site, EMAIL)
        for _ in range(4):
            assert "incorrect" in second_step(admin_site, wrong_code(secret)).content.decode()
        assert second_step(admin_site, wrong_code(secret)).status_code == 302
        assert second_step(admin_site, code_of(secret)).headers["Location"].startswith("/admin/login/")
        body = {"email": EMAIL, "password": PASSWORD}
        token = public.post("/v1/auth/login", body).json()["mfa_token"]
        for _ in range(5):
            public.post("/v1/auth/login/mfa", {"mfa_token": token, "code": wrong_code(secret)})
        first_step(admin_site, EMAIL)
        answer = second_step(admin_site, code_of(secret))
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 0
        assert not is_in(admin_site)

    def test_a_code_works_once(self, admin_site, secret):
        first_step(admin_site, EMAIL)
        second_step(admin_site, code_of(secret))
        other = ListenerClient("admin")
        first_step(other, EMAIL)
        second_step(other, code_of(secret))
        assert not is_in(other)

    def test_the_token_of_the_api_is_not_the_admins(self, admin_site, public, secret):
        """And the other way round: each door asks for its own first step."""
        first_step(admin_site, EMAIL)
        answer = public.post("/v1/auth/login/mfa", {"mfa_token": "mfa_x", "code": code_of(secret)})
        assert outcome(answer) == (401, "mfa_token_invalid")

    def test_who_is_no_staff_any_more_stays_out(self, admin_site, secret):
        first_step(admin_site, EMAIL)
        User.objects.update(is_staff=False)
        assert second_step(admin_site, code_of(secret)).headers["Location"].startswith("/admin/login/")

    def test_junk_as_a_passkey_is_refused(self, admin_site, secret):
        first_step(admin_site, EMAIL)
        for junk in ("{", "[]", "null", "[" * 9000, '{"id": 1}'):
            answer = post(admin_site, "/admin/factor/", {"credential": junk})
            assert answer.status_code in {200, 302}
            assert not is_in(admin_site)

    def test_a_factor_that_is_removed_ends_the_session(self, admin_site, secret):
        first_step(admin_site, EMAIL)
        second_step(admin_site, code_of(secret))
        assert is_in(admin_site)
        Authenticator.objects.filter(type="totp").delete()
        assert not is_in(admin_site)


class TestEnrolment:
    def link(self) -> str:
        printed = StringIO()
        call_command("staff_enrol", EMAIL, stdout=printed)
        return printed.getvalue().strip()

    def begin(self, client: ListenerClient, link: str, password: str = PASSWORD) -> Any:
        token = link.partition("token=")[2]
        return post(client, link, {"token": token, "password": password})

    def test_gives_the_first_factor_and_signs_in(self, admin_site, boss):
        link = self.link()
        first_step(admin_site, EMAIL)
        assert "staff_enrol" in admin_site.get("/admin/factor/").content.decode()
        assert admin_site.get(link).status_code == 200
        assert not Authenticator.objects.exists()
        page = self.begin(admin_site, link).content.decode()
        found = re.search(r'id="secret">([A-Z2-7]{32})<', page)
        assert found
        assert "<svg" in page
        token = link.partition("token=")[2]
        answer = post(admin_site, link, {"token": token, "code": code_of(found[1])})
        assert len(re.findall(r"<li>\d{4}(?:-\d{4}){3}</li>", answer.content.decode())) == 10
        assert is_in(admin_site)
        other = ListenerClient("admin")
        assert "no longer valid" in self.begin(other, link).content.decode()
        first_step(other, EMAIL)
        assert second_step(other, next_code(found[1])).status_code == 302
        assert is_in(other)

    def test_needs_the_password_as_well(self, admin_site, boss):
        answer = self.begin(admin_site, self.link(), "another sentence entirely")
        assert "wrong" in answer.content.decode()
        assert "<svg" not in answer.content.decode()

    def test_needs_a_genuine_link(self, admin_site, boss):
        for token in ("", "x", "A" * 64):
            page = admin_site.get(f"/admin/enrol/?token={token}").content.decode()
            assert "no longer valid" in page
            assert "<form" not in page  # nobody types a password for nothing

    def test_is_for_staff_without_a_factor(self, boss, make_user):
        make_user("ada@example.com")
        with pytest.raises(CommandError, match="staff"):
            call_command("staff_enrol", "ada@example.com")
        give_app(boss)
        with pytest.raises(CommandError, match="mfa_reset"):
            call_command("staff_enrol", EMAIL)

    def test_is_the_only_way_to_the_first_one(self, public, boss):
        """Else a stolen password of staff would be enough for the admin."""
        client = public.with_token(issue_access_token(boss))
        for path in ("totp", "passkeys/options"):
            answer = client.post(f"/v1/auth/mfa/{path}")
            assert outcome(answer) == (403, "staff_enrolment_required")

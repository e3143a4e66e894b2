"""The admin: staff only, throttled like sign-in, and nothing in it rewrites what happened."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib import admin
from django.db.models.functions import Now
from django.utils import timezone

from accounts.admin import user_search
from accounts.admin.lists import ReadOnlyAdmin
from accounts.kit import throttles
from accounts.models import (
    AuditEvent,
    MailToken,
    OutboxMessage,
    Service,
    ServiceKey,
    Session,
    UsedTOTPStep,
    User,
)
from accounts.service_keys import form
from accounts.service_keys.registry import Registry
from tests.authenticators import code_of
from tests.fixtures import PASSWORD, give_app, issue_access_token
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
MakeUser = Callable[..., User]

SCRIPT = "<script>alert(1)</script>"
EDITABLE = {"credits.FeaturePrice", "billing.Plan"}  # by superusers: the test_admin.py of their apps
REGISTERED = {
    "accounts.AccountDay",
    "accounts.AddressChange",
    "accounts.AuditEvent",
    "accounts.EventDelivery",
    "accounts.EventSubscription",
    "accounts.FactorReset",
    "accounts.MailToken",
    "accounts.OutboxMessage",
    "accounts.PendingRegistration",
    "accounts.Service",
    "accounts.ServiceEvent",
    "accounts.ServiceKey",
    "accounts.Session",
    "accounts.SigningKeyUse",
    "accounts.User",
    "billing.BillingAccount",
    "billing.CustomerChange",
    "billing.InboxEvent",
    "billing.Payment",
    "billing.PaymentLine",
    "billing.RefundRequest",
    "billing.StrangerPayment",
    "billing.Plan",
    "billing.Revenue",
    "credits.AdjustmentRequest",
    "credits.CreditDay",
    "credits.CreditTransaction",
    "credits.FeaturePrice",
    "credits.Grant",
    "credits.Hold",
    "credits.UserCredit",
}


@pytest.fixture(autouse=True)
def _no_limit_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count limits in PostgreSQL, so that each test's are rolled back with it."""
    monkeypatch.setattr(throttles.rest, "is_over", lambda: False)


@pytest.fixture
def superuser(make_user: MakeUser) -> User:
    return make_user("boss@example.com", is_staff=True, is_superuser=True)


@pytest.fixture
def signed_in(admin_site: ListenerClient, superuser: User) -> ListenerClient:
    assert sign_in(admin_site, "boss@example.com").status_code == 302
    return admin_site


def sign_in(client: ListenerClient, email: str, password: str = PASSWORD, **headers: Any) -> Any:
    """Both steps, where the first one is right; users without an authenticator app get one."""
    answer = first_step(client, email, password, **headers)
    if answer.status_code != 302:
        return answer
    user = User.objects.by_email(email).get()
    UsedTOTPStep.objects.all().delete()
    user.authenticator_set.all().delete()
    return post(client, "/admin/factor/", {"code": code_of(give_app(user))}, **headers)


def first_step(client: ListenerClient, email: str, password: str = PASSWORD, **headers: Any) -> Any:
    return post(client, "/admin/login/?next=/admin/", {"username": email, "password": password}, **headers)


def post(client: ListenerClient, path: str, fields: dict[str, Any], **headers: Any) -> Any:
    """As a browser does it: with the token of the page, or of the sign-in's where a page has no form."""
    client.get(path)
    if "csrftoken" not in client.cookies:
        client.get("/admin/login/")
    token = client.cookies["csrftoken"].value
    return client.post(path, {**fields, "csrfmiddlewaretoken": token}, format="multipart", **headers)


class TestSignIn:
    def test_guesses_at_the_api_shut_nobody_out(self, admin_site, public, superuser):
        """A stranger sees the public listener alone: the admin's row is its own."""
        login = {"email": "boss@example.com", "password": "wrong"}
        codes = [
            public.post("/v1/auth/login", login, REMOTE_ADDR=f"203.0.113.{number}").status_code
            for number in range(11)
        ]
        assert codes == [401] * 10 + [429]
        assert first_step(admin_site, "boss@example.com", REMOTE_ADDR="203.0.113.1").status_code == 302

    def test_guesses_from_many_addresses_bring_a_pause_here(self, admin_site, superuser):
        answers = [
            first_step(admin_site, "boss@example.com", "wrong", REMOTE_ADDR=f"203.0.113.{number}").status_code
            for number in range(12)
        ]
        assert answers == [200] * 10 + [429] * 2
        assert first_step(admin_site, "boss@example.com", REMOTE_ADDR="192.0.2.1").status_code == 429

    def test_but_not_where_staff_were_before(self, admin_site, superuser):
        """Coming into the admin makes no session; the network is known all the same."""
        assert sign_in(admin_site, "boss@example.com", REMOTE_ADDR="192.0.2.1").status_code == 302
        for number in range(12):
            first_step(
                ListenerClient("admin"), "boss@example.com", "wrong", REMOTE_ADDR=f"203.0.113.{number}"
            )
        here, there = "192.0.2.200", "192.0.3.200"
        again = [
            first_step(ListenerClient("admin"), "boss@example.com", REMOTE_ADDR=ip).status_code
            for ip in (there, here)
        ]
        assert again == [429, 302]

    def test_asks_who_comes(self, admin_site: ListenerClient) -> None:
        assert admin_site.get("/").headers["Location"] == "/admin/"
        response = admin_site.get("/admin/")
        assert response.status_code == 302
        assert response.headers["Location"].startswith("/admin/login/")

    @pytest.mark.parametrize(
        "fields",
        [
            {"is_staff": False},
            {"is_staff": True, "status": "suspended"},
            {"is_staff": True, "status": "deleted"},
            {"is_staff": True, "status": "pending_deletion"},
        ],
    )
    def test_refuses_who_is_not_active_staff(
        self, admin_site: ListenerClient, make_user: MakeUser, fields: dict[str, Any]
    ) -> None:
        make_user("someone@example.com", **fields)
        assert sign_in(admin_site, "someone@example.com").status_code == 200
        assert admin_site.get("/admin/").status_code == 302
        assert list(AuditEvent.objects.values_list("type", flat=True)) == ["sign_in_failed"]

    def test_refuses_an_access_token_and_a_service_key(
        self, admin_site: ListenerClient, superuser: User, service_key: Callable[..., str]
    ) -> None:
        bearer = f"Bearer {issue_access_token(superuser)}"
        for headers in ({"Authorization": bearer}, {"X-API-Key": service_key()}):
            assert admin_site.get("/admin/", headers=headers).status_code == 302

    def test_refuses_a_form_from_elsewhere(self, admin_site: ListenerClient, superuser: User) -> None:
        fields = {"username": superuser.email, "password": PASSWORD}
        response = admin_site.post("/admin/login/", fields, format="multipart")
        assert response.status_code == 403

    def test_lets_the_browser_say_where_the_form_was(
        self, admin_site: ListenerClient, superuser: User
    ) -> None:
        for path in ("/admin/login/", "/admin/"):
            assert admin_site.get(path).headers["Referrer-Policy"] == "same-origin"
        origin = "http://testserver"
        assert sign_in(admin_site, superuser.email or "", HTTP_ORIGIN=origin).status_code == 302
        assert sign_in(ListenerClient("admin"), superuser.email or "", HTTP_ORIGIN="null").status_code == 403

    def test_takes_the_address_in_any_spelling(self, admin_site: ListenerClient, superuser: User) -> None:
        assert sign_in(admin_site, " Boss@EXAMPLE.com ").status_code == 302
        event = AuditEvent.objects.get()
        assert (event.type, event.user_id, event.detail) == ("signed_in", superuser.pk, {"listener": "admin"})

    def test_suspension_ends_it_at_once(self, signed_in: ListenerClient, superuser: User) -> None:
        assert signed_in.get("/admin/").status_code == 200
        User.objects.update(status="suspended")
        assert signed_in.get("/admin/").status_code == 302

    @pytest.mark.parametrize("email", ["boss@example.com", "unknown@example.com"])
    def test_is_throttled_per_account_and_address(
        self, admin_site: ListenerClient, superuser: User, email: str
    ) -> None:
        answers = [sign_in(admin_site, email, "wrong password, wrong") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert int(answers[-1].headers["Retry-After"]) > 0
        assert sign_in(admin_site, email).status_code == 429
        elsewhere = sign_in(admin_site, "boss@example.com", REMOTE_ADDR="198.51.100.7")
        assert elsewhere.status_code == 302

    def test_leads_nowhere_else(self, admin_site: ListenerClient, superuser: User) -> None:
        fields = {"username": superuser.email, "password": PASSWORD}
        response = post(admin_site, "/admin/login/?next=//evil.example/", fields)
        assert urlsplit(response.headers["Location"]).netloc == ""


class TestPages:
    def test_are_those_of_our_own_models(self) -> None:
        """By name: a page that is no longer found by the admin is missed here."""
        assert {model._meta.label for model in admin.site._registry} == REGISTERED

    def test_each_opens_and_none_offers_to_add_or_delete(
        self, signed_in: ListenerClient, superuser: User, make_user: MakeUser
    ) -> None:
        fill(make_user())
        for model in admin.site._registry:
            base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
            assert signed_in.get(base).status_code == 200, base
            assert signed_in.get(f"{base}?q=example").status_code == 200, base
            if model._meta.label in EDITABLE:
                continue
            assert signed_in.get(f"{base}add/").status_code == 403, base
            row = model._default_manager.first()
            if row is not None:
                assert signed_in.get(f"{base}{row.pk}/change/").status_code == 200, base
                assert post_raw(signed_in, f"{base}{row.pk}/change/").status_code == 403, base
                assert post_raw(signed_in, f"{base}{row.pk}/delete/").status_code == 403, base

    def test_are_closed_to_staff_without_a_role(
        self, admin_site: ListenerClient, make_user: MakeUser
    ) -> None:
        make_user("clerk@example.com", is_staff=True)
        assert sign_in(admin_site, "clerk@example.com").status_code == 302
        for model in admin.site._registry:
            path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
            assert admin_site.get(path).status_code == 403, path

    def test_what_users_wrote_is_inert(self, signed_in: ListenerClient, make_user: MakeUser) -> None:
        user = make_user(display_name=SCRIPT, locale="<b>", timezone="<i>")
        fill(user, user_agent=SCRIPT)
        for page in ("user/", f"user/{user.pk}/change/", "session/", "auditevent/", "outboxmessage/"):
            text = signed_in.get(f"/admin/accounts/{page}").content.decode()
            assert SCRIPT not in text, page
        assert "&lt;script&gt;" in signed_in.get("/admin/accounts/user/").content.decode()

    def test_hold_no_secret(self, signed_in: ListenerClient, make_user: MakeUser) -> None:
        user = make_user()
        fill(user)
        session = Session.objects.get(user=user)
        shown = [signed_in.get(f"/admin/accounts/user/{user.pk}/change/").content.decode()]
        shown.append(signed_in.get(f"/admin/accounts/session/{session.pk}/change/").content.decode())
        for secret in (user.password, str(session.current_jti)):
            assert all(secret not in text for text in shown)

    def test_may_evaluate_scripts_only_from_here(self, signed_in: ListenerClient) -> None:
        policy = signed_in.get("/admin/").headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
        assert "frame-ancestors 'none'" in policy


class TestUsers:
    @pytest.mark.parametrize("part", ["ada.love", "LOVELACE", "@analytical", "Countess", "engine.example"])
    def test_are_found_by_any_part(self, signed_in: ListenerClient, make_user: MakeUser, part: str) -> None:
        make_user("ada.lovelace@analytical.engine.example", display_name="The Countess")
        make_user("charles@difference.example")
        text = signed_in.get("/admin/accounts/user/", {"q": part}).content.decode()
        assert "ada.lovelace@" in text
        assert "charles@" not in text

    @pytest.mark.parametrize("walked", [0, 1, 3, 10])
    def test_are_found_among_the_newest_or_by_the_index(
        self, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch, walked: int
    ) -> None:
        made = [make_user(f"person{number}@example.com").pk for number in range(4)]
        monkeypatch.setattr(user_search, "MOST_WALKED", walked)
        assert user_search.ids("example.com") == made[::-1]
        assert user_search.ids("person1") == [made[1]]
        assert user_search.ids(str(made[2])[:8]) == [made[2]]
        assert user_search.ids("PE") == made[::-1]
        assert user_search.ids("nobody") == []

    def test_that_are_many_are_the_newest_and_the_page_says_so(
        self, signed_in: ListenerClient, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = [make_user(f"person{number}@many.example").pk for number in range(4)]
        User.objects.filter(pk=made[0]).update(status="suspended")
        monkeypatch.setattr(user_search, "MOST_FOUND", 2)
        monkeypatch.setattr(ReadOnlyAdmin, "most_found", 2)
        assert user_search.ids("many.example") == [made[3], made[2]]
        page = "/admin/accounts/user/?q=many.example"
        assert "The newest 2 matching users" in signed_in.get(page).content.decode()
        narrowed = signed_in.get(f"{page}&status__exact=suspended").content.decode()
        assert "person0@many.example" in narrowed
        assert "The newest 2" not in narrowed

    @pytest.mark.parametrize(
        "query",
        [
            "password__startswith=bcrypt",
            "password__regex=.",
            "token_version=0",
            "sessions__current_jti__isnull=0",
        ],
    )
    def test_do_not_give_a_hash_away_letter_by_letter(self, signed_in: ListenerClient, query: str) -> None:
        assert signed_in.get(f"/admin/accounts/user/?{query}").status_code == 400
        assert signed_in.get("/admin/accounts/pendingregistration/?password__gt=b").status_code == 400
        assert signed_in.get("/admin/accounts/servicekey/?digest__isnull=0").status_code == 400

    @pytest.mark.parametrize(
        "query", ["status__exact=active", "email_verified_at__isempty=1", "is_staff__exact=1"]
    )
    def test_are_filtered(self, signed_in: ListenerClient, query: str) -> None:
        assert signed_in.get(f"/admin/accounts/user/?{query}").status_code == 200

    def test_lead_to_their_rows(self, signed_in: ListenerClient, make_user: MakeUser) -> None:
        user, other = make_user("mine@example.com"), make_user("other@example.com")
        fill(user)
        fill(other)
        text = signed_in.get(f"/admin/accounts/user/{user.pk}/change/").content.decode()
        links = re.findall(rf'href="(/admin/[a-z/]+\?user={user.pk})"', text)
        assert len(links) >= 4
        for link in links:
            assert "other@example.com" not in signed_in.get(link).content.decode(), link

    @pytest.mark.parametrize(
        "query", ["user__password__startswith=bcrypt", "password__contains=a", "_connector=OR"]
    )
    def test_cannot_be_asked_otherwise(
        self, signed_in: ListenerClient, make_user: MakeUser, query: str
    ) -> None:
        fill(make_user())
        assert signed_in.get(f"/admin/accounts/session/?{query}").status_code in {302, 400}


class TestOutbox:
    def test_sends_dead_ones_again_and_no_others(self, signed_in: ListenerClient, superuser: User) -> None:
        dead = OutboxMessage.objects.create(
            kind="notice", dead_at=timezone.now(), attempts=8, last_error="no"
        )
        sent = OutboxMessage.objects.create(kind="notice", sent_at=timezone.now(), attempts=1)
        fields = {"action": "send_again", "_selected_action": [str(dead.pk), str(sent.pk)]}
        assert post(signed_in, "/admin/accounts/outboxmessage/", fields).status_code == 302
        dead.refresh_from_db()
        sent.refresh_from_db()
        assert (dead.dead_at, dead.attempts, sent.attempts) == (None, 0, 1)
        event = AuditEvent.objects.get(type="mail_sent_again")
        assert event.actor == f"staff {superuser.pk}"


class TestServiceKeys:
    FORM = {
        "service": "shop",
        "scopes": ["credits:read", "credits:use"],
        "expires_in_days": "30",
        "reason": "launch",
    }
    NEW = "/admin/accounts/servicekey/new/"

    def test_a_new_one_is_shown_once(self, signed_in: ListenerClient, superuser: User) -> None:
        response = post(signed_in, self.NEW, self.FORM)
        assert response.status_code == 200
        assert "no-store" in response.headers["Cache-Control"]
        text = re.search(r"svc_test_\w+", response.content.decode())
        assert text is not None
        credential = Registry().find(text[0])
        assert credential is not None
        assert credential.scopes == frozenset(self.FORM["scopes"])
        event = AuditEvent.objects.get(type="service_key_created")
        assert (event.actor, event.detail["reason"]) == (f"staff {superuser.pk}", "launch")
        for path in (
            "/admin/accounts/servicekey/",
            f"/admin/accounts/servicekey/{credential.key_id}/change/",
        ):
            assert text[0] not in signed_in.get(path).content.decode()

    @pytest.mark.parametrize(
        "change", [{"service": "billing"}, {"service": "Shop!"}, {"scopes": []}, {"expires_in_days": "0"}]
    )
    def test_refuses_what_the_command_refuses(
        self, signed_in: ListenerClient, change: dict[str, Any]
    ) -> None:
        response = post(signed_in, self.NEW, {**self.FORM, **change})
        assert 'role="alert"' in response.content.decode()
        assert not ServiceKey.objects.exists()
        assert not Service.objects.exists()

    def test_is_the_superusers(self, admin_site: ListenerClient, make_user: MakeUser) -> None:
        make_user("clerk@example.com", is_staff=True)
        sign_in(admin_site, "clerk@example.com")
        assert post_raw(admin_site, self.NEW, self.FORM).status_code == 403
        assert not ServiceKey.objects.exists()

    def test_is_revoked(self, signed_in: ListenerClient) -> None:
        made = form.generate("test")
        service = Service.objects.create(name="shop")
        ServiceKey.objects.create(id=made.id, service=service, digest=made.digest, scopes=["credits:read"])
        fields = {"action": "revoke", "_selected_action": [made.id]}
        page = post(signed_in, "/admin/accounts/servicekey/", fields).headers["Location"]
        assert made.id in signed_in.get(page).content.decode()
        assert post(signed_in, page, {"reason": " "}).status_code == 200
        assert not ServiceKey.objects.filter(revoked_at__isnull=False).exists()
        assert post(signed_in, page, {"reason": "leaked"}).status_code == 302
        assert AuditEvent.objects.get(type="service_key_revoked").detail["reason"] == "leaked"
        assert ServiceKey.objects.filter(revoked_at__lte=Now()).exists()
        assert Registry().find(made.text) is None


def post_raw(client: ListenerClient, path: str, fields: dict[str, Any] | None = None) -> Any:
    token = client.cookies["csrftoken"].value
    return client.post(path, {**(fields or {}), "csrfmiddlewaretoken": token}, format="multipart")


def fill(user: User, user_agent: str = "") -> None:
    """One row of each kind that belongs to a user."""
    issue_access_token(user, user_agent=user_agent)
    now = timezone.now()
    token = MailToken.objects.create(
        user=user, purpose="verify_email", email=user.email or "", expires_at=now, code_expires_at=now
    )
    OutboxMessage.objects.create(kind="verify_email", user=user, token=token, last_error=user_agent)
    AuditEvent.objects.create(user=user, type="registered", user_agent=user_agent)

"""Roles of staff: who may open which page of the admin and who may do what. The tables are the whole of it."""

import re
from collections.abc import Callable
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.management import call_command

from accounts.models import AuditEvent, FactorReset, OutboxMessage, Session, User
from accounts.tests.conftest import deliver_mails
from accounts.upkeep import staff_roles
from billing.models import BillingAccount, InboxEvent, Payment, Plan, StrangerPayment
from credits import ledger
from credits.ledger.calls import Call
from credits.models import AdjustmentRequest, CreditTransaction, FeaturePrice
from tests.fixtures import give_app, issue_access_token, staff_session
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db
ROLES = ("support", "finance", "operator", "auditor")
# Model: whose lists it is in. Models that are not here fail the test: a new page says whom it is for.
PAGES = {
    "accounts.User": "support finance auditor",
    "accounts.Session": "support auditor",
    "accounts.PendingRegistration": "support auditor",
    "accounts.MailToken": "support operator auditor",
    "accounts.OutboxMessage": "support operator auditor",
    "accounts.AuditEvent": "support auditor",
    "accounts.AddressChange": "support auditor",
    "accounts.FactorReset": "support auditor",
    "accounts.ServiceEvent": "operator auditor",
    "accounts.EventSubscription": "operator auditor",
    "accounts.EventDelivery": "operator auditor",
    "accounts.Service": "operator auditor",
    "accounts.ServiceKey": "operator auditor",
    "accounts.SigningKeyUse": "operator auditor",
    "accounts.AccountDay": "support operator auditor",
    "billing.Plan": "support finance auditor",
    "billing.BillingAccount": "support finance auditor",
    "billing.Payment": "support finance auditor",
    "billing.PaymentLine": "support finance auditor",
    "billing.RefundRequest": "finance auditor",
    "billing.StrangerPayment": "finance auditor",
    "billing.Revenue": "finance auditor",
    "billing.InboxEvent": "finance operator auditor",
    "billing.CustomerChange": "finance operator auditor",
    "credits.UserCredit": "support finance auditor",
    "credits.CreditTransaction": "support finance auditor",
    "credits.Grant": "support finance auditor",
    "credits.Hold": "support finance auditor",
    "credits.AdjustmentRequest": "finance auditor",
    "credits.CreditDay": "finance operator auditor",
    "credits.FeaturePrice": "support finance operator auditor",
}
# Page, of the user `{user}`: who may open its form and send it.
ACTIONS = {
    "accounts/user/{user}/suspend": "support",
    "accounts/user/{user}/sign-out": "support",
    "accounts/user/{user}/end-session/{session}": "support",
    "accounts/user/{user}/mail-reset": "support",
    "accounts/user/{user}/mail-verification": "support",
    "accounts/user/{user}/revive-mails": "support",
    "accounts/user/{user}/remove-factors": "support",
    "accounts/user/{user}/lift-pause": "support",
    "accounts/user/{user}/keep-factors": "support",
    "accounts/user/{user}/roles": "",
    "accounts/servicekey/new/": "",
    "accounts/servicekey/revoke": "",
    "credits/usercredit/{user}/adjust/": "finance",
    "credits/hold/release/": "support finance",
    "credits/featureprice/add/": "",
    "credits/featureprice/a/change/": "",
    "credits/featureprice/a/delete/": "",
}
ALSO_SHOWN = {"credits/featureprice/a/change/"}  # to whoever may see prices, without a form
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def _roles(db: None) -> None:
    staff_roles.sync()


@pytest.fixture
def of_role(make_user: Callable[..., User]) -> Callable[[str], ListenerClient]:
    def sign_in(role: str) -> ListenerClient:
        person = make_user(f"{role}@staff.example", is_staff=True, is_superuser=role == "superuser")
        if role in ROLES:
            person.groups.set(Group.objects.filter(name=role))
        return staff_session(person)

    return sign_in


@pytest.fixture
def ada(make_user: Callable[..., User]) -> User:
    user = make_user("ada@example.com", display_name=SCRIPT)
    issue_access_token(user, user_agent=SCRIPT)
    give_app(user)
    FeaturePrice.objects.create(feature="a", credits=1)
    ledger.add(user_id=user.pk, amount=100, call=Call(service="shop", key="k", description=SCRIPT))
    return user


def path_of(page: str, user: User) -> str:
    return "/admin/" + page.format(user=user.pk, session=Session.objects.filter(user=user)[0].pk)


def post(client: ListenerClient, path: str, fields: dict[str, Any]) -> Any:
    client.get("/admin/")
    token = client.cookies["csrftoken"].value
    return client.post(path, {**fields, "csrfmiddlewaretoken": token}, format="multipart")


class TestRoles:
    def test_grant_only_what_exists(self) -> None:
        assert staff_roles.unknown() == set()

    @pytest.mark.parametrize("role", ROLES)
    def test_open_their_pages_and_no_others(self, of_role, ada, role) -> None:
        client = of_role(role)
        opened = {
            model._meta.label: client.get(
                f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
            ).status_code
            for model in admin.site._registry
        }
        expected = {label: 200 if role in who.split() else 403 for label, who in PAGES.items()}
        assert opened == expected

    @pytest.mark.parametrize("role", ROLES)
    def test_do_their_work_and_nothing_else(self, of_role, ada, role) -> None:
        client = of_role(role)
        fields = {"reason": "why", "amount": "1", "is_staff": "on", "credits": "9", "post": "yes"}
        for page, who in ACTIONS.items():
            path, before, allowed = path_of(page, ada), state(), role in who.split()
            if page not in ALSO_SHOWN:
                assert client.get(path).status_code == (200 if allowed else 403), page
            assert post(client, path, fields).status_code in ({200, 302} if allowed else {403}), page
            if not allowed:
                assert state() == before, page

    @pytest.mark.parametrize("role", ["superuser", *ROLES])
    def test_rewrite_no_history(self, of_role, ada, role) -> None:
        client = of_role(role)
        before = state()
        for model in admin.site._registry:
            if model in {FeaturePrice, Plan} and role == "superuser":
                continue
            row = model._default_manager.first()
            base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
            pk = row.pk if row else 1
            for path in (f"{base}add/", f"{base}{pk}/change/", f"{base}{pk}/delete/"):
                answer = post(
                    client, path, {"post": "yes", "reason": "x", "email": "x@x.example", "amount": "1"}
                )
                assert answer.status_code in {403, 404}, path
            chosen = {
                "action": "delete_selected",
                "_selected_action": str(pk),
                "post": "yes",
            }
            assert post(client, base, chosen).status_code in {200, 302, 403}, base
        assert state() == before

    @pytest.mark.parametrize(("role", "sends"), [("support", True), ("operator", True), ("auditor", False)])
    def test_send_dead_mails_again(self, of_role, ada, role, sends) -> None:
        dead = OutboxMessage.objects.create(kind="new_device", user=ada, dead_at=ada.created_at)
        fields = {"action": "send_again", "_selected_action": [str(dead.pk)]}
        post(of_role(role), "/admin/accounts/outboxmessage/", fields)
        dead.refresh_from_db()
        assert (dead.dead_at is None) == sends

    @pytest.mark.parametrize("role", ["support", "finance", "superuser"])
    def test_what_people_wrote_is_inert(self, of_role, ada, role) -> None:
        text = of_role(role).get(f"/admin/accounts/user/{ada.pk}/change/").content.decode()
        assert SCRIPT not in text
        assert "&lt;script&gt;" in text

    def test_first_page_shows_each_what_they_may_see(self, of_role, ada) -> None:
        shown = {role: of_role(role).get("/admin/").content.decode() for role in ROLES}
        assert "Sign-ups per day" in shown["support"]
        assert "Sign-ups per day" not in shown["finance"]
        assert "Issued per day" in shown["finance"]
        assert "Issued per day" not in shown["support"]
        assert all(f"<h2>{title}</h2>" in shown["auditor"] for title in ("People", "Credits", "Queues"))

    @pytest.mark.parametrize("role", ROLES)
    def test_first_page_leads_nobody_to_a_page_that_is_closed_to_them(self, of_role, ada, role) -> None:
        client = of_role(role)
        links = set(re.findall(r'href="(/admin/[^"?#]*)', client.get("/admin/").content.decode()))
        opened = {link: client.get(link).status_code for link in links if "logout" not in link}
        assert [link for link, status in opened.items() if status == 403] == []

    def test_declared_are_those_of_the_database(self) -> None:
        assert staff_roles.declared() == set(staff_roles._known())

    def test_that_the_settings_name_no_more_grant_nothing(self, settings: Any) -> None:
        settings.STAFF_ROLES = {**settings.STAFF_ROLES, "reader": ["credits.view_*"]}
        staff_roles.sync()
        assert Group.objects.get(name="reader").permissions.count() > 3
        settings.STAFF_ROLES = {name: settings.STAFF_ROLES[name] for name in ROLES}
        staff_roles.sync()
        assert not Group.objects.get(name="reader").permissions.exists()
        assert Group.objects.get(name="auditor").permissions.exists()

    def test_are_kept_as_the_settings_say(self) -> None:
        Group.objects.get(name="auditor").permissions.clear()
        Group.objects.get(name="support").permissions.add(
            Group.objects.get(name="finance").permissions.get(codename="adjust_credits")
        )
        call_command("sync_roles", verbosity=0, stdout=open_nowhere())
        assert Group.objects.get(name="auditor").permissions.filter(codename="view_user").exists()
        assert not Group.objects.get(name="support").permissions.filter(codename="adjust_credits").exists()


class TestOrdersOfBilling:
    """Checks who may ask Stripe for what; those who may not change nothing, by the page or by a forged form."""

    ORDERS: ClassVar = {
        "payment/{payment}/order/refund/": "finance",
        "payment/{payment}/order/settle/": "finance",
        "payment/{payment}/order/undo/": "finance",
        "billingaccount/{user}/order/cancel/": "finance",
        "strangerpayment/pi_1/order/assign/": "finance",
        "inboxevent/{event}/order/replay/": "operator",
    }

    @pytest.mark.parametrize("role", ROLES)
    def test_are_of_whom_the_table_says(self, of_role, ada, role) -> None:
        now = ada.created_at
        payment = Payment.objects.create(
            id="in_1", user=ada, settled_at=now, kind="proration", quantity=1, credits=0, paid=990, kept=990,
            currency="eur", paid_at=now,
        )  # fmt: skip
        event = InboxEvent.objects.create(
            event_id="evt_1", type="x", created=now, livemode=False, dead_at=now
        )
        BillingAccount.objects.create(user=ada, status="active", subscription="sub_1")
        StrangerPayment.objects.create(id="pi_1", amount=1, currency="eur", paid_at=now)
        client, before = of_role(role), state()
        for order, who in self.ORDERS.items():
            path = "/admin/billing/" + order.format(payment=payment.pk, user=ada.pk, event=event.pk)
            may = role in who.split()
            assert client.get(path).status_code == (200 if may else 403), path
            if not may:
                assert post(client, path, {"reason": "x", "order_id": str(uuid4())}).status_code == 403, path
        assert state() == before
        listed = client.get("/admin/billing/inboxevent/").content.decode()
        assert ("Retry…" in listed) == (role == "operator")
        event.refresh_from_db()
        assert event.dead_at is not None


class TestStaffRows:
    def test_are_the_superusers_with_a_reason(self, of_role, ada) -> None:
        boss, path = of_role("superuser"), f"/admin/accounts/user/{ada.pk}/roles"
        assert post(boss, path, {"is_staff": "on", "roles": ["support"]}).status_code == 200
        assert not User.objects.get(pk=ada.pk).is_staff
        answer = post(boss, path, {"is_staff": "on", "roles": ["support"], "reason": "hired"})
        assert answer.status_code == 302
        ada.refresh_from_db()
        assert ada.is_staff
        assert [group.name for group in ada.groups.all()] == ["support"]
        event = AuditEvent.objects.get(type="staff_roles_changed")
        assert event.detail == {"roles": ["support"], "is_staff": True, "reason": "hired"}
        assert event.actor.startswith("staff ")

    def test_taken_away_it_holds_at_the_next_request(self, of_role, ada) -> None:
        boss, path = of_role("superuser"), f"/admin/accounts/user/{ada.pk}/roles"
        post(boss, path, {"is_staff": "on", "roles": ["auditor"], "reason": "hired"})
        client = staff_session(User.objects.get(pk=ada.pk))
        assert client.get("/admin/accounts/user/").status_code == 200
        assert post(boss, path, {"reason": "left"}).status_code == 302
        assert client.get("/admin/accounts/user/").status_code == 302

    @pytest.mark.parametrize(
        "fields",
        [
            {"roles": ["support"]},
            {"is_staff": "on", "roles": ["boss"]},
            {"is_staff": "on", "is_superuser": "on"},
        ],
    )
    def test_say_what_they_mean(self, of_role, ada, fields) -> None:
        post(of_role("superuser"), f"/admin/accounts/user/{ada.pk}/roles", {**fields, "reason": "x"})
        ada.refresh_from_db()
        assert not ada.groups.exists()
        assert not ada.is_superuser

    def test_nobody_acts_on_themselves_and_roles_not_on_staff(self, of_role, make_user) -> None:
        colleague = make_user("colleague@staff.example", is_staff=True)
        issue_access_token(colleague)
        support, boss = of_role("support"), of_role("superuser")
        me = User.objects.get(email="superuser@staff.example")
        issue_access_token(me)
        for page in ACTIONS:
            if page.startswith("accounts/user/"):
                assert support.get(path_of(page, colleague)).status_code == 403, page
                assert boss.get(path_of(page, me)).status_code == 403, page


class TestActions:
    def test_sign_out_everywhere(self, of_role, ada, public) -> None:
        token = issue_access_token(ada)
        client = public.with_token(token)
        assert client.get("/v1/auth/me").status_code == 200
        answer = post(of_role("support"), f"/admin/accounts/user/{ada.pk}/sign-out", {"reason": "lost phone"})
        assert answer.status_code == 302
        assert client.get("/v1/auth/me").status_code == 401
        assert set(Session.objects.filter(user=ada).values_list("end_reason", flat=True)) == {
            "ended_by_staff"
        }
        assert AuditEvent.objects.get(type="signed_out_everywhere").detail == {"reason": "lost phone"}

    def test_one_session(self, of_role, ada, public) -> None:
        other = public.with_token(issue_access_token(ada))
        session = Session.objects.filter(user=ada, user_agent=SCRIPT).get()
        path = f"/admin/accounts/user/{ada.pk}/end-session/{session.pk}"
        support = of_role("support")
        assert post(support, path, {"reason": "odd device"}).status_code == 302
        session.refresh_from_db()
        assert session.end_reason == "ended_by_staff"
        assert other.get("/v1/auth/me").status_code == 200
        assert "already ended" in post(support, path, {"reason": "again"}).content.decode()

    def test_of_somebody_elses_page_ends_nothing(self, of_role, ada, make_user) -> None:
        other = make_user()
        session = Session.objects.get(user=ada)
        path = f"/admin/accounts/user/{other.pk}/end-session/{session.pk}"
        assert "already ended" in post(of_role("support"), path, {"reason": "x"}).content.decode()
        session.refresh_from_db()
        assert session.ended_at is None

    def test_links_are_mailed(self, of_role, make_user) -> None:
        bob = make_user("bob@example.com", verified=False)
        support = of_role("support")
        for page in ("mail-verification", "mail-reset"):
            assert (
                post(support, f"/admin/accounts/user/{bob.pk}/{page}", {"reason": "asked"}).status_code == 302
            )
        kinds = set(OutboxMessage.objects.values_list("kind", "requested_email"))
        assert kinds == {
            ("verification_requested", "bob@example.com"),
            ("password_reset_requested", "bob@example.com"),
        }
        assert AuditEvent.objects.filter(type="mail_ordered", user=bob).count() == 2

    def test_strangers_use_up_nothing_of_what_staff_order(self, of_role, make_user, public) -> None:
        make_user("bob@example.com")
        for number in range(6):
            body = {"email": "bob@example.com"}
            public.post("/v1/auth/password-reset-request", body, REMOTE_ADDR=f"198.51.{number}.7")
        assert len(deliver_mails()) == 5
        bob = User.objects.get(email="bob@example.com")
        post(of_role("support"), f"/admin/accounts/user/{bob.pk}/mail-reset", {"reason": "asked"})
        assert [message.subject for message in deliver_mails()] == ["Choose a new password"]

    def test_factors_go_after_72_hours_and_not_before(self, of_role, ada) -> None:
        support = of_role("support")
        base = f"/admin/accounts/user/{ada.pk}"
        assert post(support, f"{base}/remove-factors", {"reason": "passport seen"}).status_code == 302
        reset = FactorReset.objects.get(user=ada)
        assert 71 < (reset.applies_at - reset.created_at).total_seconds() / 3600 < 73
        assert User.objects.get(pk=ada.pk).mfa_enabled
        page = support.get(f"{base}/change/").content.decode()
        assert "passport seen" in page
        assert post(support, f"{base}/keep-factors", {"reason": "found them"}).status_code == 302
        reset.refresh_from_db()
        assert reset.cancelled_at is not None
        assert AuditEvent.objects.get(type="second_factor_reset_cancelled").detail == {"reason": "found them"}

    def test_prices_need_a_reason(self, of_role, ada) -> None:
        boss = of_role("superuser")
        post(boss, "/admin/credits/featureprice/a/change/", {"credits": "5"})
        post(boss, "/admin/credits/featureprice/a/delete/", {"post": "yes"})
        assert FeaturePrice.objects.get(pk="a").credits == 1
        post(boss, "/admin/credits/featureprice/a/change/", {"credits": "5", "reason": "dearer"})
        post(boss, "/admin/credits/featureprice/a/delete/", {"post": "yes", "reason": "gone"})
        assert not FeaturePrice.objects.exists()
        reasons = AuditEvent.objects.filter(type__startswith="feature_price").order_by("pk")
        assert [event.detail["reason"] for event in reasons] == ["dearer", "gone"]


def state() -> list[Any]:
    """Return what no refused form may change: of sessions all but those of the staff who ask, which every page uses."""
    models: list[Any] = [
        User,
        OutboxMessage,
        CreditTransaction,
        AdjustmentRequest,
        FeaturePrice,
        FactorReset,
    ]
    rows = [list(model.objects.order_by("pk").values()) for model in models]
    for row in rows[0]:
        row.pop("last_login")
    sessions = list(Session.objects.exclude(door=Session.Door.ADMIN).order_by("pk").values())
    return [*rows, sessions, AuditEvent.objects.exclude(type="signed_in").count()]


def open_nowhere() -> Any:
    from io import StringIO

    return StringIO()

"""Every order of the admin, of whatever app: its form counts once, needs a reason, and is closed without permission.

The orders are found in the tables of the pages and prepared here. They stand with billing for its fake Stripe.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.sessions.models import Session as AdminSession
from django.utils import timezone

from accounts.admin import orders
from accounts.admin.orders import LONGEST_REASON, SENT_BEFORE, EditedByOrder, OrderPages, SentBefore, once
from accounts.events import subscriptions
from accounts.factors import resets
from accounts.models import AuditEvent, OutboxMessage, Session, User
from accounts.service_keys import issuing
from billing.models import InboxEvent, Plan
from billing.settlement import lifecycle, settle
from billing.stripe import gateway, sdk
from billing.tests.conftest import Buyer
from credits import ledger
from credits.ledger.calls import Call
from credits.models import FeaturePrice, Hold
from credits.tests.admin_pages import hidden, page, post, signed_in
from tests.fixtures import give_app, issue_access_token
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db


@dataclass
class World:
    """Makes what orders are about: a user with sessions, credits and purchases, and rows that belong to nobody."""

    buyer: Buyer
    plans: dict[str, Plan]
    make_user: Callable[..., User]

    @property
    def ada(self) -> User:
        return self.buyer.user

    def of_user(self, verb: str, user: User | None = None) -> str:
        return f"/admin/accounts/user/{(user or self.ada).pk}/{verb}"

    def call(self) -> Call:
        return Call(service="shop", key=uuid4().hex)

    def session(self) -> Session:
        issue_access_token(self.ada)
        return Session.objects.get(user=self.ada)

    def payment(self) -> str:
        found = settle.settle_session(self.buyer.buy(self.plans["large"])["id"])
        assert found is not None
        return str(found.pk)

    def subscription(self) -> UUID:
        url = "https://shop.test/in"
        made = subscriptions.create(name="shop", url=url, types=[], actor="test").subscription
        subscriptions.rotate(name="shop", actor="test")
        pk: UUID = made.pk
        return pk


Prepared = tuple[str, dict[str, str]]
PREPARED: dict[str, Callable[[World], Prepared]] = {}


def prepare(label: str) -> Callable[[Callable[[World], Prepared]], Callable[[World], Prepared]]:
    def keep(made: Callable[[World], Prepared]) -> Callable[[World], Prepared]:
        PREPARED[label] = made
        return made

    return keep


@prepare("accounts.User suspend")
def _suspend(world: World) -> Prepared:
    return world.of_user("suspend"), {}


@prepare("accounts.User reactivate")
def _reactivate(world: World) -> Prepared:
    return world.of_user("reactivate", world.make_user(status="suspended")), {}


@prepare("accounts.User settle-contest")
def _settle_contest(world: World) -> Prepared:
    User.objects.filter(pk=world.ada.pk).update(contested_at=timezone.now())
    return world.of_user("settle-contest"), {}


@prepare("accounts.User sign-out")
def _sign_out(world: World) -> Prepared:
    world.session()
    return world.of_user("sign-out"), {}


@prepare("accounts.User end-session")
def _end_session(world: World) -> Prepared:
    return world.of_user(f"end-session/{world.session().pk}"), {}


@prepare("accounts.User mail-verification")
def _mail_verification(world: World) -> Prepared:
    return world.of_user("mail-verification", world.make_user(verified=False)), {}


@prepare("accounts.User mail-reset")
def _mail_reset(world: World) -> Prepared:
    return world.of_user("mail-reset"), {}


@prepare("accounts.User revive-mails")
def _revive_mails(world: World) -> Prepared:
    OutboxMessage.objects.create(kind="new_device", user=world.ada, dead_at=timezone.now())
    return world.of_user("revive-mails"), {}


@prepare("accounts.User lift-pause")
def _lift_pause(world: World) -> Prepared:
    return world.of_user("lift-pause"), {}


@prepare("accounts.User remove-factors")
def _remove_factors(world: World) -> Prepared:
    give_app(world.ada)
    return world.of_user("remove-factors"), {}


@prepare("accounts.User keep-factors")
def _keep_factors(world: World) -> Prepared:
    give_app(world.ada)
    resets.request(user_id=world.ada.pk, reason="lost", actor="test")
    return world.of_user("keep-factors"), {}


@prepare("accounts.User roles")
def _roles(world: World) -> Prepared:
    return world.of_user("roles"), {"is_staff": "on"}


@prepare("accounts.ServiceKey new")
def _new_key(world: World) -> Prepared:
    fields = {"service": "images", "scopes": "credits:use", "another": "on"}
    return "/admin/accounts/servicekey/new/", fields


@prepare("accounts.ServiceKey budget")
def _limit_key(world: World) -> Prepared:
    made = issuing.create(service="images", scopes=["credits:add"], actor="test")
    return f"/admin/accounts/servicekey/budget?key={made.id}", {"daily_budget": "1000"}


@prepare("accounts.ServiceKey revoke")
def _revoke_key(world: World) -> Prepared:
    made = issuing.create(service="images", scopes=["credits:use"], actor="test")
    return f"/admin/accounts/servicekey/revoke?key={made.id}", {}


@prepare("accounts.EventSubscription new")
def _subscribe(world: World) -> Prepared:
    return "/admin/accounts/eventsubscription/new/", {"name": "shop", "url": "https://shop.test/in"}


def _of_subscription(verb: str) -> Callable[[World], Prepared]:
    return lambda world: (
        f"/admin/accounts/eventsubscription/order/{verb}?subscription={world.subscription()}",
        {},
    )


for _verb in ("pause", "resume", "retire", "rotate"):
    prepare(f"accounts.EventSubscription {_verb}")(_of_subscription(_verb))


@prepare("credits.UserCredit adjust")
def _adjust(world: World) -> Prepared:
    return f"/admin/credits/usercredit/{world.ada.pk}/adjust/", {"amount": "20", "confirmed": "yes"}


@prepare("credits.Hold release")
def _release(world: World) -> Prepared:
    ledger.add(user_id=world.ada.pk, amount=100, call=world.call())
    ledger.hold(user_id=world.ada.pk, amount=40, lifetime=timedelta(hours=1), call=world.call())
    return f"/admin/credits/hold/release/?hold={Hold.objects.get(kind='hold').pk}", {}


@prepare("credits.FeaturePrice add")
def _add_price(world: World) -> Prepared:
    return "/admin/credits/featureprice/add/", {"feature": "a", "credits": "2", "description": ""}


@prepare("credits.FeaturePrice change")
def _change_price(world: World) -> Prepared:
    FeaturePrice.objects.create(feature="a", credits=1)
    return "/admin/credits/featureprice/a/change/", {"credits": "2", "description": ""}


@prepare("credits.FeaturePrice delete")
def _remove_price(world: World) -> Prepared:
    FeaturePrice.objects.create(feature="a", credits=1)
    return "/admin/credits/featureprice/a/delete/", {"post": "yes"}


def _plan(**fields: str) -> dict[str, str]:
    given = {
        "code": "small",
        "name": "Small",
        "kind": "pack",
        "credits": "150",
        "amount": "500",
        "currency": "eur",
        "interval_count": "1",
        "grace_hours": "72",
        "grace_debit_hours": "192",
        "grace_invoice_hours": "792",
    }
    return {**given, "stripe_price": "price_pack_small", **fields}


@prepare("billing.Plan add")
def _add_plan(world: World) -> Prepared:
    price: Any = {"currency": "eur", "unit_amount": 500, "product_data": {"name": "Tiny"}}
    made = sdk.client().v1.prices.create(price)
    return "/admin/billing/plan/add/", _plan(code="tiny", stripe_price=made.id)


@prepare("billing.Plan change")
def _change_plan(world: World) -> Prepared:
    return f"/admin/billing/plan/{world.plans['small'].pk}/change/", _plan()


@prepare("billing.Payment refund")
def _refund(world: World) -> Prepared:
    return f"/admin/billing/payment/{world.payment()}/order/refund/", {"amount": "5.00"}


@prepare("billing.Payment settle")
def _settle(world: World) -> Prepared:
    return f"/admin/billing/payment/{world.payment()}/order/settle/", {}


@prepare("billing.Payment undo")
def _undo(world: World) -> Prepared:
    found = settle.settle_session(world.buyer.buy(world.plans["basic"])["id"])
    assert found is not None
    return f"/admin/billing/payment/{found.pk}/order/undo/", {}


@prepare("billing.BillingAccount cancel")
def _cancel(world: World) -> Prepared:
    settle.settle_session(world.buyer.buy(world.plans["basic"])["id"])
    lifecycle.follow(world.ada.pk)
    return f"/admin/billing/billingaccount/{world.ada.pk}/order/cancel/", {}


@prepare("billing.InboxEvent replay")
def _replay(world: World) -> Prepared:
    now = timezone.now()
    event = InboxEvent.objects.create(
        event_id="evt_1", type="x", created=now, livemode=False, dead_at=now, body='{"data": {"object": {}}}'
    )
    return f"/admin/billing/inboxevent/{event.pk}/order/replay/", {}


@prepare("billing.StrangerPayment assign")
def _assign(world: World) -> Prepared:
    """Nobody is linked to the customer that paid."""
    stranger = gateway.create_customer(email="s@example.com", metadata={}, key="a stranger")
    known, world.buyer.customer = world.buyer.customer, stranger["id"]
    session = world.buyer.buy(world.plans["small"])
    world.buyer.customer = known
    assert settle.settle_session(session["id"]) is None
    path = f"/admin/billing/strangerpayment/{session['payment_intent']}/order/assign/"
    return path, {"person": str(world.ada.pk)}


def registered() -> Iterator[str]:
    """Every order that a page of the admin has."""
    for model, pages in admin.site._registry.items():
        verbs = list(pages.orders) if isinstance(pages, OrderPages) else []
        if isinstance(pages, EditedByOrder):
            removes = type(pages).has_delete_permission is EditedByOrder.has_delete_permission
            verbs += ["add", "change", *(["delete"] if removes else [])]
        yield from (f"{model._meta.label} {verb}" for verb in verbs)


def state() -> dict[str, list[Any]]:
    """Return every row of the project's own tables but the sessions of staff, which each page uses."""
    models = [
        model
        for label in ("accounts", "credits", "billing")
        for model in apps.get_app_config(label).get_models()
    ]
    found: dict[str, list[Any]] = {
        model._meta.label: list(model._default_manager.order_by("pk").values())
        for model in models
        if model._meta.managed and not model._meta.proxy
    }
    label = Session._meta.label
    found[label] = [row for row in found[label] if row["door"] != Session.Door.ADMIN]
    return found


@pytest.fixture
def boss(make_user: Callable[..., User]) -> ListenerClient:
    return signed_in(make_user("boss@staff.example", is_staff=True, is_superuser=True))


@pytest.fixture
def world(buyer: Buyer, plans: dict[str, Plan], make_user: Callable[..., User], settings: Any) -> World:
    settings.EVENT_WEBHOOK_HOSTS = {**settings.EVENT_WEBHOOK_HOSTS, "shop.test:443": ()}
    return World(buyer, plans, make_user)


def filled(client: ListenerClient, path: str, fields: dict[str, str]) -> dict[str, str]:
    """The form of a page as a browser would send it, without a reason."""
    shown = page(client, path)
    kept = {
        name: hidden(shown, name)
        for name in ("order_id", "request_id", "newest")
        if f'name="{name}"' in shown
    }
    return {**kept, **fields}


def test_each_registered_order_is_prepared_here() -> None:
    assert sorted(registered()) == sorted(PREPARED)


@pytest.mark.parametrize("label", PREPARED)
def test_a_form_sent_twice_counts_once_and_staff_are_told(
    label: str, boss: ListenerClient, world: World
) -> None:
    path, fields = PREPARED[label](world)
    form = {**filled(boss, path, fields), "reason": "asked by mail"}
    before = state()
    assert post(boss, path, form).status_code in {200, 302}
    done = state()
    assert done != before
    boss.get("/admin/accounts/user/")  # takes what was said
    again = post(boss, path, form)
    assert again.status_code == 302
    assert SENT_BEFORE in page(boss, "/admin/accounts/user/")
    assert state() == done


@pytest.mark.parametrize("label", PREPARED)
def test_a_reason_is_needed_and_the_refused_form_can_be_sent_again(
    label: str, boss: ListenerClient, world: World
) -> None:
    path, fields = PREPARED[label](world)
    form = filled(boss, path, fields)
    before = state()
    for reason in (" ", "x" * (LONGEST_REASON + 1)):
        post(boss, path, {**form, "reason": reason})
        assert state() == before
    post(boss, path, {**form, "reason": "x" * LONGEST_REASON})
    assert state() != before
    reasons = AuditEvent.objects.exclude(actor__in=["", "test"]).values_list("detail__reason", flat=True)
    assert set(reasons) <= {"x" * LONGEST_REASON, None}


@pytest.mark.parametrize("label", PREPARED)
def test_without_the_permission_it_is_closed(label: str, world: World) -> None:
    path, fields = PREPARED[label](world)
    client = signed_in(world.make_user("clerk@staff.example", is_staff=True))
    before = state()
    assert client.get(path).status_code == 403
    form = {**fields, "reason": "why", "order_id": str(uuid4()), "request_id": str(uuid4())}
    assert post(client, path, form).status_code == 403
    assert state() == before


OF_A_USER = [
    label
    for label in PREPARED
    if label.startswith(
        (
            "accounts.User ",
            "credits.UserCredit ",
            "credits.Hold ",
            "billing.Payment ",
            "billing.Bil",
            "billing.Str",
        )
    )
    and label
    not in {"accounts.User reactivate", "accounts.User mail-verification"}  # nobody in that state signs in
]


@pytest.mark.parametrize("label", OF_A_USER)
def test_nobody_orders_anything_for_themselves(label: str, world: World) -> None:
    path, fields = PREPARED[label](world)
    User.objects.filter(pk=world.ada.pk).update(is_staff=True, is_superuser=True)
    client = signed_in(User.objects.get(pk=world.ada.pk))
    before = state()
    form = {**fields, "reason": "why not", "order_id": str(uuid4()), "request_id": str(uuid4())}
    assert post(client, path, form).status_code in {200, 302, 403}
    assert state() == before


class TestOnce:
    @pytest.fixture
    def request_of_staff(self, boss: ListenerClient, rf: Any) -> Any:
        request = rf.get("/")
        request.session = boss.session
        return request

    @pytest.mark.parametrize("asks_others", [False, True])
    def test_a_form_that_failed_may_be_sent_again(self, request_of_staff: Any, asks_others: bool) -> None:
        form_id = uuid4()
        with pytest.raises(ZeroDivisionError), once(request_of_staff, form_id, asks_others=asks_others):
            raise ZeroDivisionError
        with once(request_of_staff, form_id, asks_others=asks_others):
            pass
        with pytest.raises(SentBefore), once(request_of_staff, form_id, asks_others=asks_others):
            pytest.fail("carried out twice")

    def test_one_that_is_being_carried_out_is_not_begun_again(self, request_of_staff: Any) -> None:
        form_id = uuid4()
        with (
            once(request_of_staff, form_id, asks_others=True),
            pytest.raises(SentBefore),
            once(request_of_staff, form_id, asks_others=True),
        ):
            pytest.fail("carried out twice at the same time")

    def test_one_whose_process_died_may_be_sent_again(self, request_of_staff: Any) -> None:
        form_id = uuid4()
        note = AdminSession.objects.filter(session_key=orders._key(form_id))
        died = once(request_of_staff, form_id, asks_others=True)
        died.__enter__()
        note.update(expire_date=timezone.now())
        with once(request_of_staff, form_id, asks_others=True):
            pass
        assert note.get().expire_date > timezone.now() + timedelta(hours=1)

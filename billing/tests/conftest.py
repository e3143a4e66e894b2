"""Shares among the tests of billing: signed events, and the webhook as Stripe calls it."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import User
from billing import customers
from billing.models import Plan
from billing.stripe import gateway, sdk, shapes
from billing.stripe_sync import inbox, intake
from billing.tests.calls import Shop
from credits import ledger
from credits.ledger import verify
from credits.ledger.calls import Call
from credits.models import CreditTransaction, UserCredit
from tests.fake_stripe.control import Control
from tests.listeners import ListenerClient

Json = dict[str, Any]

SECRET = "whsec_test_only_4b1d0f7a92c34e"
WEBHOOK = "/v1/billing/webhook"
_numbers = count(1)


def signature(body: bytes, *, secret: str = SECRET, at: float | None = None, scheme: str = "v1") -> str:
    moment = int(time.time() if at is None else at)
    mac = hmac.new(secret.encode(), b"%d." % moment + body, hashlib.sha256).hexdigest()
    return f"t={moment},{scheme}={mac}"


def event(type: str = "test.happened", item: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"evt_{next(_numbers)}",
        "object": "event",
        "type": type,
        "created": int(time.time()),
        "livemode": False,
        "api_version": "2026-08-26.dahlia",
        "data": {"object": item if item is not None else {"object": "thing", "id": "th_1"}},
        "request": {"id": None, "idempotency_key": None},
        "pending_webhooks": 1,
        **fields,
    }


@pytest.fixture
def webhook_secret(settings) -> str:
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
    return SECRET


@pytest.fixture
def deliver(public: ListenerClient, webhook_secret: str) -> Callable[..., Any]:
    """`deliver(event)`: as Stripe does it, signed; `deliver(raw=b"...", header="...")` as anybody else does."""

    def post(
        sent: dict[str, Any] | None = None, *, raw: bytes | None = None, header: str | None = None
    ) -> Any:
        body = json.dumps(sent).encode() if raw is None else raw
        return public.raw(
            "POST", WEBHOOK, body, HTTP_STRIPE_SIGNATURE=signature(body) if header is None else header
        )

    return post


# ---------------------------------------------------------------- with the fake Stripe


@pytest.fixture
def stripe(fake_stripe: Control, settings: Any) -> Iterator[Control]:
    """The fake Stripe, which this process now takes for the real one."""
    settings.STRIPE_SECRET_KEY = "sk_test_of_the_tests"
    settings.STRIPE_API_BASE = fake_stripe.url
    sdk.configure()
    yield fake_stripe
    fake_stripe.clear_faults()


@pytest.fixture
def plans(db: None) -> dict[str, Plan]:
    """A plan for each price that the fake is seeded with."""
    rows = [
        Plan(code="small", kind="pack", credits=100, amount=500, stripe_price="price_pack_small"),
        Plan(code="large", kind="pack", credits=500, amount=2000, stripe_price="price_pack_large"),
        Plan(
            code="basic", kind="subscription", credits=200, amount=900, interval="month",
            stripe_price="price_sub_basic",
        ),
        Plan(
            code="pro", kind="subscription", credits=1000, amount=2900, interval="month", trial_days=14,
            trial_credits=50, stripe_price="price_sub_pro",
        ),
    ]  # fmt: skip
    for row in rows:
        row.name, row.currency = row.code.title(), "eur"
        row.save()
    return {row.code: row for row in rows}


class Buyer:
    """A user who is a customer, and what they do at Stripe's pages."""

    def __init__(self, fake: Control, user: User) -> None:
        self.fake, self.user, self.id = fake, user, user.pk
        self.customer = customers.ensure(user.pk)

    def buy(self, plan: Plan, *, quantity: int = 1, card: str = "pm_card_visa", trial: bool = False) -> Json:
        """Through a checkout session, which is given back as it is afterwards."""
        session = gateway.create_checkout_session(
            customer=self.customer,
            mode="payment" if plan.kind == "pack" else "subscription",
            price=plan.stripe_price,
            quantity=quantity,
            success_url="https://shop.test/done",
            cancel_url="https://shop.test/cart",
            metadata={},
            trial_days=plan.trial_days if trial else None,
            key=uuid4().hex,
        )
        self.fake.pay_checkout(session["id"], card)
        return gateway.retrieve_checkout_session(session["id"])

    def charge_of(self, session: Json) -> str:
        intent = (
            session["payment_intent"]
            or shapes.invoice_payment_intents(gateway.retrieve_invoice(session["invoice"]))[0]
        )
        return str(gateway.retrieve_payment_intent(intent)["latest_charge"]["id"])

    @property
    def balance(self) -> int:
        row = UserCredit.objects.filter(pk=self.id).first()
        return row.balance if row else 0

    @property
    def journal(self) -> list[tuple[str, int]]:
        rows = CreditTransaction.objects.filter(holder_id=self.id).order_by("at")
        return [(row.type, row.amount) for row in rows]

    def use(self, amount: int) -> None:
        key = uuid4().hex
        ledger.use(user_id=self.id, amount=amount, call=Call(service="shop", key=key, request=key.encode()))

    def verifies(self) -> bool:
        return list(verify.verify_user(self.id).findings) == []


@pytest.fixture
def make_buyer(stripe: Control, make_user: Callable[..., User]) -> Callable[[], Buyer]:
    return lambda: Buyer(stripe, make_user())


@pytest.fixture
def buyer(make_buyer: Callable[[], Buyer]) -> Buyer:
    return make_buyer()


def receive(events: Iterable[Json]) -> None:
    """As the webhook does it, once the signature is checked."""
    for one in events:
        body = json.dumps(one).encode()
        intake.store(intake.parse(body), body)


def carry_out(events: Iterable[Json]) -> None:
    """Receive each and carry it out before the next comes."""
    for one in events:
        receive([one])
        inbox.work()


@pytest.fixture
def shop(
    internal: ListenerClient, service_key: Callable[..., str], settings: Any, stripe: Any, plans: Any
) -> Shop:
    """Return a service that sells the plans, whose pages people come back to from Stripe."""
    settings.BILLING_RETURN_HOSTS = ["shop.test"]
    return Shop(internal, service_key("shop"))

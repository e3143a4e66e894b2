"""Every refusal that the documents name for a call of billing, got from that very call."""

from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.models import User
from billing.tests.calls import RETURN, Shop, refused

pytestmark = pytest.mark.django_db(transaction=True)

BUYING = ("checkout", "portal", "setup", "subscribe", "change", "resume", "end-trial", "pay")
ASKING_STRIPE = (*BUYING, "cancel", "make default")
READS = ("payment-methods", "status", "subscriptions", "trial-eligibility")


class Buyer:
    """Someone with a card and a subscription, and each call that a service makes for them."""

    def __init__(self, shop: Shop, stripe: Any, user: User) -> None:
        self.shop, self.pk = shop, user.pk
        self.card = shop.store_card(stripe, user.pk)
        begun = shop.post("subscriptions", user_id=user.pk, plan="basic", payment_method=self.card)
        self.subscription = begun.json()["id"]

    def call(self, name: str, *, user_id: Any = None) -> Any:
        user, mine = user_id or self.pk, f"subscriptions/{self.subscription}"
        path, more = {
            "checkout": ("checkout-sessions", {"plan": "small", "success_url": RETURN, "cancel_url": RETURN}),
            "portal": ("portal-sessions", {"return_url": RETURN}),
            "setup": ("setup-intents", {}),
            "subscribe": ("subscriptions", {"plan": "basic"}),
            "change": (f"{mine}/change", {"plan": "pro"}),
            "make default": (f"payment-methods/{self.card}/default", {}),
            "pay": ("invoices/in_1/pay", {}),
        }.get(name, (f"{mine}/{name}", {}))
        return self.shop.post(path, user_id=user, **more)


@pytest.fixture
def buyer(shop: Shop, stripe, make_user) -> Buyer:
    return Buyer(shop, stripe, make_user())


@pytest.mark.parametrize("call", BUYING)
@pytest.mark.parametrize(
    ("state", "code"),
    [({"status": "suspended"}, "account_suspended"), ({"contested_at": timezone.now()}, "account_contested")],
    ids=["suspended", "contested"],
)
def test_who_may_not_buy(buyer, call, state, code):
    User.objects.filter(pk=buyer.pk).update(**state)
    refused(buyer.call(call), 403, code)


@pytest.mark.parametrize("call", ["portal", "setup"])
def test_who_is_unknown(buyer, call):
    refused(buyer.call(call, user_id=uuid4()), 404, "user_not_found")


@pytest.mark.parametrize("path", READS)
def test_whose_things_are_asked_for(buyer, path):
    refused(buyer.shop.get(path, user_id=uuid4()), 404, "user_not_found")


@pytest.mark.parametrize("call", ASKING_STRIPE)
def test_while_stripe_refuses_connections(buyer, stripe, call):
    stripe.fault(refuse=True, times=100)
    refused(buyer.call(call), 503, "billing_unavailable")


def test_a_checkout_is_asked_for_while_stripe_refuses_connections(buyer, stripe):
    session = buyer.call("checkout").json()["id"]
    stripe.fault(refuse=True, times=100)
    refused(buyer.shop.get(f"checkout-sessions/{session}", user_id=buyer.pk), 503, "billing_unavailable")


def test_a_plan_that_is_not_there(buyer):
    path = f"subscriptions/{buyer.subscription}/change"
    refused(buyer.shop.post(path, user_id=buyer.pk, plan="none"), 404, "plan_not_found")


@pytest.mark.parametrize("call", ["checkout", "portal", "setup", "subscribe", "cancel", "make default"])
def test_what_stripe_takes_for_wrong(buyer, stripe, call):
    stripe.fault(status=400, times=100)
    refused(buyer.call(call), 400, "billing_rejected")


def test_a_card_that_stripe_does_not_let_go(buyer, stripe):
    other = buyer.shop.store_card(stripe, buyer.pk)
    stripe.fault(status=400, times=100)
    refused(buyer.shop.delete(f"payment-methods/{other}", user_id=buyer.pk), 400, "billing_rejected")

"""Cover what staff do in Stripe's Dashboard: several payments, items, quantities, pauses, balances, plans, debits."""

from typing import Any

import pytest

from accounts.models import ServiceEvent
from billing.models import BillingAccount, Payment, PaymentLine
from billing.stripe import gateway, sdk
from billing.stripe_sync import inbox
from billing.tests.conftest import carry_out
from billing.tests.test_lines import monthly

pytestmark = pytest.mark.django_db
B = "/admin/billing"


def changed(subscription, **params):
    given: Any = params
    return sdk.client().v1.subscriptions.update(subscription, given)


class TestPauses:
    @pytest.mark.parametrize("behavior", ["void", "keep_as_draft", "mark_uncollectible"])
    def test_give_nothing_until_something_is_paid(self, stripe, plans, buyer, behavior):
        subscription = monthly(buyer)["id"]
        changed(subscription, pause_collection={"behavior": behavior})
        for _ in range(2):
            stripe.renew(subscription)
        carry_out(stripe.events())
        assert buyer.journal == [("subscription", 200)]
        assert BillingAccount.objects.get().status == "active"
        assert not ServiceEvent.objects.filter(type="subscription.payment_failed").exists()
        changed(subscription, pause_collection="")
        for row in stripe.objects("invoice"):
            if row["status"] == "draft":
                sdk.client().v1.invoices.pay(row["id"])
        carry_out(stripe.events())
        assert len(buyer.journal) == (3 if behavior == "keep_as_draft" else 1)


@pytest.mark.parametrize("coupon", [{"percent_off": 100}, {"amount_off": 5000, "currency": "eur"}])
def test_a_coupon_put_on_a_subscription_makes_the_next_period_free(stripe, plans, buyer, coupon):
    subscription = monthly(buyer)["id"]
    changed(subscription, discounts=[{"coupon": sdk.client().v1.coupons.create(coupon).id}])
    for _ in range(2):
        stripe.renew(subscription)
    carry_out(stripe.events())
    assert buyer.journal == [("subscription", 200)] * 3
    assert [row.kept for row in Payment.objects.order_by("paid_at")] == [900, 0, 900]


class TestDebitsThatTakeDays:
    @pytest.mark.parametrize("plan", ["small", "basic"])
    def test_give_credits_once_they_arrive(self, shop, stripe, plans, buyer, plan):
        session = shop.checkout(buyer.id, plan).json()["id"]
        stripe.pay_checkout(session, "pm_sepaDebit")
        carry_out(stripe.events())
        shown = shop.get(f"checkout-sessions/{session}", user_id=buyer.id).json()
        assert (shown["status"], shown["credited"], buyer.balance) == ("complete", False, 0)
        stripe.advance(days=6)
        carry_out(stripe.events())
        shown = shop.get(f"checkout-sessions/{session}", user_id=buyer.id).json()
        assert (shown["credited"], buyer.balance) == (True, plans[plan].credits)
        assert ServiceEvent.objects.filter(type="purchase.completed").count() == 1
        assert not inbox.dead().exists()

    @pytest.mark.parametrize("plan", ["small", "basic"])
    def test_give_nothing_if_they_bounce(self, shop, stripe, plans, buyer, plan):
        stripe.pay_checkout(shop.checkout(buyer.id, plan).json()["id"], "pm_sepaDebitFails")
        stripe.advance(days=6)
        carry_out(stripe.events())
        assert (buyer.journal, inbox.dead().exists()) == ([], False)
        (told,) = ServiceEvent.objects.filter(type="purchase.failed")
        assert told.data["amount"] == plans[plan].amount

    def test_a_renewal_that_bounces_is_told_with_its_sum(self, shop, stripe, plans, buyer):
        made = monthly(buyer)
        card = sdk.client().v1.payment_methods.attach("pm_sepaDebitFails", {"customer": buyer.customer})
        changed(made["id"], default_payment_method=card.id)
        stripe.renew(made["id"])
        carry_out(stripe.events())
        assert (BillingAccount.objects.get().status, buyer.balance) == ("active", 200)
        stripe.advance(days=6)
        carry_out(stripe.events())
        assert (BillingAccount.objects.get().status, buyer.balance) == ("past_due", 200)
        (told,) = ServiceEvent.objects.filter(type="subscription.payment_failed")
        assert told.data["amount"] == 900

    def test_a_renewal_that_arrives_outlives_its_period_by_eight_days(self, shop, stripe, plans, buyer):
        made = monthly(buyer)
        card = sdk.client().v1.payment_methods.attach("pm_sepaDebit", {"customer": buyer.customer})
        changed(made["id"], default_payment_method=card.id)
        stripe.renew(made["id"])
        stripe.advance(days=6)
        carry_out(stripe.events())
        assert buyer.journal == [("subscription", 200)] * 2
        line = PaymentLine.objects.latest("expires_at")
        found = gateway.retrieve_invoice(line.payment_id)["lines"]["data"][0]
        assert line.expires_at is not None
        assert line.expires_at.timestamp() == found["period"]["end"] + 192 * 3600

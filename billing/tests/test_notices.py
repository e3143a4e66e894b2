"""Mails that follow from what Stripe says, from the signed webhook to the outbox."""

import re
import time
from datetime import UTC, datetime

import pytest

from accounts.models import ServiceEvent
from billing.models import Payment, Plan
from billing.stripe import gateway
from billing.stripe.sdk import client
from billing.stripe_sync import inbox

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def mails(stripe, mailoutbox, deliver):
    """Send each event that Stripe has so far, twice, signed; return the new mails."""

    def come():
        for event in [one for one in stripe.events() for _ in range(2)]:
            assert deliver(event).status_code == 200
            inbox.work()
        told = list(mailoutbox)
        mailoutbox.clear()
        return told

    return come


def test_mails_that_webhooks_bring(stripe, plans, buyer, mails):
    """A dispute, a payment that fails, a trial about to end; each told once."""

    def subjects():
        return [mail.subject for mail in mails()]

    pack = buyer.buy(plans["small"])
    assert subjects() == ["Thank you for your purchase"]
    stripe.dispute(buyer.charge_of(pack))
    assert subjects() == ["Your payment is disputed"]
    session = buyer.buy(plans["pro"], trial=True)
    assert subjects() == []
    stripe.advance(days=12)
    assert subjects() == ["Your trial is about to end"]
    method = gateway.retrieve_subscription(session["subscription"])["default_payment_method"]["id"]
    stripe.break_card(method)
    stripe.advance(days=4)
    assert subjects() == ["Your payment failed"]
    types = set(ServiceEvent.objects.values_list("type", flat=True))
    assert {"purchase.disputed", "subscription.trial_ending", "subscription.payment_failed"} <= types


def test_the_end_of_a_trial_and_a_payment_that_failed_are_told_with_their_sum(stripe, plans, buyer, mails):
    """With discounts and tax: the plan's price is another sum."""
    stripe.settings(tax_percent=20)
    session = buyer.buy(plans["basic"])  # for a card that is stored
    card = gateway.retrieve_subscription(session["subscription"])["default_payment_method"]["id"]
    gateway.cancel_subscription(subscription=session["subscription"])
    api = client().v1
    coupon = api.coupons.create({"percent_off": 50, "duration": "forever"})
    api.subscriptions.create(
        {
            "customer": buyer.customer,
            "items": [{"price": "price_sub_pro"}],
            "default_payment_method": card,
            "trial_period_days": 14,
            "discounts": [{"coupon": coupon.id}],
            "automatic_tax": {"enabled": True},
        }
    )
    mails()
    stripe.advance(days=12)
    (mail,) = mails()
    assert (mail.subject, "17.40 EUR" in mail.body) == ("Your trial is about to end", True)
    assert ServiceEvent.objects.get(type="subscription.trial_ending").data["amount"] == 1740
    stripe.advance(days=3)
    mails()
    assert Payment.objects.get(plan=plans["pro"], paid__gt=0).paid == 1740
    stripe.break_card(card)
    stripe.advance(days=32)
    (mail,) = mails()
    assert (mail.subject, "17.40 EUR" in mail.body) == ("Your payment failed", True)


def test_a_refund_in_parts_says_how_many_credits_each_has_taken(stripe, plans, buyer, mails):
    charge = buyer.charge_of(buyer.buy(plans["large"]))
    mails()
    for amount, taken in ((500, 125), (1000, 250), (500, 125)):
        stripe.refund(charge, amount)
        (mail,) = mails()
        html = mail.alternatives[0][0]
        assert f"Credits taken back: {taken}\n" in mail.body
        assert re.search(rf"Credits taken back</span><br>{taken}<", html)
    assert buyer.balance == 0


def test_a_refund_that_takes_no_credits_says_nothing_of_any(stripe, plans, buyer, mails):
    Plan.objects.filter(code="basic").update(credits=0, active=False)
    charge = buyer.charge_of(buyer.buy(plans["basic"]))
    mails()
    stripe.refund(charge, 300)
    (mail,) = mails()
    assert "3.00 EUR" in mail.body
    assert "credits" not in mail.body.lower()


def test_an_end_at_a_date_is_mailed_as_that_date(stripe, plans, buyer, mails):
    subscription = buyer.buy(plans["basic"])["subscription"]
    mails()
    end = int(time.time()) + 5 * 86_400
    client().v1.subscriptions.update(subscription, {"cancel_at": end})
    (mail,) = mails()
    assert f"will end on {datetime.fromtimestamp(end, UTC):%-d %B %Y, %H:%M} UTC" in " ".join(
        mail.body.split()
    )

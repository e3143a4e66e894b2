"""Mails that follow from what Stripe says, from the signed webhook to the outbox."""

import pytest

from accounts.models import ServiceEvent
from billing.stripe import gateway
from billing.stripe_sync import inbox

pytestmark = pytest.mark.django_db(transaction=True)


def test_mails_that_webhooks_bring(stripe, plans, buyer, mailoutbox, deliver):
    """Delivered and signed as Stripe does it: a dispute, a payment that fails, a trial about to end; each told once."""

    def subjects():
        """Send each event that Stripe has so far, twice."""
        for event in [one for one in stripe.events() for _ in range(2)]:
            assert deliver(event).status_code == 200
            inbox.work()
        told = [mail.subject for mail in mailoutbox]
        mailoutbox.clear()
        return told

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

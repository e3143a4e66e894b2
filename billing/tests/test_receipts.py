"""Mails about money that came name the number and the page of Stripe's invoice or receipt; services are not told."""

import pytest

from accounts.models import AuditEvent, ServiceEvent
from accounts.tests.conftest import deliver_mails
from billing.settlement import settle
from billing.stripe import gateway

pytestmark = pytest.mark.django_db


def told(user_id):
    return AuditEvent.objects.filter(user=user_id, type="purchased").latest("pk").detail


def test_of_a_pack_it_is_stripes_receipt(stripe, plans, buyer):
    payment = settle.settle_session(buyer.buy(plans["large"])["id"])
    assert payment is not None
    detail = told(buyer.id)
    assert detail["number"] == payment.pk
    assert detail["document"].endswith(f"/receipts/{payment.payment_intent}")
    assert detail["tax"] == 0
    assert detail["paid_at"].startswith(f"{payment.paid_at:%Y-%m-%dT%H:%M}")


def test_of_a_subscription_it_is_the_invoice(stripe, plans, buyer):
    payment = settle.settle_session(buyer.buy(plans["pro"])["id"])
    assert payment is not None
    invoice = gateway.retrieve_invoice(payment.pk)
    assert (told(buyer.id)["number"], told(buyer.id)["document"]) == (
        invoice["number"],
        invoice["hosted_invoice_url"],
    )
    assert all("document" not in event.data for event in ServiceEvent.objects.all())


def test_of_a_refund_in_parts_each_mail_says_its_part(stripe, plans, buyer):
    session = buyer.buy(plans["small"])
    settle.settle_session(session["id"])
    deliver_mails()
    for amount, refunded, credits in ((150, "1.50", 30), (200, "2.00", 40)):
        stripe.refund(buyer.charge_of(session), amount)
        settle.settle_session(session["id"])
        (message,) = deliver_mails()
        assert f"Refunded: {refunded} EUR\nCredits taken back: {credits}\n" in message.body
        assert "Amount" not in message.body

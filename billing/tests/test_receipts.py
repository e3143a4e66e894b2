"""Mails about money that came name the number and the page of Stripe's invoice or receipt; services are not told."""

import pytest

from accounts.models import AuditEvent, ServiceEvent
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

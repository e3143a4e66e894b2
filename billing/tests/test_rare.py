"""Cases that come rarely: debits that bounce, pauses, disputes of subscriptions, money that came outside Stripe."""

import pytest
from django.db.models.functions import Now

from accounts import mail
from accounts.mail import kinds
from accounts.models import AuditEvent, OutboxMessage, ServiceEvent
from billing.models import InboxEvent, Payment
from billing.settlement import lifecycle
from billing.stripe import gateway, sdk
from billing.stripe_sync import changes, inbox
from billing.tests.conftest import carry_out, event, receive
from credits import ledger
from credits.ledger.calls import Call
from credits.models import BALANCE_LIMIT
from credits.tests.admin_pages import post
from tests.fixtures import staff_session

pytestmark = pytest.mark.django_db


def test_a_debit_that_bounces_is_told_once(stripe, buyer):
    session = {"object": "checkout.session", "id": "cs_1", "customer": buyer.customer, "amount_total": 500,
               "currency": "eur", "payment_intent": "pi_1"}  # fmt: skip
    carry_out([event("checkout.session.async_payment_failed", session) for _ in range(2)])
    told = ServiceEvent.objects.get(type="purchase.failed")
    assert told.data == {"session": "cs_1", "amount": 500, "currency": "eur"}
    message = kinds.compose(OutboxMessage.objects.get(kind=mail.PURCHASE_FAILED))
    assert message is not None
    assert (message.subject, message.to) == ("Your purchase was not paid", [buyer.user.email])
    assert "You received no credits for it" in message.body
    assert "5.00 EUR" in message.body


def test_nobody_is_mailed_of_a_failed_payment_when_a_subscription_is_paused(stripe, plans, buyer):
    subscription = buyer.buy(plans["basic"])["subscription"]
    carry_out(stripe.events())
    paused = {**gateway.retrieve_subscription(subscription), "status": "paused"}
    account = lifecycle._apply(buyer.id, lifecycle._version(buyer.id), paused)
    assert account is not None
    assert account.stripe_status == "paused"
    assert not AuditEvent.objects.filter(type="payment_failed").exists()
    assert ServiceEvent.objects.filter(type="subscription.changed").exists()


@pytest.mark.parametrize("code", ["small", "basic"])
def test_a_payment_that_cannot_be_settled_is_one_dead_letter(stripe, plans, buyer, code):
    ledger.add(user_id=buyer.id, amount=BALANCE_LIMIT - 50, call=Call(service="shop"))
    buyer.buy(plans[code])
    receive(stripe.events())
    for _ in range(inbox.queue.tries + 2):
        InboxEvent.objects.update(due_at=Now(), leased_until=None)
        inbox.work()
    (letter,) = inbox.dead()
    assert "balance_limit" in letter.last_error
    assert not InboxEvent.objects.filter(settled_at=None).exclude(pk=letter.pk).exists()

    buyer.use(1000)
    inbox.replay(letter)
    inbox.work()
    assert not inbox.dead().exists()
    assert buyer.balance == BALANCE_LIMIT - 1050 + plans[code].credits


@pytest.mark.parametrize("ends", [True, False])
def test_a_dispute_ends_the_subscription_where_that_is_wanted(stripe, plans, buyer, settings, ends):
    settings.BILLING_END_DISPUTED = ends
    session = buyer.buy(plans["basic"])
    carry_out(stripe.events())
    stripe.dispute(buyer.charge_of(session))
    carry_out(stripe.events("charge.dispute.created"))
    changes.carry_out()
    found = gateway.retrieve_subscription(session["subscription"])
    assert (found["status"] == "canceled") is ends


def test_what_was_paid_outside_stripe_goes_back_by_a_credit_note(stripe, plans, buyer, make_user):
    sdk.client().v1.subscriptions.create({
        "customer": buyer.customer, "items": [{"price": "price_sub_basic"}], "collection_method": "send_invoice",
        "days_until_due": 30,
    })  # fmt: skip
    (invoice,) = stripe.objects("invoice")
    sdk.client().v1.invoices.pay(invoice["id"], {"paid_out_of_band": True})
    carry_out(stripe.events())
    assert buyer.balance == 200
    client = staff_session(make_user("boss@staff.example", is_staff=True, is_superuser=True))
    path = f"/admin/billing/payment/{invoice['id']}/order/refund/"
    assert path in client.get(f"/admin/billing/billingaccount/{buyer.id}/change/").content.decode()
    assert post(client, path, {"reason": "a mistake", "amount": "4.50"}).status_code == 302
    payment = Payment.objects.get()
    assert (payment.kept, buyer.balance) == (450, 100)

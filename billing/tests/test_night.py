"""A night of renewals: credits come before copies, and one look at Stripe serves all events about a payment.

`NIGHT=500 script/test billing/tests/test_night.py -s -n 0` logs how many renewals a worker settles in a second.
"""

import os
import re
import time

import pytest
import structlog
from django.db import connection
from django.utils import timezone

from billing.models import InboxEvent, Payment
from billing.stripe import sdk
from billing.stripe_sync import inbox, intake
from billing.tests.conftest import receive

pytestmark = pytest.mark.django_db
log = structlog.get_logger("billing")
NIGHT = int(os.environ.get("NIGHT", "5"))


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch):
    """Leave what is received until the test works it off."""
    monkeypatch.setattr(intake.worker, "tell_on_commit", lambda *_: None)


request = sdk.BoundedClient.request


def outside_transactions(*arguments, **options):
    """Ask Stripe, and fail within a transaction: its locks would last as long as Stripe takes."""
    assert not connection.in_atomic_block
    return request(*arguments, **options)


def settle_all():
    while InboxEvent.objects.filter(settled_at=None).exists():
        event = inbox.queue.claim()
        assert event is not None
        assert inbox.process(event)


@pytest.fixture
def night(stripe, plans, make_buyer):
    """So many subscribers, whose renewals are all told at once."""
    buyers = [make_buyer() for _ in range(NIGHT)]
    for buyer in buyers:
        buyer.buy(plans["basic"])
    receive(stripe.events())
    inbox.work(seconds=600)
    before = len(stripe.events())
    stripe.advance(days=32)
    receive(stripe.events()[before:])
    return buyers


@pytest.mark.django_db(transaction=True)
def test_credits_come_before_copies(night, stripe, monkeypatch):
    asked = len(stripe.requests())
    started = time.monotonic()
    with monkeypatch.context() as patched:
        patched.setattr(sdk.BoundedClient, "request", outside_transactions)
        settle_all()
    seconds = time.monotonic() - started
    assert [buyer.balance for buyer in night] == [400] * NIGHT
    waiting = InboxEvent.objects.filter(done_at=None)
    assert waiting.exists()
    assert not waiting.exclude(mirrored_at=None).exists()
    calls = (len(stripe.requests()) - asked) / NIGHT
    assert calls <= 6
    log.info("night", renewals_per_second=round(NIGHT / seconds, 1), calls_per_renewal=round(calls, 1))
    inbox.work(seconds=600)
    assert not InboxEvent.objects.filter(done_at=None).exists()
    assert not InboxEvent.objects.filter(mirrored_at=None).exists()


@pytest.mark.django_db(transaction=True)
def test_copies_hold_no_transaction_open(stripe, plans, buyer, monkeypatch):
    """But for what dj-stripe finds named in an object that is new to it, in a transaction of its own."""
    buyer.buy(plans["basic"])
    receive(stripe.events())
    settle_all()
    asked = []

    def noting(*arguments, **options):
        asked.append((connection.in_atomic_block, arguments[2]))
        return request(*arguments, **options)

    monkeypatch.setattr(sdk.BoundedClient, "request", noting)
    inbox.work(seconds=60)
    assert len(asked) > 10
    within = [url for is_within, url in asked if is_within]
    assert not [url for url in within if not re.search("/v1/(payment_methods|products)/", url)]


def test_a_first_payment_is_looked_at_once(stripe, plans, buyer):
    buyer.buy(plans["basic"])
    receive(stripe.events())
    settle_all()
    assert buyer.balance == 200
    assert Payment.objects.get().version == 1


def test_what_came_after_stripe_was_asked_is_looked_at_again(stripe, plans, buyer):
    session = buyer.buy(plans["small"])
    receive(stripe.events("payment_intent.succeeded"))
    first = inbox.queue.claim()
    assert first is not None
    stripe.refund(buyer.charge_of(session), 100)
    receive(stripe.events("charge.refunded"))
    assert InboxEvent.objects.filter(received_at__gt=timezone.now() - inbox.queue.lease).count() == 2
    assert inbox.process(first)
    assert InboxEvent.objects.get(type="charge.refunded").settled_at is None
    settle_all()
    assert buyer.balance == 80


@pytest.mark.parametrize(("type_", "item", "expected"), [
    ("invoice.paid", {"object": "invoice", "id": "in_1"}, "in_1"),
    ("invoice.payment_failed", {"object": "invoice", "id": "in_1", "customer": "cus_1"}, "cus_1"),
    ("checkout.session.completed", {"object": "checkout.session", "id": "cs_1", "invoice": "in_1"}, "in_1"),
    ("checkout.session.completed", {"object": "checkout.session", "id": "cs_1", "payment_intent": "pi_1"}, "pi_1"),
    ("checkout.session.completed", {"object": "checkout.session", "id": "cs_1"}, "cs_1"),
    ("credit_note.created", {"object": "credit_note", "id": "cn_1", "invoice": {"id": "in_1"}}, "in_1"),
    ("charge.dispute.created", {"object": "dispute", "id": "du_1", "payment_intent": "pi_1"}, "pi_1"),
    ("customer.subscription.updated", {"object": "subscription", "id": "sub_1", "customer": "cus_1"}, "cus_1"),
    ("customer.subscription.trial_will_end", {"object": "subscription", "customer": "cus_1"}, ""),
    ("customer.deleted", {"object": "customer", "id": "cus_1"}, ""),
    ("charge.refunded", {"object": "charge", "id": "ch_1", "payment_intent": "p\0"}, ""),
])  # fmt: skip
def test_what_an_event_is_about(type_, item, expected):
    assert intake.about(type_, item) == expected

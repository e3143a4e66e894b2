"""Bring the credits of a payment to what they should be.

Webhooks, return pages and reconciliation all call this, in any order and any number of times.

`settle` reads the payment's version, asks Stripe, locks the row, and starts over if the version has changed, since a
caller with a later view of Stripe may have been here. Otherwise it raises the version and posts, line by line, the
difference between what the payment is worth now and the sum of its journal rows. Stripe is never called under a lock.

Locks the payment's row, then the account's (billing/settlement/lifecycle.py), then the balance row.
"""

import uuid

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from billing import customers
from billing.errors import BillingUnavailable
from billing.models import CustomerChange, Payment, PaymentLine
from billing.settlement import lifecycle, lines, notices, posting, strangers
from billing.stripe import gateway, sdk, shapes, snapshots
from billing.stripe.shapes import Object
from billing.stripe.snapshots import Snapshot

TRIES = 5
SECONDS = 20.0  # for the calls of one settlement


def settle(payment_id: str) -> Payment | None:
    """Settle an invoice, a payment intent without one, or a free checkout session. Return None if it is not ours.

    Raises BillingUnavailable, and what else the gateway raises.
    """
    for _ in range(TRIES):
        version = version_of(payment_id)
        with sdk.within(SECONDS):
            snapshot = snapshots.take(payment_id)
        user_id = strangers.user_of(payment_id, snapshot)
        if user_id is None:
            return None
        settled = apply(payment_id, user_id, version, snapshot)
        if settled is not None:
            return settled
    raise BillingUnavailable


def settle_payment_intent(payment_intent: str) -> Payment | None:
    """Settle a payment intent, through its invoice if it pays one."""
    payments = [settle(payment) for payment in payments_of_intent(payment_intent)]
    return payments[0]


def payments_of_intent(payment_intent: str) -> list[str]:
    """Return the ids of the payments that a payment intent pays: its invoices, or else the intent itself."""
    known = Payment.objects.filter(payment_intent=payment_intent).values_list("pk", flat=True).first()
    if known is not None:
        return [known]
    return gateway.invoices_paid_by(payment_intent=payment_intent) or [payment_intent]


def settle_session(session_id: str) -> Payment | None:
    """Settle the payment that a checkout session led to. Return None if there is none, or none yet."""
    return settle_found(gateway.retrieve_checkout_session(session_id))


def settle_found(session: Object) -> Payment | None:
    """Settle the payment of a session that was just retrieved."""
    if invoice := shapes.id_of(session.get("invoice")):
        return settle(invoice)
    if intent := shapes.id_of(session.get("payment_intent")):
        return settle_payment_intent(intent)
    free = session.get("payment_status") == "no_payment_required" and session.get("mode") == "payment"
    return settle(session["id"]) if free and session.get("status") == "complete" else None


# ---------------------------------------------------------------- under the lock


def version_of(payment_id: str) -> int:
    found = Payment.objects.filter(pk=payment_id).values_list("version", flat=True).first()
    return found or 0


@transaction.atomic
def apply(payment_id: str, user_id: uuid.UUID, version: int, snapshot: Snapshot) -> Payment | None:
    """Apply a snapshot. Return None if the payment has changed since `version` was read."""
    Payment.objects.bulk_create([Payment(pk=payment_id, user_id=user_id)], ignore_conflicts=True)
    payment = Payment.objects.select_for_update(no_key=True).get(pk=payment_id)
    if payment.version != version:
        return None
    payment.version += 1
    is_new = payment.settled_at is None
    if is_new and (twin := _paid_by_the_same(payment, snapshot)):
        return twin
    if snapshot.paid or not is_new:
        _settle(payment, snapshot)
    payment.save()
    return payment


def _settle(payment: Payment, snapshot: Snapshot) -> None:
    before = notices.Money.of(payment)
    if payment.settled_at is None:
        _freeze(payment, snapshot)
    _take_over(payment, snapshot)
    rows = lines.take_over(payment, snapshot)
    if payment.subscription and not before.was_settled:
        lifecycle.paid(payment, {row.plan for row in rows if row.plan is not None})
    posted = posting.post(payment, rows, snapshot, cause=notices.cause(payment, before))
    _sum_up(payment, rows)
    receipt = {"number": snapshot.number or payment.pk, "document": snapshot.document, "tax": snapshot.tax}
    notices.settled(payment, before=before, posted=posted, receipt=receipt)
    if settings.BILLING_END_DISPUTED and payment.subscription and payment.disputed > before.disputed:
        kind = CustomerChange.Kind.END_SUBSCRIPTION
        customers.enqueue(kind, user_id=payment.user_id, subscription=payment.subscription)


def _paid_by_the_same(payment: Payment, snapshot: Snapshot) -> Payment | None:
    """Return the payment that the same intent paid before: Stripe may attach a settled intent to an invoice later.

    Two at the same moment collide on the constraint `payment_once_per_intent`, and the later one is tried again.
    """
    if not snapshot.payment_intent:
        return None
    return Payment.objects.filter(payment_intent=snapshot.payment_intent).exclude(pk=payment.pk).first()


def _freeze(payment: Payment, snapshot: Snapshot) -> None:
    """Freeze how much was paid, by what and when. The payment's kind follows from its lines."""
    payment.settled_at = timezone.now()
    payment.paid, payment.currency, payment.paid_at = snapshot.amount, snapshot.currency, snapshot.paid_at
    payment.from_balance, payment.to_balance = max(0, snapshot.from_balance), snapshot.to_balance
    payment.payment_intent, payment.subscription = snapshot.payment_intent, snapshot.subscription
    payment.kind, payment.quantity, payment.credits = Payment.Kind.OPEN, 0, 0


def _take_over(payment: Payment, snapshot: Snapshot) -> None:
    """Record what is kept now, and what took the rest."""
    payment.kept = min(snapshot.kept, (payment.paid or 0) + payment.from_balance)
    payment.refunded, payment.disputed = snapshot.given_back, snapshot.disputed


def _sum_up(payment: Payment, rows: list[PaymentLine]) -> None:
    """Copy the main line's values to the payment: the line that gives most credits, or else the first known one."""
    known = [row for row in rows if row.kind != PaymentLine.Kind.OPEN]
    if not known:
        payment.kind = Payment.Kind.OPEN if rows else Payment.Kind.PRORATION
        return
    main = max(known, key=lambda row: (row.credits, row.plan is not None, -row.pk))
    payment.kind, payment.plan = Payment.Kind(main.kind), main.plan
    payment.quantity, payment.credits = main.quantity, main.credits
    payment.expires_at, payment.granted_by = main.expires_at, main.granted_by

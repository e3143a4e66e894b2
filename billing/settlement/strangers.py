"""Payments by unknown customers: kept as rows until it is known whose they are."""

import uuid

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.kit import nudge
from billing import customers
from billing.models import StrangerPayment
from billing.stripe.snapshots import Snapshot

log = structlog.get_logger("billing")


def user_of(payment_id: str, snapshot: Snapshot) -> uuid.UUID | None:
    """Return the payment's user: its customer's, or the one that staff named. Return None, and keep it, if unknown.

    A customer that has our mark is linked again, and everything else it paid is settled afterwards by a task.
    """
    known = known_user_of(payment_id, snapshot)
    if known is not None:
        return known
    adopted = customers.adopt(snapshot.customer)
    if adopted is None:
        _remember(payment_id, snapshot)
        return None
    nudge.send("billing.tasks.settle_customer", snapshot.customer)
    return adopted


def known_user_of(payment_id: str, snapshot: Snapshot) -> uuid.UUID | None:
    """Return the payment's user, as far as it is known here without asking Stripe about its customer."""
    return customers.user_of(snapshot.customer) or _assigned(payment_id)


def _assigned(payment_id: str) -> uuid.UUID | None:
    return StrangerPayment.objects.filter(pk=payment_id).values_list("user", flat=True).first()


def _remember(payment_id: str, snapshot: Snapshot) -> None:
    if not snapshot.paid:
        return
    row = StrangerPayment(
        pk=payment_id,
        customer=snapshot.customer,
        amount=snapshot.amount,
        currency=snapshot.currency,
        paid_at=snapshot.paid_at,
    )
    StrangerPayment.objects.bulk_create([row], ignore_conflicts=True)
    log.info("payment_of_a_stranger", payment=payment_id)


@transaction.atomic
def assign(payment: StrangerPayment, user_id: uuid.UUID) -> list[str]:
    """Assign a payment, with all others of its customer, to a user. Return their ids, which are to be settled.

    Return none, and change nothing, if it is another user's already.
    """
    theirs = StrangerPayment.objects.select_for_update().filter(Q(assigned_at=None) | Q(user=user_id))
    if not theirs.filter(pk=payment.pk).exists():
        return []
    if payment.customer:
        customers.assign(payment.customer, user_id)
        theirs = theirs.filter(customer=payment.customer)
    else:
        theirs = theirs.filter(pk=payment.pk)
    ids = list(theirs.values_list("pk", flat=True))
    theirs.filter(assigned_at=None).update(user_id=user_id, assigned_at=timezone.now())
    return ids

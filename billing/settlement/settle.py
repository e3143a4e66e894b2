"""Make the credits of a payment what they are to be. Webhooks, return pages and reconciliation all call it, in any
order and any number of times.

`settle` reads the payment's version, asks Stripe, locks the row, and starts over if the version has moved: then
somebody who looked later may have been here. Else it raises the version and posts the difference between what the
payment is worth now and what its journal rows come to. No call to Stripe is made under a lock.

Locks: the payment's row, then the balance row.
"""

import uuid
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from accounts.errors import UserNotFound
from billing import customers
from billing.errors import BillingUnavailable, UnknownPrice
from billing.models import CustomerChange, Payment, Plan
from billing.settlement import notices, trial
from billing.stripe import gateway, sdk, shapes, snapshots
from billing.stripe.snapshots import Snapshot
from credits import ledger
from credits.ledger.calls import Call, request_bytes
from credits.models import CreditTransaction, TransactionType

SERVICE = "billing"
TRIES = 5
SECONDS = 20.0  # for the calls of one settlement
# Stripe finalizes a renewal's invoice about an hour after the period began: until then the last period's credits live.
RENEWAL_GRACE = timedelta(hours=6)

GIVES = {
    Payment.Kind.PACK: TransactionType.PURCHASE,
    Payment.Kind.SUBSCRIPTION: TransactionType.SUBSCRIPTION,
    Payment.Kind.TRIAL: TransactionType.TRIAL,
}

log = structlog.get_logger("billing")


def settle(payment_id: str) -> Payment | None:
    """Settle an invoice, a payment intent that belongs to none, or a free checkout session. None: not one of ours.

    Raises UnknownPrice, BillingUnavailable, and what else the gateway raises.
    """
    for _ in range(TRIES):
        version = version_of(payment_id)
        with sdk.within(SECONDS):
            snapshot = snapshots.take(payment_id)
        user_id = customers.user_of(snapshot.customer)
        if user_id is None:
            log.info("payment_of_a_stranger", payment=payment_id)
            return None
        settled = apply(payment_id, user_id, version, snapshot)
        if settled is not None:
            return settled
    raise BillingUnavailable


def settle_payment_intent(payment_intent: str) -> Payment | None:
    """Settle it by way of its invoice, where it pays one."""
    payments = [settle(payment) for payment in payments_of_intent(payment_intent)]
    return payments[0]


def payments_of_intent(payment_intent: str) -> list[str]:
    """Return the ids of the payments that a payment intent pays: its invoices, or else itself."""
    known = Payment.objects.filter(payment_intent=payment_intent).values_list("pk", flat=True).first()
    if known is not None:
        return [known]
    return gateway.invoices_paid_by(payment_intent=payment_intent) or [payment_intent]


def settle_session(session_id: str) -> Payment | None:
    """Settle what a checkout session has led to. None: nothing yet, or nothing to pay."""
    session = gateway.retrieve_checkout_session(session_id)
    if invoice := shapes.id_of(session.get("invoice")):
        return settle(invoice)
    if intent := shapes.id_of(session.get("payment_intent")):
        return settle_payment_intent(intent)
    free = session.get("payment_status") == "no_payment_required" and session.get("mode") == "payment"
    return settle(session_id) if free and session.get("status") == "complete" else None


# ---------------------------------------------------------------- under the lock


def version_of(payment_id: str) -> int:
    found = Payment.objects.filter(pk=payment_id).values_list("version", flat=True).first()
    return found or 0


@transaction.atomic
def apply(payment_id: str, user_id: uuid.UUID, version: int, snapshot: Snapshot) -> Payment | None:
    """Take in a snapshot. None: somebody else was here since `version` was read."""
    Payment.objects.bulk_create([Payment(pk=payment_id, user_id=user_id)], ignore_conflicts=True)
    payment = Payment.objects.select_for_update(no_key=True).get(pk=payment_id)
    if payment.version != version:
        return None
    payment.version += 1
    is_new = payment.settled_at is None
    if is_new and (twin := _paid_by_the_same(payment, snapshot)):
        return twin
    if is_new and snapshot.paid:
        _freeze(payment, snapshot)
    if payment.settled_at is not None:
        refunded, disputed = (0, 0) if is_new else (payment.refunded, payment.disputed)
        _take_over(payment, snapshot)
        _post_difference(payment)
        if is_new:
            notices.paid(payment)
        notices.taken_back(payment, refunded_before=refunded, disputed_before=disputed)
    payment.save()
    return payment


def _paid_by_the_same(payment: Payment, snapshot: Snapshot) -> Payment | None:
    """Return the payment that its intent paid before: Stripe may attach an intent, once settled, to an invoice later.

    Two at the same moment meet in the constraint `payment_once_per_intent`, and the later one is tried again.
    """
    if not snapshot.payment_intent:
        return None
    return Payment.objects.filter(payment_intent=snapshot.payment_intent).exclude(pk=payment.pk).first()


def _take_over(payment: Payment, snapshot: Snapshot) -> None:
    """Record what is kept now. Where a refund and a dispute overlap, the dispute counts."""
    paid = payment.paid or 0
    payment.kept = min(snapshot.kept, paid)
    payment.disputed = min(snapshot.disputed, paid - payment.kept)


def _freeze(payment: Payment, snapshot: Snapshot) -> None:
    """Freeze what was bought, for how much, and what it gives, whatever staff make of the plan later."""
    payment.settled_at = timezone.now()
    payment.paid, payment.currency, payment.paid_at = snapshot.amount, snapshot.currency, snapshot.paid_at
    payment.payment_intent, payment.subscription = snapshot.payment_intent, snapshot.subscription
    payment.quantity, payment.credits = 1, 0
    if snapshot.is_proration:
        payment.kind = Payment.Kind.PRORATION
        return
    plan, quantity = plan_of(snapshot)
    payment.plan, payment.quantity = plan, quantity
    if snapshot.trial_end is not None:
        _freeze_trial(payment, plan, snapshot)
        return
    payment.kind = Payment.Kind(plan.kind)
    payment.credits = plan.credits * quantity
    payment.expires_at = _expiry(plan, snapshot)


def plan_of(snapshot: Snapshot) -> tuple[Plan, int]:
    """Return the one plan that was bought, and how many. Raises UnknownPrice where there is doubt."""
    quantities: dict[str, int] = {}
    for price, quantity in snapshot.bought:
        quantities[price] = quantities.get(price, 0) + quantity
    plans = list(Plan.objects.filter(stripe_price__in=quantities))
    if len(quantities) != 1 or len(plans) != 1:
        raise UnknownPrice(", ".join(sorted(quantities)) or "no price")
    return plans[0], quantities[plans[0].stripe_price]


def _expiry(plan: Plan, snapshot: Snapshot) -> datetime | None:
    if plan.credits_expire_days is not None:
        return snapshot.paid_at + timedelta(days=plan.credits_expire_days)
    if plan.kind == Plan.Kind.SUBSCRIPTION and snapshot.period_end is not None:
        return snapshot.period_end + RENEWAL_GRACE
    return None


def _freeze_trial(payment: Payment, plan: Plan, snapshot: Snapshot) -> None:
    """Freeze a trial. In Checkout the card is known only now: a second trial with it ends here, without credits."""
    payment.kind, payment.expires_at = Payment.Kind.TRIAL, snapshot.trial_end
    if trial.give(user_id=payment.user_id, fingerprint=snapshot.fingerprint, holder=snapshot.trial_holder):
        payment.credits = plan.credits if plan.trial_credits is None else plan.trial_credits
        if _trials_before(payment).exists():
            payment.credits = 0
    else:
        customers.enqueue(
            CustomerChange.Kind.END_SUBSCRIPTION, user_id=payment.user_id, subscription=snapshot.subscription
        )


def _trials_before(payment: Payment) -> QuerySet[Payment]:
    """Return earlier trials of the same subscription: Stripe makes an invoice of nothing whenever staff prolong one.
    Two are not frozen at once, since `trial.give` locks the claim."""
    of_subscription = Payment.objects.filter(subscription=payment.subscription, kind=Payment.Kind.TRIAL)
    return of_subscription.exclude(pk=payment.pk)


# ---------------------------------------------------------------- the ledger


def worth(payment: Payment) -> int:
    """Return what a payment is worth now, in credits, rounded down. All of it where nothing had to be paid."""
    credits = payment.credits or 0
    return credits * (payment.kept or 0) // payment.paid if payment.paid else credits


def _post_difference(payment: Payment) -> None:
    """Post the grant first, whole, so that the lots are the same in whatever order events came; then what is too much.

    A chargeback takes no more than there is to take, so of credits that have expired less than the difference.
    """
    try:
        if payment.granted_by is None:
            _grant(payment)
        if payment.granted_by is not None:
            _correct(payment, worth(payment) - posted(payment))
    except UserNotFound:
        log.info("payment_of_an_erased_user", payment=payment.pk)


def _grant(payment: Payment) -> None:
    """Grant what was bought, if it gives credits, or where what was bought is over before it was seen."""
    if not payment.credits or (payment.expires_at and payment.expires_at <= timezone.now()):
        return
    row = ledger.add(
        user_id=payment.user_id,
        amount=payment.credits,
        type=GIVES[Payment.Kind(payment.kind)],
        expires_at=payment.expires_at,
        call=_call(payment, "grant"),
    )
    payment.granted_by = row.pk


def _correct(payment: Payment, difference: int) -> None:
    if not difference or payment.granted_by is None:
        return
    payment.version += 1
    verb = ledger.restore if difference > 0 else ledger.charge_back
    verb(
        user_id=payment.user_id,
        granted_by=payment.granted_by,
        amount=abs(difference),
        call=_call(payment, "restore" if difference > 0 else "charge_back"),
    )


def posted(payment: Payment) -> int:
    """Return the sum of a payment's journal rows."""
    rows = CreditTransaction.objects.filter(
        Q(pk=payment.granted_by) | Q(refund_of=payment.granted_by, type=TransactionType.CHARGEBACK),
        holder_id=payment.user_id,
    )
    return int(rows.aggregate(total=Sum("amount"))["total"] or 0)


def _call(payment: Payment, operation: str) -> Call:
    key = f"{payment.pk}:{payment.version}"
    return Call(
        service=SERVICE,
        key=key,
        request=request_bytes(operation, path=key, fields={}),
        reference=payment.pk,
    )

"""Freeze what each line of a payment gives, once, by the plan of its price, under the lock of the payment's row."""

from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from billing import customers
from billing.models import CustomerChange, Payment, PaymentLine, Plan, Request
from billing.models.catalogue import plan_of
from billing.settlement import trial
from billing.settlement.shares import Share, shares
from billing.stripe.snapshots import Collection, Line, Snapshot

Kind = PaymentLine.Kind


def take_over(payment: Payment, snapshot: Snapshot) -> list[PaymentLine]:
    """Record what each line is and what is kept for it. A payment settled by an earlier version stays one line.

    A line returned with `is_bought` was paid for, whatever is left of that by now.
    """
    stored = {row.line: row for row in payment.lines.select_related("plan")}
    found = shares(snapshot)
    if found and not stored and payment.kind != Payment.Kind.OPEN:
        stored[""] = of_earlier_version(payment)
    if whole := stored.get(""):
        whole.covered = min(payment.kept or 0, whole.due)
        whole.is_bought = True
        return [_saved(whole)]
    given = {line.id: line for line in snapshot.lines}
    return [
        _saved(_row(payment, stored.get(key), given[key], share, snapshot)) for key, share in found.items()
    ]


def of_earlier_version(payment: Payment) -> PaymentLine:
    """Return the line that stands for all of a payment settled before there were lines."""
    return PaymentLine(
        payment=payment,
        kind=payment.kind,
        plan=payment.plan,
        price=payment.plan.stripe_price if payment.plan else "",
        quantity=payment.quantity or 0,
        credits=payment.credits or 0,
        due=payment.paid or 0,
        expires_at=payment.expires_at,
        granted_by=payment.granted_by,
    )


def _saved(row: PaymentLine) -> PaymentLine:
    row.save()
    return row


def _row(
    payment: Payment, row: PaymentLine | None, line: Line, share: Share, snapshot: Snapshot
) -> PaymentLine:
    row = row or PaymentLine(payment=payment, line=line.id, price=line.price, due=share.due)
    row.covered = min(share.covered, row.due)
    row.is_bought = not row.due or share.received > 0
    if row.kind == Kind.OPEN:
        _freeze(row, line, snapshot)
    return row


def _freeze(row: PaymentLine, line: Line, snapshot: Snapshot) -> None:
    """Freeze what was bought, whatever staff do to the plan later. If no plan has the price, the line stays open."""
    row.quantity = line.quantity
    plan = _sold(row, line, snapshot)
    if plan is None:
        is_nothing = line.is_declared_nothing or not (line.price or row.due)
        row.kind = Kind.NOTHING if is_nothing else Kind.OPEN
        return
    row.plan, row.kind, row.credits = plan, Kind(plan.kind), plan.credits * line.quantity
    if line.is_proration:
        row.kind, row.credits = Kind.PRORATION, _prorated(plan, line)
    elif snapshot.trial_end is not None and not line.bare:
        row.kind, row.credits = Kind.TRIAL, _of_trial(row, plan, snapshot)


def _prorated(plan: Plan, line: Line) -> int:
    """Return the credits for a part of a plan's price: at the plan's rate, and at least one unless either is 0."""
    return (
        max(1, plan.credits * line.bare // plan.amount)
        if plan.amount and plan.credits and line.bare > 0
        else 0
    )


def _sold(row: PaymentLine, line: Line, snapshot: Snapshot) -> Plan | None:
    """Return the plan on the terms of its offer if it was bought here, else as it is now, as for a renewal."""
    offer, plan = _offer(row, snapshot), plan_of(line.price)
    if offer is not None and (offer.stripe_price == line.price or offer == plan):
        return offer
    return plan


def _offer(row: PaymentLine, snapshot: Snapshot) -> Plan | None:
    """Return the plan as it was offered to the buyer, or None.

    A change of plan is known by the invoice that billed it.
    """
    offers = Request.objects.filter(plan__isnull=False).select_related("plan")
    if snapshot.is_change:
        found = offers.filter(stripe_object=row.payment_id).first()
    else:
        found = offers.filter(pk=snapshot.request).first() if snapshot.request else None
    if found is None or found.plan is None:
        return None
    return found.plan.on_terms(found.terms or {"credits": found.credits})


def _of_trial(row: PaymentLine, plan: Plan, snapshot: Snapshot) -> int:
    """Return the credits of a trial. In Checkout the card is known only now, so a second trial with it ends here.

    A free month that staff give to a paying user is not a trial: it gives nothing and ends nothing.
    """
    payment = row.payment
    if not snapshot.is_first or _trials_before(payment).exists():
        return 0
    if not trial.give(
        user_id=payment.user_id, fingerprint=snapshot.fingerprint, holder=snapshot.trial_holder
    ):
        customers.enqueue(
            CustomerChange.Kind.END_SUBSCRIPTION, user_id=payment.user_id, subscription=snapshot.subscription
        )
        return 0
    if snapshot.trial_end is None or snapshot.trial_end <= timezone.now():
        return 0  # over before it was seen, and nobody has paid for it
    return plan.credits if plan.trial_credits is None else plan.trial_credits


def _trials_before(payment: Payment) -> QuerySet[Payment]:
    """Return earlier trials of the same subscription: Stripe makes an invoice of 0 whenever staff prolong one.

    Two are never frozen at the same time, since `trial.give` locks the claim.
    """
    of_subscription = Payment.objects.filter(subscription=payment.subscription, kind=Payment.Kind.TRIAL)
    return of_subscription.exclude(pk=payment.pk)


# ---------------------------------------------------------------- how long they last


def expiry(row: PaymentLine, snapshot: Snapshot) -> datetime | None:
    """Return when credits posted now expire. A late payment's credits last as long as those of a punctual one."""
    offer, line = _offer(row, snapshot), _line_of(row, snapshot)
    plan = offer if offer is not None and offer == row.plan else row.plan
    if plan is None or row.kind == Kind.TRIAL:
        return snapshot.trial_end
    if plan.credits_expire_days is not None:
        return timezone.now() + timedelta(days=plan.credits_expire_days)
    if plan.kind != Plan.Kind.SUBSCRIPTION or line is None or line.period_end is None:
        return None
    length = line.period_end - (line.period_start or line.period_end)
    return max(line.period_end + grace(plan, snapshot.collection), timezone.now() + length)


def _line_of(row: PaymentLine, snapshot: Snapshot) -> Line | None:
    named = [line for line in snapshot.lines if line.id == row.line]
    return next(iter(named or [line for line in snapshot.lines if line.price == row.price]), None)


def grace(plan: Plan, collection: Collection) -> timedelta:
    """Return how long a period's credits outlive it: long enough for the next payment to arrive."""
    hours = {
        Collection.CARD: plan.grace_hours,
        Collection.DEBIT: plan.grace_debit_hours,
        Collection.INVOICE: plan.grace_invoice_hours,
    }
    return timedelta(hours=hours[collection])

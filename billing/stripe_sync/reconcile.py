"""Find what Stripe knows and this service was never told: read from Stripe's lists, and settled like everything else.

Every ten minutes, the list of events is read from where the last run ended (Stripe keeps 30 days of it); each night,
every movement of money of the last days, an hour at a time and from where it stopped (billing/stripe_sync/nightly.py).
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts.kit.leases import describe
from accounts.kit.problems import Problem
from accounts.models import User
from billing import customers
from billing.errors import EventInvalid
from billing.models import (
    BillingAccount,
    CustomerChange,
    CustomerLink,
    FormerPrice,
    Payment,
    PaymentLine,
    Plan,
    Progress,
    StrangerPayment,
)
from billing.settlement import lifecycle, posting, settle, strangers
from billing.stripe import gateway, sdk, shapes, snapshots
from billing.stripe_sync import intake

EVENTS = "events"
OVERLAP = timedelta(minutes=10)  # events may appear in the list late
FIRST_LOOK_BACK = timedelta(days=1)
WINDOW = timedelta(hours=1)
SECONDS_OF_A_RUN = 60.0
LIVE = (
    BillingAccount.Status.TRIALING,
    BillingAccount.Status.ACTIVE,
    BillingAccount.Status.PAST_DUE,
    BillingAccount.Status.FROZEN,
)

log = structlog.get_logger("billing")


@dataclass(frozen=True, slots=True)
class Found:
    """The result of checking a payment: its user, if known, what is posted, and why that is too little."""

    user_id: UUID | None
    posted: int = 0
    problem: str = ""
    lost_link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A payment whose credits were not as they should be.

    `problem` says why they still are not. `is_of_nobody` means that it was paid by an unknown customer, and is kept as
    such. `lost_link` is the customer who paid, and who by our mark is this user, although the link here is gone.
    """

    payment: str
    user_id: UUID | None = None
    posted: int = 0
    due: int = 0
    problem: str = ""
    is_of_nobody: bool = False
    lost_link: str = ""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "user_id": str(self.user_id) if self.user_id else None}


# ---------------------------------------------------------------- events


def catch_up(*, seconds: float = SECONDS_OF_A_RUN) -> int:
    """Store events that were never delivered; the inbox does the rest. Return how many were new."""
    if not sdk.is_configured():
        return 0
    until = time.monotonic() + seconds
    start = _read_until()
    found = 0
    while time.monotonic() < until:
        end = min(start + WINDOW, timezone.now())
        found += _store_events(start - OVERLAP, end)
        Progress.objects.update_or_create(name=EVENTS, defaults={"until": end})
        if end - start < WINDOW:
            break
        start = end
    if found:
        log.warning("events_never_delivered", count=found)
        intake.worker.tell()
    return found


def settle_open_lines() -> int:
    """Settle payments with lines whose price has a plan by now. Return how many."""
    known = Q(price__in=Plan.objects.values("stripe_price")) | Q(
        price__in=FormerPrice.objects.values("price")
    )
    prices = PaymentLine.objects.filter(known, kind=PaymentLine.Kind.OPEN)
    payments = list(prices.values_list("payment", flat=True).distinct())
    for payment in payments:
        try:
            settle.settle(payment)
        except Problem as problem:
            log.warning("payment_not_settled", payment=payment, reason=describe(problem))
    return len(payments)


def settle_customer(customer: str) -> int:
    """Settle all payments of a newly linked customer, and follow its subscription. Return how many payments."""
    user_id = customers.user_of(customer)
    if user_id is None:
        return 0
    payments = [
        row["id"] for row in gateway.list_invoices(customer=customer, most=None) if row["status"] == "paid"
    ]
    for session in gateway.list_checkout_sessions(customer=customer, most=None):
        if session.get("status") == "complete":
            payments += _payments_of_session(session)
    payments = list(dict.fromkeys(payments))
    for payment in payments:
        settle.settle(payment)
    StrangerPayment.objects.filter(customer=customer, assigned_at=None).update(
        user_id=user_id, assigned_at=Now()
    )
    lifecycle.follow(user_id)
    return len(payments)


def link_lost_customers() -> int:
    """Relink customers who are missing from a restored database and whose payments were seen. Return how many."""
    waiting = StrangerPayment.objects.filter(assigned_at=None).exclude(customer="")
    linked = 0
    for customer in waiting.values_list("customer", flat=True).distinct():
        if customers.user_of(customer) is not None or customers.adopt(customer) is not None:
            settle_customer(customer)
            linked += 1
    return linked


def _read_until() -> datetime:
    known = Progress.objects.filter(name=EVENTS).values_list("until", flat=True).first()
    return known or timezone.now() - FIRST_LOOK_BACK


def _store_events(start: datetime, end: datetime) -> int:
    return sum(_store_event(event) for event in gateway.each_event(created=range_of(start, end)))


def _store_event(event: dict[str, Any]) -> bool:
    body = json.dumps(event).encode()
    try:
        return intake.store(intake.parse(body), body)
    except EventInvalid:
        return False


def range_of(start: datetime, end: datetime) -> dict[str, int]:
    return {"gte": int(start.timestamp()), "lte": int(end.timestamp())}


# ---------------------------------------------------------------- payments


def forget_erased() -> None:
    """Queue the deletion of users who are erased here but not at Stripe: it failed, or they were linked in between."""
    erased = CustomerLink.objects.filter(user__status=User.Status.DELETED, deleted_at=None)
    for user_id in list(erased.values_list("pk", flat=True)):
        customers.enqueue(CustomerChange.Kind.DELETE, user_id=user_id)


def follow_overdue() -> int:
    """Follow accounts whose period is over without news of what came next. Return how many."""
    overdue = BillingAccount.objects.filter(status__in=LIVE, current_period_end__lt=timezone.now())
    users = list(overdue.values_list("pk", flat=True))
    for user_id in users:
        _noting(user_id=user_id)
    return len(users)


def _noting(*, user_id: UUID) -> None:
    try:
        lifecycle.follow(user_id)
    except Problem as problem:
        log.warning("subscription_not_followed", user=str(user_id), reason=describe(problem))


def reconcile(*, start: datetime, end: datetime, dry_run: bool = False) -> Iterator[Difference]:
    """Settle what was paid, refunded or disputed in this time, and yield what was not right before.

    With `dry_run`, only report. A payment that cannot be settled is a difference with a problem, whatever the reason:
    it must not keep the others waiting.
    """
    for payment in payments_of(start=start, end=end):
        difference = check(payment, dry_run=dry_run)
        if difference is not None:
            yield difference


def payments_of(*, start: datetime, end: datetime) -> list[str]:
    """Return the ids of the payments that something happened to, in an order that is the same when asked again.

    Anything that moved money has a balance transaction of that time, however old the invoice is. What was free, or paid
    outside Stripe or from the customer's balance, has none: it is found among the events, which Stripe keeps for 30
    days, and by its time of creation.
    """
    created = range_of(start, end)
    intents = _intents(gateway.each_balance_transaction(created=created))
    found = {payment for intent in sorted(intents) for payment in settle.payments_of_intent(intent)}
    found |= set(_told_by_events(created))
    for session in gateway.list_checkout_sessions(created=created, most=None):
        if session.get("status") == "complete":
            found |= set(_payments_of_session(session))
    found |= {
        row["id"] for row in gateway.list_invoices(created=created, most=None) if row["status"] == "paid"
    }
    return sorted(found)


def _intents(rows: Iterable[dict[str, Any]]) -> set[str]:
    """Return the intents of charges, refunds and disputes. Payouts, fees and transfers have none."""
    sources = [row["source"] for row in rows if isinstance(row.get("source"), dict)]
    return {intent for source in sources if (intent := shapes.id_of(source.get("payment_intent")))}


PAID = ("invoice.paid", "checkout.session.completed", "checkout.session.async_payment_succeeded")
NOTED = ("credit_note.created", "credit_note.voided")


def _told_by_events(created: dict[str, int]) -> Iterator[str]:
    for event in gateway.each_event(created=created, types=[*PAID, *NOTED]):
        item = event["data"]["object"]
        if event["type"] == "invoice.paid":
            yield item["id"]
        elif event["type"] in NOTED:
            yield shapes.id_of(item.get("invoice"))
        else:
            yield from _payments_of_session(item)


def _payments_of_session(session: dict[str, Any]) -> Iterator[str]:
    intent = shapes.id_of(session.get("payment_intent"))
    if invoice := shapes.id_of(session.get("invoice")):
        yield invoice
    elif intent:
        yield from settle.payments_of_intent(intent)
    elif session.get("mode") == "payment":
        yield session["id"]


def check(payment_id: str, *, dry_run: bool) -> Difference | None:
    before = _posted(payment_id)
    try:
        found = (_preview if dry_run else _settle)(payment_id)
    except Exception as error:  # noqa: BLE001
        return Difference(payment=payment_id, posted=before, due=before, problem=describe(error))
    if found is None:
        return None
    if found.user_id is None:
        return Difference(payment=payment_id, is_of_nobody=True)
    if before == found.posted and not found.problem and not found.lost_link:
        return None
    return Difference(
        payment=payment_id,
        user_id=found.user_id,
        posted=before,
        due=found.posted,
        problem=found.problem,
        lost_link=found.lost_link,
    )


def _posted(payment_id: str) -> int:
    payment = Payment.objects.filter(pk=payment_id).first()
    return posting.posted(payment) if payment is not None else 0


def _settle(payment_id: str) -> Found | None:
    """Settle a payment. One by an unknown customer is reported until staff say whose it is."""
    payment = settle.settle(payment_id)
    if payment is not None:
        return _result(payment)
    is_kept = StrangerPayment.objects.filter(pk=payment_id, assigned_at=None).exists()
    return Found(None) if is_kept else None


def _result(payment: Payment, *, lost_link: str = "") -> Found:
    """Return what is posted for a payment and, if that is less than what is kept for it, why.

    Erased users get nothing more.
    """
    posted = posting.posted(payment)
    due = sum(row.worth for row in payment.lines.all())
    is_erased = User.objects.filter(pk=payment.user_id, status=User.Status.DELETED).exists()
    problem = f"{due} credits have been paid for and kept" if posted < due and not is_erased else ""
    if payment.lines.filter(kind=PaymentLine.Kind.OPEN).exists():
        problem = "a price without a plan"
    return Found(payment.user_id, posted, problem, lost_link)


def _preview(payment_id: str) -> Found | None:
    """Return what settling would come to: it is done and rolled back. A customer's lost link is found, not restored."""
    snapshot = snapshots.take(payment_id)
    user_id, lost_link = strangers.known_user_of(payment_id, snapshot), ""
    if user_id is None and (claimant := customers.claimant(snapshot.customer)):
        user_id, lost_link = claimant.pk, snapshot.customer
    if user_id is None:
        return Found(None) if snapshot.paid else None
    with transaction.atomic():
        payment = settle.apply(payment_id, user_id, settle.version_of(payment_id), snapshot)
        found = None if payment is None else _result(payment, lost_link=lost_link)
        transaction.set_rollback(True)
    return found

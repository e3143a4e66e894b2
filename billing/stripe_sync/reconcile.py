"""What Stripe knows and we were never told: read from its lists, and settled like everything else.

Every ten minutes the list of events from where the last run ended (Stripe keeps 30 days of it); each night the
sessions, invoices, refunds and disputes of the last days, an hour of them at a time.
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
from django.utils import timezone

from accounts.kit import nudge
from accounts.kit.leases import describe
from accounts.kit.problems import Problem
from accounts.models import User
from billing import customers
from billing.errors import EventInvalid
from billing.models import BillingAccount, CustomerChange, CustomerLink, Payment, Progress
from billing.settlement import lifecycle, settle
from billing.stripe import gateway, sdk, shapes, snapshots
from billing.stripe_sync import intake

EVENTS = "events"
OVERLAP = timedelta(minutes=10)  # events may show up late in the list
FIRST_LOOK_BACK = timedelta(days=1)
WINDOW = timedelta(hours=1)
NIGHTLY_LOOK_BACK = timedelta(days=3)
SECONDS_OF_A_RUN = 60.0
LIVE = (
    BillingAccount.Status.TRIALING,
    BillingAccount.Status.ACTIVE,
    BillingAccount.Status.PAST_DUE,
    BillingAccount.Status.FROZEN,
)

log = structlog.get_logger("billing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A payment whose credits were not what they are to be. `problem`: why they still are not."""

    payment: str
    user_id: UUID | None = None
    posted: int = 0
    due: int = 0
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "user_id": str(self.user_id) if self.user_id else None}


# ---------------------------------------------------------------- events


def catch_up(*, seconds: float = SECONDS_OF_A_RUN) -> int:
    """Stores events that were never delivered; the inbox does the rest. How many were new."""
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


def _read_until() -> datetime:
    known = Progress.objects.filter(name=EVENTS).values_list("until", flat=True).first()
    return known or timezone.now() - FIRST_LOOK_BACK


def _store_events(start: datetime, end: datetime) -> int:
    return sum(_store_event(event) for event in gateway.each_event(created=_range(start, end)))


def _store_event(event: dict[str, Any]) -> bool:
    body = json.dumps(event).encode()
    try:
        return intake.store(intake.parse(body), body)
    except EventInvalid:
        return False


def _range(start: datetime, end: datetime) -> dict[str, int]:
    return {"gte": int(start.timestamp()), "lte": int(end.timestamp())}


# ---------------------------------------------------------------- payments


def nightly() -> None:
    """Hands each hour of the last days to a task of its own, and follows subscriptions that should have moved on."""
    if not sdk.is_configured():
        return
    now = timezone.now()
    start = now - NIGHTLY_LOOK_BACK
    while start < now:
        nudge.send("billing.tasks.reconcile_window", start.timestamp(), min(start + WINDOW, now).timestamp())
        start += WINDOW
    follow_overdue()
    forget_erased()


def forget_erased() -> None:
    """Users who are erased here and, since Stripe could not be told or they came in between, not yet there."""
    erased = CustomerLink.objects.filter(user__status=User.Status.DELETED, deleted_at=None)
    for user_id in list(erased.values_list("pk", flat=True)):
        customers.enqueue(CustomerChange.Kind.DELETE, user_id=user_id)


def follow_overdue() -> int:
    """Accounts whose period is over, though nobody has said how it went on. How many."""
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
    """Settles what was paid, refunded or disputed in this time, and says what was not right before.

    With `dry_run` it only says. A payment that cannot be settled is a difference with a problem, whatever the reason:
    it must not keep the others waiting.
    """
    seen: set[str] = set()
    for payment in payments_of(start=start, end=end):
        if payment not in seen:
            seen.add(payment)
            difference = _check(payment, dry_run=dry_run)
            if difference is not None:
                yield difference


def payments_of(*, start: datetime, end: datetime) -> Iterator[str]:
    """The ids of the payments that something happened to, as far as Stripe's lists tell."""
    created = _range(start, end)
    for session in gateway.list_checkout_sessions(created=created, most=None):
        if session.get("status") == "complete":
            yield from _payments_of_session(session)
    for invoice in gateway.list_invoices(created=created, most=None):
        if invoice.get("status") == "paid":
            yield invoice["id"]
    yield from _by_intents(gateway.list_refunds(created=created, most=None))
    yield from _by_intents(gateway.list_disputes(created=created, most=None))


def _payments_of_session(session: dict[str, Any]) -> Iterator[str]:
    intent = shapes.id_of(session.get("payment_intent"))
    if invoice := shapes.id_of(session.get("invoice")):
        yield invoice
    elif intent:
        yield from settle.payments_of_intent(intent)
    elif session.get("mode") == "payment":
        yield session["id"]


def _by_intents(items: Iterable[dict[str, Any]]) -> Iterator[str]:
    for item in items:
        if intent := shapes.id_of(item.get("payment_intent")):
            yield from settle.payments_of_intent(intent)


def _check(payment_id: str, *, dry_run: bool) -> Difference | None:
    before = _posted(payment_id)
    try:
        user_id, after = (_preview if dry_run else _settle)(payment_id)
    except Exception as error:  # noqa: BLE001
        return Difference(payment=payment_id, posted=before, due=before, problem=describe(error))
    if before == after or user_id is None:
        return None
    return Difference(payment=payment_id, user_id=user_id, posted=before, due=after)


def _posted(payment_id: str) -> int:
    payment = Payment.objects.filter(pk=payment_id).first()
    return settle.posted(payment) if payment is not None else 0


def _settle(payment_id: str) -> tuple[UUID | None, int]:
    payment = settle.settle(payment_id)
    return (None, 0) if payment is None else (payment.user_id, settle.posted(payment))


def _preview(payment_id: str) -> tuple[UUID | None, int]:
    """What settling would come to: it is done, and rolled back."""
    snapshot = snapshots.take(payment_id)
    user_id = customers.user_of(snapshot.customer)
    if user_id is None:
        return None, 0
    with transaction.atomic():
        payment = settle.apply(payment_id, user_id, settle.version_of(payment_id), snapshot)
        posted = 0 if payment is None else settle.posted(payment)
        transaction.set_rollback(True)
    return user_id, posted

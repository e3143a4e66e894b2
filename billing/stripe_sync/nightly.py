"""The nightly round: every movement of money of the last days, an hour at a time; then each day's sum against Stripe's.

An hour is a row (`Progress`) until it is done, with the last payment that was checked: if a run runs out of time or is
killed, the next one continues there. So the night with the most payments is checked to its end too.
"""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import structlog
from django.db.models.functions import Now
from django.utils import timezone

from accounts.kit import nudge
from accounts.kit.leases import describe
from accounts.kit.problems import Problem
from billing.models import Payment, PaymentDay, Progress, StrangerPayment
from billing.settlement import settle
from billing.stripe import gateway, sdk, shapes, snapshots
from billing.stripe_sync import reconcile

HOUR = timedelta(hours=1)
LOOK_BACK = timedelta(days=3)
DAYS = 7  # compared by their sums: a debit may take several
SECONDS_OF_A_RUN = 100.0
PREFIX = "hour "

log = structlog.get_logger("billing")


def begin() -> None:
    """Hand each hour of the last days, and each that was never finished, to its own task."""
    if not sdk.is_configured():
        return
    now = timezone.now()
    start = (now - LOOK_BACK).replace(minute=0, second=0, microsecond=0)
    while start < now:
        Progress.objects.get_or_create(name=_name(start), defaults={"until": start + HOUR})
        start += HOUR
    for name in (
        Progress.objects.filter(name__startswith=PREFIX).order_by("name").values_list("name", flat=True)
    ):
        send(_start_of(name))
    nudge.send("billing.tasks.compare_days")
    reconcile.link_lost_customers()
    reconcile.follow_overdue()
    reconcile.forget_erased()


def send(start: datetime) -> None:
    nudge.send("billing.tasks.reconcile_window", start.timestamp(), (start + HOUR).timestamp())


def look_at_hour(start: datetime, *, seconds: float = SECONDS_OF_A_RUN) -> int:
    """Check the payments of an hour, from where the last run stopped. Return how many were not right.

    Each of these is a warning in the log. If the time runs out, a task that continues is sent.
    """
    start = start.replace(minute=0, second=0, microsecond=0)
    until = time.monotonic() + seconds
    row, _ = Progress.objects.get_or_create(name=_name(start), defaults={"until": start + HOUR})
    different = 0
    for payment in reconcile.payments_of(start=start, end=start + HOUR):
        if payment <= row.after:
            continue
        if time.monotonic() > until:
            send(start)
            return different
        different += _look_at(payment)
        Progress.objects.filter(pk=row.pk).update(after=payment)
    row.delete()
    return different


def _look_at(payment: str) -> bool:
    difference = reconcile.check(payment, dry_run=False)
    if difference is None or difference.is_of_nobody:  # the latter have a metric, and a page in the admin
        return False
    log.warning("payment_was_not_right", **difference.as_json())
    return True


def _name(start: datetime) -> str:
    return f"{PREFIX}{start.astimezone(UTC):%Y-%m-%dT%H}"


def _start_of(name: str) -> datetime:
    return datetime.strptime(name.removeprefix(PREFIX), "%Y-%m-%dT%H").replace(tzinfo=UTC)


# ---------------------------------------------------------------- the sums of days


def compare_days(*, today: date | None = None) -> int:
    """Compare what cards paid on each of the last days, at Stripe and here. Return how many sums differ."""
    today = today or timezone.now().astimezone(UTC).date()
    days = [today - timedelta(days=number) for number in range(1, DAYS + 1)]
    return sum(map(_compare, days)) if sdk.is_configured() else 0


def _compare(day: date) -> int:
    try:
        sums = list(sums_of(day))
    except Problem as problem:
        log.warning("day_not_compared", day=str(day), reason=describe(problem))
        return 0
    for row in sums:
        PaymentDay.objects.update_or_create(
            day=day,
            currency=row.currency,
            defaults={"at_stripe": row.at_stripe, "here": row.here, "looked_at": Now()},
        )
        if row.at_stripe != row.here:
            log.warning(
                "day_differs", day=str(day), currency=row.currency, stripe=row.at_stripe, here=row.here
            )
    return sum(row.at_stripe != row.here for row in sums)


def sums_of(day: date) -> Iterator[PaymentDay]:
    """Yield, for each currency, what was charged on a day in UTC, and what was paid according to the payments here.

    Payments by unknown customers count as known. Payments outside Stripe are not compared: only their receiver knows
    of them.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    rows = gateway.each_balance_transaction(created=reconcile.range_of(start, start + timedelta(days=1)))
    charges = [charge for row in rows if (charge := row.get("source")) and _is_money(charge)]
    at_stripe: Counter[str] = Counter()
    of_intents: Counter[str] = Counter()
    for charge in charges:
        at_stripe[charge["currency"]] += int(charge["amount_captured"])
        of_intents[shapes.id_of(charge.get("payment_intent"))] += int(charge["amount_captured"])
    here = _known(of_intents)
    for currency in sorted(at_stripe):
        yield PaymentDay(day=day, currency=currency, at_stripe=at_stripe[currency], here=here[currency])


def _is_money(source: Any) -> bool:
    is_charge = isinstance(source, dict) and source.get("object") == "charge"
    return is_charge and source["status"] == "succeeded" and bool(source["captured"])


def _known(charged: Counter[str]) -> Counter[str]:
    """Add up what these intents paid according to the payments here, each once. Stripe is asked about unknown ones.

    Of an invoice that was paid in several payments, perhaps on several days, only these count.
    """
    direct = Payment.objects.filter(payment_intent__in=charged, settled_at__isnull=False)
    owners = [(row.payment_intent, row.pk) for row in direct]
    missing = charged.keys() - {"", *(intent for intent, _ in owners)}
    owners += [(intent, payment) for intent in missing for payment in settle.payments_of_intent(intent)]
    parts: Counter[str] = Counter()
    for intent, payment in owners:
        parts[payment] += charged[intent]
    paid = Payment.objects.filter(pk__in=parts, settled_at__isnull=False)
    known = {row.pk: (row.currency, row.paid or 0) for row in paid}
    known |= {row.pk: (row.currency, row.amount) for row in StrangerPayment.objects.filter(pk__in=parts)}
    sums: Counter[str] = Counter()
    for payment, (currency, amount) in known.items():
        is_part = parts[payment] < amount and len(snapshots.intents_of(payment)) > 1
        sums[currency] += parts[payment] if is_part else amount
    return sums

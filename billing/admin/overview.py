"""Revenue of the last 30 days and the current subscriptions, for the admin.

Each currency has a plot of its own: amounts in different currencies are never added.
"""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import Count, Sum
from django.db.models.functions import TruncDate

from accounts.admin import plots
from billing import money
from billing.models import BillingAccount, InboxEvent, Payment, Plan

SHOWN_DAYS = 30
MOST_PLANS = 20


def context(today: date) -> dict[str, Any]:
    first = today - timedelta(days=SHOWN_DAYS - 1)
    sums = _sums(datetime.combine(first, time(), UTC))
    by_currency = _by_currency_and_day(sums)
    days = [first + timedelta(days=number) for number in range(SHOWN_DAYS)]
    counts = BillingAccount.objects.exclude(subscription="").values_list("status").annotate(Count("pk"))
    return {
        "figures": {
            **{f"Net in {SHOWN_DAYS} days, {currency.upper()}": money.number(sum(by_day.values()), currency)
               for currency, by_day in by_currency.items()},
            f"Payments in {SHOWN_DAYS} days": f"{sum(row['number'] for row in sums):,}",
            "Events given up": f"{InboxEvent.objects.filter(dead_at__isnull=False).count():,}",
        },
        "plots": [
            plots.bars(
                [(day, by_day[day] // 10 ** money.decimals(currency)) for day in days],
                label=f"Net per day, whole {currency.upper()}",
            )
            for currency, by_day in by_currency.items()
        ],
        "statuses": [(BillingAccount.Status(status).label, count) for status, count in counts.order_by("status")],
        "plans": _by_plan(sums),
    }  # fmt: skip


def _sums(since: datetime) -> list[dict[str, Any]]:
    """Return the sums, by one scan of an index that has every column needed."""
    rows: Any = (
        Payment.objects.filter(paid_at__gte=since, paid__gt=0)
        .annotate(day=TruncDate("paid_at", tzinfo=UTC))
        .values("currency", "day", "plan_id")
        .annotate(number=Count("*"), kept=Sum("kept"))
        .order_by("currency")
    )
    return list(rows)


def _by_currency_and_day(sums: list[dict[str, Any]]) -> dict[str, dict[date, int]]:
    days: dict[str, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    for row in sums:
        days[row["currency"]][row["day"]] += int(row["kept"] or 0)
    return days


def _by_plan(sums: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the plans that earned most, highest first."""
    names = dict(Plan.objects.values_list("pk", "name"))
    plans: dict[tuple[Any, str], dict[str, Any]] = {}
    for row in sums:
        key = (row["plan_id"], row["currency"])
        empty = {"plan__name": names.get(key[0]), "currency": key[1], "number": 0, "kept": 0}
        plan = plans.setdefault(key, empty)
        plan["number"] += row["number"]
        plan["kept"] += int(row["kept"] or 0)
    return sorted(plans.values(), key=lambda plan: -plan["kept"])[:MOST_PLANS]

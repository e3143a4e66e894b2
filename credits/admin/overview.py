"""Credits over the last 30 days, for the admin: from the daily sums, never from the journal itself."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import F, Max, Sum
from django.http import HttpRequest
from django.urls import reverse

from accounts.admin import plots
from accounts.admin.sections import Section
from credits.models import CreditDay, TopUser, TransactionType

SHOWN_DAYS = 30
# The types that create credits; a refund returns existing ones, and so does a chargeback that was won.
ISSUING = (
    TransactionType.PURCHASE,
    TransactionType.SUBSCRIPTION,
    TransactionType.BONUS,
    TransactionType.TRIAL,
    TransactionType.ADJUSTMENT,
)
Sums = dict[date, int]


def context(today: date) -> dict[str, Any]:
    first = today - timedelta(days=SHOWN_DAYS - 1)
    counted = list(CreditDay.objects.filter(day__gte=first, day__lte=today))
    issued = _by_day(counted, lambda row: row.given if row.type in ISSUING else 0)
    used = _by_day(counted, lambda row: row.taken if row.type == TransactionType.USE else 0)
    expired = _by_day(counted, lambda row: row.taken if row.type == TransactionType.EXPIRY else 0)
    outstanding = _outstanding(first, today, counted)
    days = [first + timedelta(days=number) for number in range(SHOWN_DAYS)]
    return {
        "counted_at": CreditDay.objects.aggregate(last=Max("counted_at"))["last"],
        "figures": {
            "Outstanding": outstanding[-1][1],
            "Issued": sum(issued.values()),
            "Used": sum(used.values()),
            "Expired": sum(expired.values()),
        },
        "plots": [
            plots.bars([(day, issued[day]) for day in days], label="Issued per day"),
            plots.bars([(day, used[day]) for day in days], label="Used per day"),
            plots.bars([(day, expired[day]) for day in days], label="Expired per day"),
            plots.steps(outstanding, label="Outstanding at the end of each day"),
        ],
        "types": list(_by_type(counted)),
        "top": TopUser.objects.select_related("user").order_by("-used"),
    }


def section(*, request: HttpRequest, today: date) -> Section:
    """Return the section on credits for the admin's first page; their overview has more."""
    shown = context(today)
    return Section(
        title="Credits",
        figures={label: f"{amount:,}" for label, amount in shown["figures"].items()},
        plots=[*shown["plots"][:2], shown["plots"][-1]],
        links=[("Overview of credits", reverse("admin:credits_creditday_changelist"))],
        wide=True,
    )


def _by_day(counted: list[CreditDay], amount: Callable[[CreditDay], int]) -> Sums:
    sums: Sums = defaultdict(int)
    for row in counted:
        sums[row.day] += amount(row)
    return sums


def _outstanding(first: date, today: date, counted: list[CreditDay]) -> list[tuple[datetime, int]]:
    """Return the sum of all balances, debt included, on each day: everything ever given less everything ever taken."""
    before = CreditDay.objects.filter(day__lt=first).aggregate(sum=Sum(F("given") - F("taken")))["sum"]
    changes = _by_day(counted, lambda row: row.given - row.taken)
    total, points = int(before or 0), []
    for number in range((today - first).days + 1):
        day = first + timedelta(days=number)
        total += changes[day]
        points.append((datetime.combine(day, time(), UTC), total))
    return points


def _by_type(counted: list[CreditDay]) -> list[dict[str, Any]]:
    """Return the sums of the 30 days for each type that occurred."""
    sums: dict[str, list[int]] = {type_: [0, 0, 0] for type_ in TransactionType}
    for row in counted:
        sums[row.type] = [
            a + b for a, b in zip(sums[row.type], (row.count, row.given, row.taken), strict=True)
        ]
    return [
        {"type": TransactionType(type_).label, "count": count, "given": given, "taken": taken}
        for type_, (count, given, taken) in sums.items()
        if count
    ]

"""Revenue of the last 30 days and the subscriptions there are, for the admin. A currency of its own is a plot of its
own: amounts of different ones are never added."""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import Count, Sum
from django.db.models.functions import TruncDate

from accounts import plots
from billing import money
from billing.models import BillingAccount, InboxEvent, Payment

SHOWN_DAYS = 30


def context(today: date) -> dict[str, Any]:
    first = today - timedelta(days=SHOWN_DAYS - 1)
    paid = Payment.objects.filter(paid_at__gte=datetime.combine(first, time(), UTC), paid__gt=0)
    sums = _by_currency_and_day(paid)
    days = [first + timedelta(days=number) for number in range(SHOWN_DAYS)]
    counts = BillingAccount.objects.exclude(subscription="").values_list("status").annotate(Count("pk"))
    return {
        "figures": {
            **{f"Kept, {currency.upper()}": money.written(sum(by_day.values()), currency)
               for currency, by_day in sums.items()},
            "Payments": f"{paid.count():,}",
            "Events given up": f"{InboxEvent.objects.filter(dead_at__isnull=False).count():,}",
        },
        "plots": [
            plots.bars(
                [(day, by_day[day] // 10 ** money.decimals(currency)) for day in days],
                label=f"Kept per day, whole {currency.upper()}",
            )
            for currency, by_day in sums.items()
        ],
        "statuses": [(BillingAccount.Status(status).label, count) for status, count in counts.order_by("status")],
        "plans": paid.values("plan__name", "currency")
        .annotate(number=Count("pk"), kept=Sum("kept"))
        .order_by("-kept")[:20],
    }  # fmt: skip


def _by_currency_and_day(paid: Any) -> dict[str, dict[date, int]]:
    sums: dict[str, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    rows = (
        paid.annotate(day=TruncDate("paid_at", tzinfo=UTC))
        .values("currency", "day")
        .annotate(kept=Sum("kept"))
    )
    for row in rows:
        sums[row["currency"]][row["day"]] += int(row["kept"] or 0)
    return sums

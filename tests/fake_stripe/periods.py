"""Billing periods: a month keeps the anchor's day if it has that day."""

import calendar
from datetime import UTC, datetime

from tests.fake_stripe.wire import Json

DAY = 86_400


def end_of(start: int, recurring: Json, anchor: int) -> int:
    """Return the end of the period that starts at `start`."""
    count: int = recurring["interval_count"]
    if recurring["interval"] in {"day", "week"}:
        return start + count * DAY * (7 if recurring["interval"] == "week" else 1)
    months = count * (12 if recurring["interval"] == "year" else 1)
    return months_later(start, months, anchor)


def months_later(start: int, months: int, anchor: int) -> int:
    begin, first = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(anchor, UTC)
    index = begin.year * 12 + begin.month - 1 + months
    year, month = index // 12, index % 12 + 1
    day = min(first.day, calendar.monthrange(year, month)[1])
    return int(begin.replace(year=year, month=month, day=day).timestamp())

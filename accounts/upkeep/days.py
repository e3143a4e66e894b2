"""Count each day from the audit log in the background, so that no page reads millions of rows.

A day is recounted until it has been over for a while, when everything that began in it has been committed. Counting is
idempotent. The BRIN index on the audit rows' time finds a day's rows.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Model

from accounts.kit import clock
from accounts.models import AccountDay, AuditEvent

DAY = timedelta(days=1)
# Longer than any statement or idle transaction may last (settings), so that all that began in a day is committed by
# then.
STRAGGLING = timedelta(minutes=10)
PATIENCE = "SET LOCAL statement_timeout = '60s'"  # nobody waits for these statements

COUNT_DAY = """
WITH happened AS (
    SELECT type, count(*) AS count FROM accounts_auditevent
    WHERE created_at >= %(start)s AND created_at < %(end)s GROUP BY type
), counted (measure, count) AS (
    SELECT 'registered', coalesce(sum(count), 0) FROM happened WHERE type = 'registered'
    UNION ALL
    SELECT 'signed_in', coalesce(sum(count), 0) FROM happened WHERE type = 'signed_in'
    UNION ALL
    SELECT 'refused', coalesce(sum(count), 0) FROM happened WHERE type IN ('sign_in_failed', 'second_factor_wrong')
    UNION ALL
    SELECT 'mails', count(*) FROM accounts_outboxmessage WHERE created_at >= %(start)s AND created_at < %(end)s
)
INSERT INTO accounts_accountday (day, measure, count, final, counted_at)
SELECT %(day)s, measure, count, %(final)s, clock_timestamp() FROM counted
ON CONFLICT (day, measure) DO UPDATE SET count = excluded.count, final = excluded.final,
    counted_at = excluded.counted_at
WHERE NOT accounts_accountday.final
"""

# Counts Session.objects.live() by the index of unended sessions: those whose refresh token was used within its
# lifetime. The result differs by sessions that reach their absolute end while in use.
COUNT_SESSIONS = """
INSERT INTO accounts_accountday (day, measure, count, final, counted_at)
SELECT %(day)s, 'sessions', count(*), false, clock_timestamp() FROM accounts_session
WHERE ended_at IS NULL AND last_used_at > clock_timestamp() - %(life)s
ON CONFLICT (day, measure) DO UPDATE SET count = excluded.count, counted_at = excluded.counted_at
"""


def summarize() -> int:
    """Count every day that is not final, including today, each in its own transaction. Return how many."""
    now = clock.now().astimezone(UTC)
    counted = sum(_count(day, now) for day in open_days(AccountDay, first=_first_day, now=now))
    _count_sessions(now.date())
    return counted


def open_days(days: type[Model], *, first: Callable[[datetime], date], now: datetime) -> Iterator[date]:
    """Yield a table's days that are not final, including today. Days become final in order.

    `first` returns the first day to count, if no day is final yet.
    """
    final: Any = days._default_manager.filter(final=True)  # noqa: SLF001 -- Django's documented name
    last: date | None = final.order_by("-day").values_list("day", flat=True).first()
    day = last + DAY if last is not None else first(now)
    while day <= now.astimezone(UTC).date():
        yield day
        day += DAY


def _first_day(now: datetime) -> date:
    oldest = AuditEvent.objects.order_by("pk").values_list("created_at", flat=True).first()
    return (oldest or now).astimezone(UTC).date()


@transaction.atomic
def _count(day: date, now: datetime) -> int:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    final = start + DAY + STRAGGLING <= now
    with connection.cursor() as cursor:
        cursor.execute(PATIENCE)
        cursor.execute(COUNT_DAY, {"day": day, "start": start, "end": start + DAY, "final": final})
    return 1


@transaction.atomic
def _count_sessions(today: date) -> None:
    """Count the live sessions. They can only be counted now, so a day keeps its last count."""
    life = settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]
    with connection.cursor() as cursor:
        cursor.execute(PATIENCE)
        cursor.execute(COUNT_SESSIONS, {"day": today, "life": life})

"""What each day came to, counted from the journal in the background, so that no page has to read millions of rows.

A day is counted again and again until it is final: over for a while, and nothing left that is due within it. Since a
sweep posts each expiry at its own due time, a row can still be added to a past day as long as somebody's `due_at` lies
in it; once nobody's does, none can. Counting is idempotent, and two counters at once do no harm: a final day stays.
The journal's BRIN index on `at` finds the rows of a day.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction

from credits.models import CreditDay, CreditTransaction, TransactionType
from credits.posting import ledger_time

DAY = timedelta(days=1)
# Longer than any statement or idle transaction may last (settings): what began in a day has been committed by then.
STRAGGLING = timedelta(minutes=10)
RANKED_DAYS = 30
RANKED_USERS = 20
PATIENCE = "SET LOCAL statement_timeout = '60s'"  # nobody waits for these

COUNT_DAY = """
INSERT INTO credits_creditday (day, type, given, taken, count, final, counted_at)
SELECT %(day)s, types.type, coalesce(sums.given, 0), coalesce(sums.taken, 0), coalesce(sums.count, 0),
    %(final)s, credits_now()
FROM unnest(%(types)s::text[]) AS types(type)
LEFT JOIN (
    SELECT type, count(*) AS count, coalesce(sum(amount) FILTER (WHERE amount > 0), 0)::bigint AS given,
        coalesce(-sum(amount) FILTER (WHERE amount < 0), 0)::bigint AS taken
    FROM credits_credittransaction WHERE at >= %(start)s AND at < %(end)s GROUP BY type
) AS sums USING (type)
ON CONFLICT (day, type) DO UPDATE SET given = excluded.given, taken = excluded.taken, count = excluded.count,
    final = excluded.final, counted_at = excluded.counted_at
WHERE NOT credits_creditday.final
"""

SOMETHING_DUE = "SELECT EXISTS (SELECT FROM credits_usercredit WHERE due_at < %s)"

RANK_USERS = """
INSERT INTO credits_topuser (user_id, used, uses, counted_at)
SELECT user_id, -sum(amount), count(*), credits_now() FROM credits_credittransaction
WHERE type = 'use' AND at >= %s GROUP BY user_id ORDER BY 2 DESC, 1 LIMIT %s
"""


def summarize() -> int:
    """Counts every day that is not final yet, today among them, each in a transaction of its own. How many it did."""
    now = ledger_time()
    return sum(_count(day, now) for day in _open_days(now))


def _open_days(now: datetime) -> Iterator[date]:
    day, today = _first_open_day(now), now.astimezone(UTC).date()
    while day <= today:
        yield day
        day += DAY


def _first_open_day(now: datetime) -> date:
    """Days become final in their order, so all before the last final one are too."""
    last = CreditDay.objects.filter(final=True).order_by("-day").values_list("day", flat=True).first()
    if last is not None:
        return last + DAY
    # Ids follow time: the first row by id is of the first day, give or take the clocks that made them.
    oldest = CreditTransaction.objects.order_by("pk").values_list("at", flat=True).first()
    return (oldest - DAY if oldest else now).astimezone(UTC).date()


@transaction.atomic
def _count(day: date, now: datetime) -> int:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = start + DAY
    with connection.cursor() as cursor:
        cursor.execute(PATIENCE)
        cursor.execute(
            SOMETHING_DUE, [end]
        )  # before counting: what is posted meanwhile is then counted, or not final
        final = end + STRAGGLING <= now and not cursor.fetchone()[0]
        types = list(TransactionType)
        cursor.execute(COUNT_DAY, {"day": day, "start": start, "end": end, "types": types, "final": final})
    return 1


@transaction.atomic
def rank_users() -> None:
    """Counts anew who used most in the last 30 days."""
    since = ledger_time() - RANKED_DAYS * DAY
    with connection.cursor() as cursor:
        cursor.execute(PATIENCE)
        cursor.execute(
            "LOCK TABLE credits_topuser IN SHARE ROW EXCLUSIVE MODE"
        )  # one at a time; readers go on
        cursor.execute("DELETE FROM credits_topuser")
        cursor.execute(RANK_USERS, [since, RANKED_USERS])

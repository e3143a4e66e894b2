"""Sum up the journal by day, in the background, so that no page has to read millions of rows.

A day is counted repeatedly until it is final: it ended a while ago, and nothing due within it is left unposted. Since
a sweep posts each expiry at its own due time, a row can still be added to a past day as long as some user's `due_at`
lies in it, and none can afterwards. Counting is idempotent, and two counters at once do no harm: a final day stays.
The journal's BRIN index on `at` finds a day's rows.
"""

from datetime import UTC, date, datetime

from django.db import connection, transaction

from accounts.upkeep.days import DAY, PATIENCE, STRAGGLING, open_days
from credits.ledger import clock
from credits.models import CreditDay, CreditTransaction, TransactionType

RANKED_DAYS = 30
RANKED_USERS = 20

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

SOMETHING_DUE = "SELECT EXISTS (SELECT 1 FROM credits_usercredit WHERE due_at < %s)"

RANK_USERS = """
INSERT INTO credits_topuser (user_id, used, uses, counted_at)
SELECT holder_id, -sum(amount), count(*), credits_now() FROM credits_credittransaction
WHERE type = 'use' AND at >= %s GROUP BY holder_id ORDER BY 2 DESC, 1 LIMIT %s
"""


def summarize() -> int:
    """Count every day that is not final yet, including today, each in its own transaction. Return how many."""
    now = clock.now()
    return sum(_count(day, now) for day in open_days(CreditDay, first=_first_day, now=now))


def _first_day(now: datetime) -> date:
    # Ids follow time: the first row by id is of the first day, give or take the differences between clocks.
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
        )  # before counting: a row posted during the count is then either counted, or leaves the day open
        final = end + STRAGGLING <= now and not cursor.fetchone()[0]
        types = list(TransactionType)
        cursor.execute(COUNT_DAY, {"day": day, "start": start, "end": end, "types": types, "final": final})
    return 1


@transaction.atomic
def rank_users() -> None:
    """Recompute who used most in the last 30 days."""
    since = clock.now() - RANKED_DAYS * DAY
    with connection.cursor() as cursor:
        cursor.execute(PATIENCE)
        cursor.execute(
            "LOCK TABLE credits_topuser IN SHARE ROW EXCLUSIVE MODE"
        )  # one at a time; readers are not blocked
        cursor.execute("DELETE FROM credits_topuser")
        cursor.execute(RANK_USERS, [since, RANKED_USERS])

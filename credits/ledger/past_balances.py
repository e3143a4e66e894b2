"""One user's balance over time, in as few points as a plot can show, however long the history."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from django.db import connection

from credits.models import CreditTransaction

MOST_POINTS = 400

# One look-up in the index (holder_id, at) per point: a million rows cost no more than a thousand.
SAMPLES = """
SELECT moment.at, journal.balance
FROM generate_series(0, %(most)s - 1) AS number
CROSS JOIN LATERAL (SELECT %(first)s + (%(last)s - %(first)s) * (number::float8 / (%(most)s - 1)) AS at) AS moment
CROSS JOIN LATERAL (
    SELECT balance FROM credits_credittransaction
    WHERE holder_id = %(user)s AND at <= moment.at ORDER BY at DESC LIMIT 1
) AS journal
ORDER BY number
"""


def balance_over_time(user_id: uuid.UUID, *, most: int = MOST_POINTS) -> Sequence[tuple[datetime, int]]:
    """Return every balance in the journal or, if there are more than `most`, that many spread evenly over time.

    A peak between two points is lost; the last balance is always included.
    """
    rows = CreditTransaction.objects.filter(holder_id=user_id).order_by("at").values_list("at", "balance")
    all_of_them = list(rows[: most + 1])
    if len(all_of_them) <= most:
        return all_of_them
    first, last = all_of_them[0], rows.reverse()[0]
    with connection.cursor() as cursor:
        cursor.execute(SAMPLES, {"user": user_id, "first": first[0], "last": last[0], "most": most})
        return [*cursor.fetchall()[:-1], last]

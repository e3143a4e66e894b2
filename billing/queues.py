"""The state of billing's queues for /metrics (METRICS_COLLECTORS): name, waiting, oldest, dead."""

from collections.abc import Iterator

from django.db import connection

STANDING = """
SELECT count(*) FILTER (WHERE dead_at IS NULL),
    extract(epoch FROM clock_timestamp() - min(received_at) FILTER (WHERE dead_at IS NULL))::float8,
    count(*) FILTER (WHERE dead_at IS NOT NULL)
FROM billing_inboxevent WHERE done_at IS NULL
"""


# Left to staff: lines whose price has no plan, and money that is kept though nothing was given for it.
UNSETTLED = """
SELECT count(*) FILTER (WHERE line.kind = 'open'),
    extract(epoch FROM clock_timestamp() - min(line.created_at) FILTER (WHERE line.kind = 'open'))::float8,
    count(*) FILTER (WHERE line.kind <> 'open' AND (line.covered > 0 OR line.due = 0)),
    extract(epoch FROM clock_timestamp() - min(line.created_at) FILTER (WHERE line.kind <> 'open'))::float8
FROM billing_paymentline AS line JOIN billing_payment AS payment ON payment.id = line.payment_id
JOIN accounts_user AS person ON person.id = payment.user_id
WHERE (line.kind = 'open' OR (line.granted_by IS NULL AND line.credits > 0)) AND person.status <> 'deleted'
"""

STRANGERS = """
SELECT count(*), extract(epoch FROM clock_timestamp() - min(seen_at))::float8
FROM billing_strangerpayment WHERE assigned_at IS NULL
"""

DAYS = "SELECT count(*) FROM billing_paymentday WHERE at_stripe <> here"


def standings() -> Iterator[tuple[str, int, float, int]]:
    with connection.cursor() as cursor:
        cursor.execute(STANDING)
        waiting, oldest, dead = cursor.fetchone()
    yield "inbox", waiting, oldest or 0.0, dead
    with connection.cursor() as cursor:
        cursor.execute(UNSETTLED)
        unplanned, since, ungranted, ungranted_since = cursor.fetchone()
    yield "open_lines", 0, since or 0.0, unplanned
    yield "kept_without_credits", 0, ungranted_since or 0.0, ungranted
    with connection.cursor() as cursor:
        cursor.execute(STRANGERS)
        strangers, oldest = cursor.fetchone()
    yield "payments_of_strangers", strangers, oldest or 0.0, 0
    with connection.cursor() as cursor:
        cursor.execute(DAYS)
        (different,) = cursor.fetchone()
    yield "days_that_differ", 0, 0.0, different

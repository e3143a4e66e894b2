"""How the inbox of Stripe's events stands, for /metrics (METRICS_COLLECTORS): name, waiting, oldest, dead."""

from collections.abc import Iterator

from django.db import connection

STANDING = """
SELECT count(*) FILTER (WHERE dead_at IS NULL),
    extract(epoch FROM clock_timestamp() - min(received_at) FILTER (WHERE dead_at IS NULL))::float8,
    count(*) FILTER (WHERE dead_at IS NOT NULL)
FROM billing_inboxevent WHERE done_at IS NULL
"""


def standings() -> Iterator[tuple[str, int, float, int]]:
    with connection.cursor() as cursor:
        cursor.execute(STANDING)
        waiting, oldest, dead = cursor.fetchone()
    yield "inbox", waiting, oldest or 0.0, dead

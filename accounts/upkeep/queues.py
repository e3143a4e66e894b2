"""The state of accounts' queues for /metrics: name, waiting, seconds of the oldest, dead (METRICS_COLLECTORS)."""

from collections.abc import Iterator

from django.db import connection

STANDINGS = """
SELECT 'mails', count(*) FILTER (WHERE dead_at IS NULL),
    extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE dead_at IS NULL))::float8,
    count(*) FILTER (WHERE dead_at IS NOT NULL)
FROM accounts_outboxmessage WHERE sent_at IS NULL
UNION ALL
SELECT 'events', count(*) FILTER (WHERE dead_at IS NULL),
    extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE dead_at IS NULL))::float8,
    count(*) FILTER (WHERE dead_at IS NOT NULL)
FROM accounts_eventdelivery WHERE delivered_at IS NULL
"""

Standing = tuple[str, int, float, int]


def standings() -> Iterator[Standing]:
    with connection.cursor() as cursor:
        cursor.execute(STANDINGS)
        for name, waiting, oldest, dead in cursor.fetchall():
            yield name, waiting, oldest or 0.0, dead

"""The database's clock. Every row is compared with it, so hosts may disagree about the time."""

from datetime import datetime

from django.db import connection


def now() -> datetime:
    """Return the time of the call, even within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        time: datetime = cursor.fetchone()[0]
    return time

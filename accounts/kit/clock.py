"""The database's clock, by which every row is judged, so that hosts may disagree about the time."""

from datetime import datetime

from django.db import connection


def now() -> datetime:
    """Return the time of the call, within a transaction too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        time: datetime = cursor.fetchone()[0]
    return time

"""The ledger's clock is the database's: one for all processes, whatever their machines' clocks say."""

from datetime import datetime

from django.db import connection
from django.db.models import DateTimeField, Func

NOW = Func(function="credits_now", output_field=DateTimeField())


def now() -> datetime:
    """Return the ledger's time. To evaluate an account by it, read it after taking the account's lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT credits_now()")
        read: datetime = cursor.fetchone()[0]
        return read

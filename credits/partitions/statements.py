"""Run the statements of this room: few rows come back, and what stops others is waited for briefly."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from django.db import OperationalError, connection
from psycopg.errors import LockNotAvailable, QueryCanceled

TRIES = 200
LONGEST_PAUSE = 5.0  # seconds between two tries, when it has been tried for a while
BRIEFLY = (LockNotAvailable, QueryCanceled)

Result = TypeVar("Result")
Values = Sequence[Any] | Mapping[str, Any]


def run(statement: str, values: Values = ()) -> int:
    """Run one statement, and return how many rows it was about."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return int(cursor.rowcount)


def rows(query: str, values: Values = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values or None)
        return list(cursor.fetchall())


def row(query: str, values: Values = ()) -> tuple[Any, ...]:
    """Return the only row, or nothing but None in one of its length."""
    return rows(query, values)[0]


def column(query: str, values: Values = ()) -> list[Any]:
    return [value for (value,) in rows(query, values)]


def value(query: str, values: Values = ()) -> Any:
    return row(query, values)[0]


class NeverFree(Exception):
    """A lock that was waited for, a moment at a time, was never free."""


def patiently(attempt: Callable[[], Result]) -> Result:
    """Carry out what takes a lock that stops others, and gives up soon, until it had the lock. Raises NeverFree."""
    for tried in range(TRIES):
        try:
            return attempt()
        except OperationalError as error:
            if not isinstance(error.__cause__, BRIEFLY):
                raise
            time.sleep(random.uniform(0.3, 1) * min(LONGEST_PAUSE, 0.3 + tried / 10))  # noqa: S311
    raise NeverFree(
        "The table has been locked for too long: pg_stat_activity shows by which session. Run it again later."
    )

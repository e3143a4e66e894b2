"""Wait briefly, again and again, for locks that block others."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError
from psycopg.errors import LockNotAvailable, QueryCanceled

TRIES = 200
LONGEST_PAUSE = 5.0  # seconds between two attempts, after a while
BRIEFLY = (LockNotAvailable, QueryCanceled)

Result = TypeVar("Result")


class NeverFree(Exception):
    """A lock that was tried repeatedly, a moment at a time, was never free."""


def patiently(attempt: Callable[[], Result]) -> Result:
    """Repeat an attempt that takes a blocking lock with a short time-out until it succeeds. Raises NeverFree."""
    for tried in range(TRIES):
        try:
            return attempt()
        except OperationalError as error:
            if not isinstance(error.__cause__, BRIEFLY):
                raise
            time.sleep(random.uniform(0.3, 1) * min(LONGEST_PAUSE, 0.3 + tried / 10))  # noqa: S311
    raise NeverFree(
        "The table has been locked for too long: pg_stat_activity shows which session holds the lock. "
        "Try again later."
    )

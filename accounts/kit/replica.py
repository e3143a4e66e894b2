"""Read from a standby where slightly stale data will do, and from the primary otherwise.

Only data that never changes, or that nobody acts on at once, is read here: journal pages behind an old cursor, exports,
verification, plots. Nothing is routed automatically: each read that may use the replica says so.

A standby cannot be asked how stale it is: cut off from its primary, it believes that it has everything. So each process
asks the primary, at most once a second, for its write position, and before each read asks the standby for its replay
position. Once a standby has passed a position, it has everything that the primary had written by then. Several standbys
may share an address, so each connection asks its own.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections
from django.db.models import Model, QuerySet

from accounts.kit import metrics
from accounts.kit.resting import Rest

ALIAS = "replica"
LOOK_EVERY, LEFT_ALONE = 1.0, 5.0  # seconds
MARKS = 600  # one per look, so the maximum of DATABASE_REPLICA_LAG
# The identifier names the cluster; a position means nothing in another one.
WRITTEN = """
SELECT clock_timestamp(), (pg_current_wal_flush_lsn() - '0/0')::bigint, system_identifier FROM pg_control_system()
"""
REPLAYED = """
SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint, system_identifier FROM pg_control_system() WHERE pg_is_in_recovery()
"""

Found = TypeVar("Found")
Row = TypeVar("Row", bound=Model)
log = structlog.get_logger("replica")


@dataclass(frozen=True, slots=True)
class Mark:
    """The primary's write position, with the times by our clock and by its own, and its cluster."""

    looked: float
    at: datetime
    written: int
    cluster: int


class Follower:
    """Track the primary's write positions, and from them how far behind a standby is."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rest = Rest(LEFT_ALONE, clock=clock)
        self._looking = threading.Lock()
        self._marks: deque[Mark] = deque(maxlen=MARKS)
        self._looked = float("-inf")

    def behind(self) -> float:
        """Return an upper bound of the standby's lag, in seconds; infinite if it is unavailable."""
        passed = self._passed()
        return float("inf") if passed is None else self._clock() - passed.looked

    def has(self, moment: datetime | None) -> bool:
        """Return whether the standby is recent enough, and has everything done up to that moment."""
        most = settings.DATABASE_REPLICA_LAG
        passed = self._passed()
        if passed is None or self._clock() - passed.looked > most:
            return False
        return moment is None or moment <= passed.at - timedelta(seconds=most)

    def failed(self, error: Exception) -> None:
        """Avoid the standby for a while."""
        log.warning("outage", error=type(error).__name__)
        self._rest.begin()
        connections[ALIAS].close()

    def _passed(self) -> Mark | None:
        """Return the last mark that this connection's standby has passed."""
        if not self._rest.is_over():
            return None
        self._mark()
        marks = [*self._marks]
        replayed = self._replayed(marks[-1].cluster) if marks else 0
        return next((mark for mark in reversed(marks) if mark.written <= replayed), None)

    def _mark(self) -> None:
        """Ask the primary once a second; other threads use the last answer until then."""
        if self._clock() - self._looked < LOOK_EVERY or not self._looking.acquire(blocking=False):
            return
        try:
            self._looked = self._clock()
            with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
                cursor.execute(WRITTEN)
                self._marks.append(Mark(self._looked, *cursor.fetchone()))
        finally:
            self._looking.release()

    def _replayed(self, cluster: int) -> int:
        """Return the standby's replay position; 0 if it is unavailable or belongs to another cluster."""
        try:
            with connections[ALIAS].cursor() as cursor:
                cursor.execute(REPLAYED)
                found = cursor.fetchone()
        except (DatabaseError, InterfaceError) as error:
            self.failed(error)
            return 0
        if found is None or found[1] != cluster:
            self.failed(LookupError("not a standby of this database"))
            return 0
        return int(found[0])


follower = Follower()


class Lacking(Exception):
    """Raise it in `ask` to use the primary: the standby works, but is too far behind."""


def is_named() -> bool:
    return ALIAS in connections.databases


def read(ask: Callable[[str], Found], *, older_than: datetime | None = None) -> Found:
    """Return what `ask` finds in the database whose alias it is given: the standby, or else the primary.

    `ask` fetches all of its result, and may be called twice. The standby is used if it is at most DATABASE_REPLICA_LAG
    seconds behind and, with `older_than`, if rows from up to that time are the same in both.
    """
    if is_named() and follower.has(older_than):
        try:
            found = ask(ALIAS)
        except Lacking:
            pass
        except (DatabaseError, InterfaceError) as error:
            # It is down, cancelled the query to replay a change, or lacks a column of this version.
            follower.failed(error)
        else:
            metrics.count(metrics.REPLICA_READS, "replica")
            return found
    if is_named():
        metrics.count(metrics.REPLICA_READS, "primary")
    return ask(DEFAULT_DB_ALIAS)


def rows(query: QuerySet[Row]) -> list[Row]:
    """Return the rows of a query, as stale as `read` allows."""
    return read(lambda alias: list(query.using(alias)))

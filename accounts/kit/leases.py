"""Queues in tables. Workers claim rows under leases, and a row whose worker has died is claimed again after its lease.

Each lease is committed at once. Failed rows are retried with growing delays, and are dead after the last attempt.
"""

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar

from django.db import connection, models
from django.db.models import F
from django.db.models.functions import Now

# SKIP LOCKED: workers share the work instead of waiting for one another.
_CHOICE = """
  SELECT id FROM {table}
  WHERE {which} AND {done} IS NULL AND dead_at IS NULL
    AND (leased_until IS NULL OR leased_until <= clock_timestamp())
  ORDER BY {order} LIMIT %(most)s FOR UPDATE SKIP LOCKED
"""
_CLAIM = """
UPDATE {table} SET leased_until = clock_timestamp() + %(lease)s * interval '1 second', attempts = attempts + 1
WHERE id = ({choice}) RETURNING *
"""
_HAND_OVER = """
UPDATE {table} SET due_at = clock_timestamp() + %(again)s * interval '1 second'
WHERE id IN ({choice}) RETURNING id
"""
_DUE = "due_at <= clock_timestamp()"


class Queued(models.Model):
    """A row for workers to carry out: claimed under a lease, retried later, given up after a number of attempts."""

    DONE: ClassVar[str] = "done_at"  # the column with the time of completion

    leased_until = models.DateTimeField(null=True)
    due_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveSmallIntegerField(default=0)
    done_at = models.DateTimeField(null=True)
    dead_at = models.DateTimeField(null=True)
    last_error = models.CharField(
        max_length=200, blank=True, default=""
    )  # the error's kind and code, never its text

    class Meta:
        abstract = True


Row = TypeVar("Row", bound=Queued)


@dataclass(frozen=True, kw_only=True)
class Queue(Generic[Row]):
    """The rows of one table, the order in which they are carried out, and the policy for retries."""

    model: type[Row]
    order: str  # columns
    lease: timedelta = timedelta(minutes=1)  # longer than any row takes
    tries: int = 8  # about ten hours, with the delays below
    first_delay: float = (
        10.0  # seconds after the first failure; `growth` multiplies it after each further one
    )
    growth: float = 4.0
    longest_delay: float = 6 * 3600.0
    spread: float = 0.2  # the relative jitter, so that what failed together is not retried together

    def claim(self) -> Row | None:
        """Claim and return the next row that is due, exclusively until its lease ends; None if there is none."""
        return self._claim(which=_DUE)

    def claim_this(self, key: object) -> Row | None:
        """Claim the row with this key, due or not; None if it is done, dead, or leased by another worker."""
        return self._claim(which="id = %(key)s", key=key)

    def _claim(self, *, which: str, **values: object) -> Row | None:
        values |= {"most": 1, "lease": self.lease.total_seconds()}
        found: list[Row] = list(self._rows.raw(self._statement(_CLAIM, which=which), values))
        return found[0] if found else None

    def hand_over(self, *, most: int, again: timedelta) -> list[Any]:
        """Return the keys of rows that are due, for others to claim one by one; after `again` they are due again."""
        with connection.cursor() as cursor:
            values = {"most": most, "again": again.total_seconds()}
            cursor.execute(self._statement(_HAND_OVER, which=_DUE), values)
            return [key for (key,) in cursor.fetchall()]

    def _statement(self, template: str, *, which: str) -> str:
        table = connection.ops.quote_name(self.model._meta.db_table)  # noqa: SLF001
        choice = _CHOICE.format(table=table, which=which, order=self.order, done=self.model.DONE)
        return template.format(table=table, choice=choice)

    def finish(self, row: Row, **fields: Any) -> None:
        """Record that the row was carried out."""
        self._update(row, **{self.model.DONE: Now(), "last_error": "", **fields})

    def put_off(self, row: Row, *, seconds: float, reason: str) -> None:
        """Postpone the row, without counting this as one of its attempts."""
        self._update(
            row,
            leased_until=None,
            due_at=Now() + timedelta(seconds=seconds),
            attempts=F("attempts") - 1,
            last_error=reason,
        )

    def fail(self, row: Row, reason: str, *, for_good: bool = False) -> bool:
        """Postpone the row until its next attempt, or give it up and return True.

        The lease is kept, expired, to show that an attempt was made.
        """
        dead = for_good or row.attempts >= self.tries
        self._update(
            row,
            leased_until=Now(),
            due_at=Now() + self._delay(row.attempts),
            last_error=reason,
            **({"dead_at": Now()} if dead else {}),
        )
        return dead

    def _delay(self, attempts: int) -> timedelta:
        seconds = min(self.first_delay * self.growth ** (attempts - 1), self.longest_delay)
        return timedelta(seconds=seconds * random.uniform(1 - self.spread, 1 + self.spread))  # noqa: S311

    def _update(self, row: Row, **fields: Any) -> None:
        """Update the row, unless another worker has ended it since then."""
        self._rows.filter(pk=row.pk, dead_at=None, **{self.model.DONE: None}).update(**fields)

    def revive(self, row: Row, **fields: Any) -> None:
        """Give a dead row all its attempts again, starting now."""
        self._rows.filter(pk=row.pk).update(
            dead_at=None, attempts=0, due_at=Now(), leased_until=Now(), **fields
        )

    @property
    def _rows(self) -> Any:
        return self.model._default_manager  # noqa: SLF001


def describe(error: Exception) -> str:
    """Return the error's kind and code, never its text, because other services repeat what they were sent."""
    code = getattr(error, "default_code", "") or getattr(error, "code", "") or ""
    reason = (getattr(error, "extra", None) or {}).get("reason") or ""
    return " ".join(part for part in (type(error).__name__, str(code), str(reason)) if part)[:200]

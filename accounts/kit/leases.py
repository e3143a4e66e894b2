"""Queues in tables: workers share the rows by leases, each committed at once, so that one who dies leaves a row behind
that is claimed again when its lease has run out.

What fails is tried again, later and later, and is dead after its last try.
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
    """A row that workers carry out: claimed by a lease, tried again later, given up after a number of tries."""

    DONE: ClassVar[str] = "done_at"  # the column that says when it was carried out

    leased_until = models.DateTimeField(null=True)
    due_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveSmallIntegerField(default=0)
    done_at = models.DateTimeField(null=True)
    dead_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=200, blank=True, default="")  # its kind and code, never its text

    class Meta:
        abstract = True


Row = TypeVar("Row", bound=Queued)


@dataclass(frozen=True, kw_only=True)
class Queue(Generic[Row]):
    """The rows of one table, the order in which they are carried out, and how patient workers are with them."""

    model: type[Row]
    order: str  # columns
    lease: timedelta = timedelta(minutes=1)  # longer than one row may take
    tries: int = 8  # about ten hours, with the delays that follow
    first_delay: float = 10.0  # seconds after the first failure; after each other one so many times as long
    growth: float = 4.0
    longest_delay: float = 6 * 3600.0
    spread: float = 0.2  # by which part delays differ, so that what failed at once is not tried again at once

    def claim(self) -> Row | None:
        """Claim the next row that is due. For the time of its lease it is nobody else's."""
        return self._claim(which=_DUE)

    def claim_this(self, key: object) -> Row | None:
        """Claim the row with this key, due or not; None where it is done, dead, or another worker's."""
        return self._claim(which="id = %(key)s", key=key)

    def _claim(self, *, which: str, **values: object) -> Row | None:
        values |= {"most": 1, "lease": self.lease.total_seconds()}
        found: list[Row] = list(self._rows.raw(self._statement(_CLAIM, which=which), values))
        return found[0] if found else None

    def hand_over(self, *, most: int, again: timedelta) -> list[Any]:
        """Return the keys of rows that are due, for someone to claim each; after `again` they are due again."""
        with connection.cursor() as cursor:
            values = {"most": most, "again": again.total_seconds()}
            cursor.execute(self._statement(_HAND_OVER, which=_DUE), values)
            return [key for (key,) in cursor.fetchall()]

    def _statement(self, template: str, *, which: str) -> str:
        table = connection.ops.quote_name(self.model._meta.db_table)  # noqa: SLF001
        choice = _CHOICE.format(table=table, which=which, order=self.order, done=self.model.DONE)
        return template.format(table=table, choice=choice)

    def finish(self, row: Row, **fields: Any) -> None:
        """Note that the row is carried out."""
        self._update(row, **{self.model.DONE: Now(), "last_error": "", **fields})

    def put_off(self, row: Row, *, seconds: float, reason: str) -> None:
        """Give the row back for so long, as if nobody had claimed it: this was not one of its tries."""
        self._update(
            row,
            leased_until=None,
            due_at=Now() + timedelta(seconds=seconds),
            attempts=F("attempts") - 1,
            last_error=reason,
        )

    def fail(self, row: Row, reason: str, *, for_good: bool = False) -> bool:
        """Put the row off until its next try, or give it up and return True.

        The lease stays, as a mark that someone has begun.
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
        """Write to the row, unless another worker has ended it since."""
        self._rows.filter(pk=row.pk, dead_at=None, **{self.model.DONE: None}).update(**fields)

    def revive(self, row: Row, **fields: Any) -> None:
        """Give a dead row all its tries again, from now."""
        self._rows.filter(pk=row.pk).update(
            dead_at=None, attempts=0, due_at=Now(), leased_until=Now(), **fields
        )

    @property
    def _rows(self) -> Any:
        return self.model._default_manager  # noqa: SLF001


def describe(error: Exception) -> str:
    """Return the kind of error and its code, never its text: other services repeat what they were sent."""
    code = getattr(error, "default_code", "") or getattr(error, "code", "") or ""
    reason = (getattr(error, "extra", None) or {}).get("reason") or ""
    return " ".join(part for part in (type(error).__name__, str(code), str(reason)) if part)[:200]

"""How workers share rows (`Queued`): each is claimed by a lease that is committed at once, so that a worker that dies
leaves a row that is claimed again when its lease has run out.

What fails is tried again later and later, and is dead after its last try.
"""

import random
from datetime import timedelta
from typing import Any, TypeVar

from django.db import connection
from django.db.models.functions import Now

from billing.models import CustomerChange, InboxEvent

LEASE_SECONDS = 60  # longer than one row may take: billing/stripe_sync/inbox.py
TRIES = 8
FIRST_DELAY = 10.0
LONGEST_DELAY = 6 * 3600.0  # all tries together: about ten hours

Row = TypeVar("Row", InboxEvent, CustomerChange)

# Skipping what others are about to claim; everything else in the order given.
CLAIM = """
UPDATE {table} SET leased_until = clock_timestamp() + {lease} * interval '1 second', attempts = attempts + 1
WHERE id = (
  SELECT id FROM {table}
  WHERE done_at IS NULL AND dead_at IS NULL AND due_at <= clock_timestamp()
    AND (leased_until IS NULL OR leased_until <= clock_timestamp())
  ORDER BY {order} LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *
"""


def claim(model: type[Row], *, order: str) -> Row | None:
    """The next row to carry out, which is nobody else's for LEASE_SECONDS. `order` names columns."""
    table = connection.ops.quote_name(model._meta.db_table)  # noqa: SLF001
    statement = CLAIM.format(table=table, order=order, lease=LEASE_SECONDS)
    found: list[Row] = list(model.objects.raw(statement))
    return found[0] if found else None


def finish(row: InboxEvent | CustomerChange, **fields: Any) -> None:
    type(row).objects.filter(pk=row.pk).update(done_at=Now(), last_error="", **fields)


def fail(row: InboxEvent | CustomerChange, error: Exception, *, for_good: bool = False) -> bool:
    """Puts the row off, or gives it up: then True. The lease stays as a mark that somebody has begun (models)."""
    dead = for_good or row.attempts >= TRIES
    delay = min(FIRST_DELAY * 4 ** (row.attempts - 1), LONGEST_DELAY) * random.uniform(0.8, 1.2)  # noqa: S311
    type(row).objects.filter(pk=row.pk).update(
        leased_until=Now(),
        due_at=Now() + timedelta(seconds=delay),
        last_error=describe(error),
        **({"dead_at": Now()} if dead else {}),
    )
    return dead


def revive(row: InboxEvent | CustomerChange) -> None:
    """Another round of tries for what was given up, from now."""
    type(row).objects.filter(pk=row.pk).update(dead_at=None, attempts=0, due_at=Now(), leased_until=Now())


def describe(error: Exception) -> str:
    """The kind of error and its code, never its text: Stripe repeats what it was sent."""
    code = getattr(error, "default_code", "") or getattr(error, "code", "") or ""
    reason = (getattr(error, "extra", None) or {}).get("reason") or ""
    return " ".join(part for part in (type(error).__name__, str(code), str(reason)) if part)[:200]

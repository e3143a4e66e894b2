"""Post what has come due for idle users: expired grants and holds that ran out.

No balance depends on this, since every call and every read takes into account what is due. It keeps the journal, and
the events that follow from it, punctual for users who do nothing.
"""

import math
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db.models import F
from django.db.models.fields.tuple_lookups import TupleGreaterThan

from accounts.kit import metrics
from credits.ledger import clock
from credits.ledger.posting import sweep_user
from credits.models import UserCredit

log = structlog.get_logger("ledger")
Due = tuple[datetime, uuid.UUID]


@dataclass(frozen=True, slots=True)
class Swept:
    """One user who was swept; `error` names what prevented it, if anything."""

    user_id: uuid.UUID
    error: str | None = None


def due_users(limit: int, *, after: Due | None = None) -> list[Due]:
    """Return the users with something due, and since when, longest first."""
    rows = UserCredit.objects.filter(due_at__lte=clock.NOW)
    behind = rows if after is None else rows.filter(TupleGreaterThan((F("due_at"), F("pk")), after))
    found = behind.order_by("due_at", "pk").values_list("due_at", "pk")[:limit]
    return [(due_at, user_id) for due_at, user_id in found if due_at is not None]


def sweep(users: Sequence[uuid.UUID]) -> Iterator[Swept]:
    """Post what is due for these users, each in its own transaction. A failure does not hold up the others."""
    for user_id in users:
        try:
            sweep_user(user_id)
        except Exception as error:  # whatever it is, the other users' credits are due too
            metrics.count(metrics.UNEXPECTED, "sweep")
            log.error("sweep_failed", user_id=str(user_id), exc_info=error)
            yield Swept(user_id, type(error).__name__)
        else:
            yield Swept(user_id)


def sweep_due(*, seconds: float = math.inf, at_a_time: int = 1000) -> int:
    """Post what is due for all users, until the time is up. Return how many users were swept.

    Users that fail are passed over, however many there are.
    """
    until, done, last = time.monotonic() + seconds, 0, None
    while page := due_users(at_a_time, after=last):
        done += sum(swept.error is None for swept in sweep([user_id for _, user_id in page]))
        last = page[-1]
        if time.monotonic() > until:
            break
    return done

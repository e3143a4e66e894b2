"""Post what has come due for users who do nothing: expiries and holds that run out.

Nobody's balance depends on it, since every call and every read reckons what is due. It makes the journal, and the
events that follow from it, punctual for idle users.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import structlog

from accounts.kit import metrics
from credits.ledger import clock
from credits.ledger.posting import sweep_user
from credits.models import UserCredit

log = structlog.get_logger("ledger")


@dataclass(frozen=True, slots=True)
class Swept:
    """One user whose turn came; `error` says what was in the way, if anything."""

    user_id: uuid.UUID
    error: str | None = None


def due_users(limit: int) -> list[uuid.UUID]:
    """Return the users for whom something is due, longest first."""
    rows = UserCredit.objects.filter(due_at__lte=clock.NOW).order_by("due_at")
    return list(rows.values_list("pk", flat=True)[:limit])


def sweep(users: Sequence[uuid.UUID]) -> Iterator[Swept]:
    """Post what is due for these users, each in a transaction of its own. One that fails holds up nobody else."""
    for user_id in users:
        try:
            sweep_user(user_id)
        except Exception as error:  # whatever it is, the credits of the others are due too
            metrics.count(metrics.UNEXPECTED, "sweep")
            log.error("sweep_failed", user_id=str(user_id), exc_info=error)
            yield Swept(user_id, type(error).__name__)
        else:
            yield Swept(user_id)


def sweep_due(limit: int = 1000) -> int:
    """Post what is due for up to `limit` users. Returns how many users it swept."""
    return sum(swept.error is None for swept in sweep(due_users(limit)))

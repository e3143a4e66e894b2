"""Staff requests that a second person decides: once, in time, and nobody decides about themselves.

Credits' adjustments and billing's refunds are such rows. They have `user`, whom the request concerns, `requested_by`,
`requested_at`, `decision`, `decided_by` and `decided_at`. Up to a daily limit, staff act alone; days are UTC, and what
a second person approved does not count. A request that is undecided after APPROVAL_LIFETIME expires, because its
reasons may no longer hold.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC
from typing import Any, TypeVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Now, TruncDay

from accounts.models import User

Row = TypeVar("Row", bound=models.Model)


class Decision(models.TextChoices):
    DIRECT = "direct", "made at once"  # within the limit, so nobody was asked
    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"  # not decided in time


class DecisionRefused(Exception):
    """The request cannot be decided, or not by this person; the message, meant for people, says why."""


def submitted(rows: QuerySet[Row], wanted: Any, *, same: Sequence[str], what: str) -> Row | None:
    """Return the request that this form created earlier, or None.

    Until the transaction ends, this blocks other requests of the same member of staff, since two concurrent ones would
    each see the limit unused. Raise DecisionRefused if one of the attributes `same` differs.
    """
    User.objects.select_for_update(no_key=True).get(pk=wanted.requested_by_id)
    earlier = rows.filter(pk=wanted.pk).first()
    if earlier is not None and any(getattr(earlier, name) != getattr(wanted, name) for name in same):
        raise DecisionRefused(f"This form was already used for another {what}. Open it again.")
    return earlier


def left_today(rows: QuerySet[Any], staff_id: uuid.UUID, *, stake: Any, limit: int) -> int:
    """Return how much of the daily limit this person has not used up alone. `stake` is what a row counts."""
    today = rows.filter(
        requested_by=staff_id, decision=Decision.DIRECT, requested_at__gte=TruncDay(Now(), tzinfo=UTC)
    )
    return max(0, limit - int(today.aggregate(used=Sum(stake))["used"] or 0))


def decide(
    rows: QuerySet[Row], request_id: uuid.UUID, staff_id: uuid.UUID, decision: Decision, *, own: str
) -> Row:
    """Decide with a single statement, so that a second decision finds nothing left to decide.

    Raise DecisionRefused; `own` is its message if the beneficiary requested it or would approve it.
    """
    expire(rows)
    open_ones = rows.filter(pk=request_id, decision=Decision.PENDING)
    for_themselves = Q(user=staff_id) | Q(user=F("requested_by"))
    if decision == Decision.APPROVED and open_ones.filter(for_themselves).exists():
        raise DecisionRefused(own)
    others = open_ones.exclude(requested_by=staff_id).exclude(user=staff_id)
    decided: Any = {"decision": decision, "decided_by": staff_id, "decided_at": Now()}
    if not others.update(**decided):
        if open_ones.exists():
            raise DecisionRefused("You cannot decide on your own request.")
        is_late = rows.filter(pk=request_id, decision=Decision.EXPIRED).exists()
        raise DecisionRefused(
            "This request has expired. Submit it again."
            if is_late
            else "This request has already been decided."
        )
    return rows.get(pk=request_id)


def expire(rows: QuerySet[Any]) -> int:
    """Expire the requests that were not decided in time. Return how many."""
    old = rows.filter(decision=Decision.PENDING, requested_at__lte=Now() - settings.APPROVAL_LIFETIME)
    return old.update(decision=Decision.EXPIRED)

"""Set what a balance has beside its journal: reasons that block spending, and the threshold of the alert."""

import uuid

from django.db import transaction

from credits.ledger.posting import lock, retried


def block(*, user_id: uuid.UUID, reason: str) -> None:
    """Stop spending and new holds, until `unblock` with the same reason. Reasons add up. Raises UserNotFound."""
    retried(lambda: _set_blocked(user_id, reason, blocked=True))


def unblock(*, user_id: uuid.UUID, reason: str) -> None:
    """Take one reason away; others stay. Raises UserNotFound."""
    retried(lambda: _set_blocked(user_id, reason, blocked=False))


@transaction.atomic
def _set_blocked(user_id: uuid.UUID, reason: str, *, blocked: bool) -> None:
    row = lock(user_id)
    reasons = {*row.blocked, reason} if blocked else {*row.blocked} - {reason}
    row.blocked = sorted(reasons)
    row.save(update_fields=["blocked"])


def set_alert(*, user_id: uuid.UUID, threshold: int | None) -> None:
    """From now on, send one event `credits.low` each time the available credits fall below the threshold. None: no
    more. Raises UserNotFound.
    """
    retried(lambda: _set_alert(user_id, threshold))


@transaction.atomic
def _set_alert(user_id: uuid.UUID, threshold: int | None) -> None:
    row = lock(user_id)
    row.alert_below = threshold
    row.save(update_fields=["alert_below"])

"""Set the state of a balance outside its journal: the reasons that block spending, and the alert's threshold."""

import uuid

from django.db import transaction

from accounts import events
from accounts.errors import UserNotFound
from credits.ledger import announcing, clock
from credits.ledger.posting import LockedAccount, lock, retried
from credits.ledger.saving import save
from credits.models import UserCredit


def block(*, user_id: uuid.UUID, reason: str) -> None:
    """Stop spending and new holds until `unblock` with the same reason. Reasons add up. Raises UserNotFound."""
    retried(lambda: _set_blocked(user_id, reason, blocked=True))


def unblock(*, user_id: uuid.UUID, reason: str) -> None:
    """Remove one reason; others stay. Raises UserNotFound."""
    retried(lambda: _set_blocked(user_id, reason, blocked=False))


@transaction.atomic
def _set_blocked(user_id: uuid.UUID, reason: str, *, blocked: bool) -> None:
    row = lock(user_id)
    reasons = {*row.blocked, reason} if blocked else {*row.blocked} - {reason}
    row.blocked = sorted(reasons)
    row.save(update_fields=["blocked"])


def set_alert(*, user_id: uuid.UUID, threshold: int | None) -> None:
    """Emit one event `credits.low` each time available credits fall below the threshold; None turns this off.

    Setting a new threshold above what is available counts as a fall. Raises UserNotFound.
    """
    retried(lambda: _set_alert(user_id, threshold))


@transaction.atomic
def _set_alert(user_id: uuid.UUID, threshold: int | None) -> None:
    account = LockedAccount(lock(user_id), now=clock.now())
    account.sweep()
    save([account])  # measures what has come due against the old threshold
    row = account.row
    is_new = threshold != row.alert_below
    row.alert_below = threshold
    row.save(update_fields=["alert_below"])
    if is_new and threshold is not None and row.available < threshold:
        events.emit_all([announcing.low(account, row.available)])


def alert_of(user_id: uuid.UUID) -> int | None:
    """Return the threshold, or None if none is set. Raises UserNotFound."""
    row = UserCredit.objects.filter(pk=user_id, closed_at=None).only("alert_below").first()
    if row is None:
        raise UserNotFound
    return row.alert_below

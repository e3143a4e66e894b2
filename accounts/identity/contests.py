"""Contested accounts: the old mailbox took the account back after the new one had reset its password.

The undo takes effect at once; otherwise a thief with a session would only have to reset the password from a mailbox of
his own. But the thief may be the one who undoes: he handed someone his account, let them buy, and takes it back with
what it holds. So spending and buying stay blocked until staff decide.
"""

from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit, hooks
from accounts.audit import Event
from accounts.identity.status import StatusRefused, require_reason
from accounts.kit.client import Client
from accounts.models import AddressChange, AuditEvent, User


def is_contest(change: AddressChange) -> bool:
    """Return whether the password was reset since the change was confirmed, which only the new mailbox could do."""
    if change.confirmed_at is None:
        return False
    resets = AuditEvent.objects.filter(user=change.user_id, type=Event.PASSWORD_RESET)
    return resets.filter(created_at__gte=change.confirmed_at).exists()


def begin(user: User, *, client: Client) -> None:
    """Block spending and buying. Call it inside the undo's transaction, with the user's row locked."""
    hooks.block_spending(user.pk, reason=hooks.CONTESTED)
    User.objects.filter(pk=user.pk).update(contested_at=Now())
    audit.record(Event.CONTESTED, user_id=user.pk, client=client)


@transaction.atomic
def settle(*, user_id: UUID, reason: str, actor: str) -> None:
    """Allow spending and buying again, once staff have decided what becomes of the purchases. Raise StatusRefused."""
    require_reason(reason)
    if not User.objects.filter(pk=user_id, contested_at__isnull=False).update(contested_at=None):
        raise StatusRefused("This account is not contested.")
    hooks.unblock_spending(user_id, reason=hooks.CONTESTED)
    audit.record(Event.CONTEST_SETTLED, user_id=user_id, actor=actor, detail={"reason": reason})

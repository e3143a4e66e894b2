"""Accounts that two mailboxes claim: the old one took it back after someone had chosen its password by the new one.

The undo wins at once, or a thief with a session would only have to reset the password from a mailbox of his own. But it
may be the thief who undoes: he gave someone an account of his, let them buy, and takes it back with what is in it. So
nothing is spent or bought until staff have decided what becomes of that.
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
    """Return whether the password was reset, which only the new mailbox could, since the change was confirmed."""
    if change.confirmed_at is None:
        return False
    resets = AuditEvent.objects.filter(user=change.user_id, type=Event.PASSWORD_RESET)
    return resets.filter(created_at__gte=change.confirmed_at).exists()


def begin(user: User, *, client: Client) -> None:
    """Block spending and buying. Called inside the undo's transaction, with the user's row held."""
    hooks.block_spending(user.pk, reason=hooks.CONTESTED)
    User.objects.filter(pk=user.pk).update(contested_at=Now())
    audit.record(Event.CONTESTED, user_id=user.pk, client=client)


@transaction.atomic
def settle(*, user_id: UUID, reason: str, actor: str) -> None:
    """Let the user spend and buy again: staff have decided what was bought since. Raises StatusRefused."""
    require_reason(reason)
    if not User.objects.filter(pk=user_id, contested_at__isnull=False).update(contested_at=None):
        raise StatusRefused("This account is not contested.")
    hooks.unblock_spending(user_id, reason=hooks.CONTESTED)
    audit.record(Event.CONTEST_SETTLED, user_id=user_id, actor=actor, detail={"reason": reason})

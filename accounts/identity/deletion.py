"""Delete an account: closed at once, erased after a grace period (accounts/identity/erasure.py), kept by signing in.

During the grace period the user is invisible to others, no token is live and no credits can be spent; the address stays
reserved. Staff may suspend the user by then: the deletion goes on, but signing in no longer cancels it.
"""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts import audit, hooks, mail, sessions
from accounts.audit import Event
from accounts.errors import SessionRevoked
from accounts.kit.client import Client
from accounts.mail import tokens
from accounts.models import Session, User

Status = User.Status


class Closed(NamedTuple):
    """When a closed account will be erased, and how many credits its user then loses."""

    deletes_at: datetime
    forfeits: int


@transaction.atomic
def request(session: Session, *, client: Client) -> Closed:
    """Close the account of the session's user. Return when it will be erased, and the credits lost with it.

    Raise SessionRevoked if the account was closed or suspended, or all its sessions ended, a moment ago.
    """
    waiting = User.objects.filter(
        pk=session.user_id, status=Status.ACTIVE, token_version=session.user.token_version
    )
    if not waiting.update(status=Status.PENDING_DELETION, deletes_at=Now() + settings.DELETION_GRACE):
        raise SessionRevoked
    user = User.objects.get(pk=session.user_id)
    _close(user, session.pk, client)
    return Closed(user.deletes_at, hooks.forfeits(user.pk))


def disown(user: User, *, client: Client) -> None:
    """Close an account that the owner of its mailbox says is not theirs, and remove every way in that others set up.

    Its mailbox can still reset the password, and thereby keep the account. Call it with the user's row locked.
    """
    hooks.remove_sign_in_methods(user.pk, since=user.created_at)
    user.set_unusable_password()
    waiting = User.objects.filter(pk=user.pk, status=Status.ACTIVE)
    if waiting.update(
        status=Status.PENDING_DELETION, deletes_at=Now() + settings.DELETION_GRACE, password=user.password
    ):
        user.refresh_from_db()
        _close(user, None, client)


def _close(user: User, session_id: UUID | None, client: Client) -> None:
    sessions.end_all(user.pk, reason=sessions.EndReason.DELETED)
    tokens.void_all(user_id=user.pk)
    hooks.block_spending(user.pk, reason=hooks.DELETION)
    hooks.close(user.pk)
    event = audit.record(Event.DELETION_REQUESTED, user_id=user.pk, session_id=session_id, client=client)
    mail.notify(mail.DELETION_SCHEDULED, user=user, event=event)


def cancel(user: User, *, client: Client) -> bool:
    """Keep the account if its deletion is pending and its password and status are still those that `user` has.

    Call it in a transaction. Return False if there was nothing to cancel.
    """
    if user.status != Status.PENDING_DELETION and user.deletes_at is None:
        return False
    kept = Status.SUSPENDED if user.status == Status.SUSPENDED else Status.ACTIVE
    waiting = User.objects.filter(pk=user.pk, status=user.status, password=user.password)
    if not waiting.update(status=kept, deletes_at=None):
        return False
    hooks.unblock_spending(user.pk, reason=hooks.DELETION)
    audit.record(Event.DELETION_CANCELLED, user_id=user.pk, client=client)
    return True

"""Suspend and reactivate a user, by staff or from the command line, always with a reason."""

from uuid import UUID

from django.db import transaction
from django.db.models import Case, Value, When

from accounts import audit, events, hooks, sessions
from accounts.audit import Event
from accounts.mail import tokens
from accounts.models import User

Status = User.Status
LONGEST_REASON = 500


class StatusRefused(Exception):
    """The change is not possible; the message says why."""


@transaction.atomic
def suspend(*, user_id: UUID, reason: str, actor: str) -> None:
    """End every session and block spending, from the next request on. Raise StatusRefused.

    A pending deletion goes on, but its user can no longer return by signing in.
    """
    _change(user_id, reason, from_=(Status.ACTIVE, Status.PENDING_DELETION), to=Value(Status.SUSPENDED))
    sessions.end_all(user_id, reason=sessions.EndReason.SUSPENDED)
    tokens.void_all(user_id=user_id)
    hooks.block_spending(user_id, reason=hooks.SUSPENDED)
    audit.record(Event.SUSPENDED, user_id=user_id, actor=actor, detail={"reason": reason})
    events.emit("user.suspended", user_id=user_id, data={})


@transaction.atomic
def reactivate(*, user_id: UUID, reason: str, actor: str) -> None:
    """Let the user sign in and spend again; ended sessions stay ended, a pending deletion stays pending.

    Raise StatusRefused.
    """
    before = Case(When(deletes_at=None, then=Value(Status.ACTIVE)), default=Value(Status.PENDING_DELETION))
    _change(user_id, reason, from_=(Status.SUSPENDED,), to=before)
    hooks.unblock_spending(user_id, reason=hooks.SUSPENDED)
    audit.record(Event.REACTIVATED, user_id=user_id, actor=actor, detail={"reason": reason})
    events.emit("user.reactivated", user_id=user_id, data={})


def require_reason(reason: str) -> None:
    """Raise StatusRefused if the reason is blank or too long."""
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise StatusRefused(f"Give a reason of {LONGEST_REASON} characters or fewer.")


def _change(user_id: UUID, reason: str, *, from_: tuple[Status, ...], to: Case | Value) -> None:
    require_reason(reason)
    if User.objects.filter(pk=user_id, status__in=from_).update(status=to):
        return
    user = User.objects.filter(pk=user_id).first()
    now = "unknown" if user is None else user.get_status_display().lower()
    possible = " or ".join(one.label.lower() for one in from_)
    raise StatusRefused(f"The user must be {possible}, but is {now}.")

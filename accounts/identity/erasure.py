"""Erase a user: everything personal is removed everywhere; only the id remains, and identifies nobody.

The ledger with its proof is kept, as is the fact that events happened, and when. Other apps erase what they hold
through the hook `erase`, in the same transaction.
"""

from uuid import UUID

import structlog
from django.apps import apps
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts import events, hooks, sessions
from accounts.kit import metrics
from accounts.models import (
    AddressChange,
    AuditEvent,
    MailToken,
    OutboxMessage,
    PendingRegistration,
    Session,
    User,
)

log = structlog.get_logger("accounts")
AT_ONCE = 100


def erase_due() -> int:
    """Erase up to AT_ONCE users whose grace period is over, each in its own transaction. Return how many were erased.

    A user who cannot be erased holds up nobody else.
    """
    due = User.objects.filter(deletes_at__lte=Now()).order_by("deletes_at")
    return sum(_erased(user_id) for user_id in list(due.values_list("pk", flat=True)[:AT_ONCE]))


def _erased(user_id: UUID) -> bool:
    try:
        return erase(user_id, wait=True)
    except Exception as error:  # one failure must not stop the others
        metrics.count(metrics.UNEXPECTED, "erasure")
        log.error("erasure_failed", user_id=str(user_id), exc_info=error)
        return False


@transaction.atomic
def erase(user_id: UUID, *, wait: bool = False) -> bool:
    """Erase one user whose grace period is over; return False if they have signed in again.

    With `wait`, postpone it and return False while holds are open that may still be captured.
    """
    user = User.objects.locked().filter(pk=user_id, deletes_at__lte=Now()).first()
    if user is None:
        return False
    if wait and (until := hooks.erasure_waits_until(user.pk)):
        User.objects.filter(pk=user.pk).update(deletes_at=until)
        return False
    hooks.erase(user.pk)
    email = user.email
    _erase_person(user)
    sessions.end_all(user.pk, reason=sessions.EndReason.DELETED)
    _erase_traces(user)
    _erase_mails(user, email)
    _erase_admin_log(user, email)
    events.emit("user.deleted", user_id=user.pk, data={})
    return True


def _erase_person(user: User) -> None:
    user.set_unusable_password()
    User.objects.filter(pk=user.pk).update(
        email=None,
        email_verified_at=None,
        display_name="",
        locale="en",
        timezone="UTC",
        password=user.password,
        last_login=None,
        is_staff=False,
        is_superuser=False,
        status=User.Status.DELETED,
        deletes_at=None,
        contested_at=None,
        token_version=F("token_version") + 1,
    )
    user.groups.clear()
    user.user_permissions.clear()


def _erase_traces(user: User) -> None:
    """Remove where the user was and with which device, and keep that they were here."""
    Session.objects.filter(user=user).update(ip=None, user_agent="")
    AuditEvent.objects.filter(user=user).update(ip=None, asserted_ip=None, user_agent="", detail={})


def _erase_mails(user: User, email: str | None) -> None:
    """Delete an erased user's mail tokens and messages, and what others requested for the address."""
    OutboxMessage.objects.filter(Q(user=user) | Q(requested_email=email or "-")).delete()
    MailToken.objects.filter(Q(user=user) | Q(email=email)).delete()
    PendingRegistration.objects.filter(user=user).delete()
    AddressChange.objects.filter(Q(user=user) | Q(new_email=email) | Q(old_email=email)).delete()


def _erase_admin_log(user: User, email: str | None) -> None:
    """Erase the user from Django's admin log, if this process has it: it stores objects as text."""
    if not apps.is_installed("django.contrib.admin"):
        return
    from django.contrib.admin.models import LogEntry

    about = Q(object_id=str(user.pk))
    if email:
        about |= Q(object_repr__icontains=email) | Q(change_message__icontains=email)
    LogEntry.objects.filter(about).update(object_repr=str(user.pk), change_message="")

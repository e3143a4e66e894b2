"""Clean up after a restore: end what had ended since the backup was made.

A backup knows nothing of what came after it. Before any process serves from it, `manage.py after_restore FILE` applies
the file that `manage.py tombstones` wrote last (accounts/upkeep/tombstones.py). What the file cannot tell is ended for
everybody: sessions, mailed links, and queued mails.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts import factors, mail
from accounts.audit import Event
from accounts.front_ends import keys
from accounts.identity import deletion, erasure, status
from accounts.kit.client import Client
from accounts.mail import tokens
from accounts.models import AuditEvent, FactorReset, MailToken, OutboxMessage, ServiceEvent, Session, User
from accounts.service_keys import issuing
from accounts.sessions import of_staff
from accounts.upkeep.tombstones import CODES_CHANGED, NEW_PASSWORD, WAY_REMOVED

Status = User.Status
ACTOR = "restore"
FEED_GAP = 10**9  # more events than occur between two backups


def after_restore(rows: Iterable[dict[str, Any]]) -> Counter[str]:
    """End what must not be live in the restored database. Return how many of each kind were ended. Safe to repeat."""
    ended: Counter[str] = Counter()
    ended["sessions"] = Session.objects.end(Session.EndReason.LOGOUT_ALL)
    ended["admin_sessions"] = of_staff.SessionStore.get_model_class().objects.all().delete()[0]
    # The owner may have objected since the backup, and the link for that is now void.
    ended["factor_resets"] = FactorReset.objects.cancel()
    ended.update(_end_mails())
    for row in rows:
        ended[row["kind"]] += _APPLY[row["kind"]](row)
    _leave_a_gap()
    return ended


@transaction.atomic
def _end_mails() -> dict[str, int]:
    """Void links that may have been used since the backup, and end the mails that carried them or were sent since."""
    links = MailToken.objects.exclude(purpose=MailToken.Purpose.UNDO_EMAIL)
    waiting = OutboxMessage.objects.filter(sent_at=None, dead_at=None)
    return {
        "links": links.void(),
        "mails": waiting.update(
            sent_at=Now(), last_error="Restored from a backup: may have been sent before."
        ),
    }


@transaction.atomic
def _erase(row: dict[str, Any]) -> bool:
    """Erase the user, whatever their state in the backup: their grace period was over."""
    user_id = UUID(row["user"])
    User.objects.filter(pk=user_id).exclude(status=Status.DELETED).update(
        status=Status.PENDING_DELETION, deletes_at=Now()
    )
    return erasure.erase(user_id)


def _suspend(row: dict[str, Any]) -> bool:
    try:
        status.suspend(
            user_id=UUID(row["user"]), reason="Suspended when the backup was restored.", actor=ACTOR
        )
    except status.StatusRefused:  # already suspended, or the user is gone
        return False
    return True


def _revoke(row: dict[str, Any]) -> bool:
    try:
        return issuing.revoke(key_id=row["key"], actor=ACTOR)
    except issuing.KeyRefused:  # created after the backup, so it does not exist here
        return False


def _revoke_front_end(row: dict[str, Any]) -> bool:
    try:
        return keys.revoke(key_id=row["key"], actor=ACTOR)
    except keys.KeyRefused:  # created after the backup, so it does not exist here
        return False


@transaction.atomic
def _void_password(row: dict[str, Any]) -> bool:
    """Void a password that its owner has replaced since the backup, perhaps because it was known; mail a reset link."""
    user = User.objects.locked().filter(pk=UUID(row["user"])).first()
    if user is None or user.email is None or _is_known(row, NEW_PASSWORD):
        return False
    user.set_unusable_password()
    User.objects.filter(pk=user.pk).update(password=user.password, token_version=F("token_version") + 1)
    token = tokens.issue(MailToken.Purpose.RESET, user_id=user.pk, email=user.email)
    mail.enqueue(mail.PASSWORD_RESET_LINK, user_id=user.pk, token=token)
    return True


@transaction.atomic
def _remove_ways_in(row: dict[str, Any]) -> bool:
    """Remove factors and linked accounts removed since the backup, perhaps because they were lost or a stranger's."""
    if _is_known(row, WAY_REMOVED):
        return False
    user_id = UUID(row["user"])
    User.objects.locked().filter(pk=user_id).first()
    back = factors.of(user_id).exclude(pk__in=row["factors"])
    linked = SocialAccount.objects.filter(user=user_id).exclude(pk__in=row["google"])
    return bool(back.delete()[0] + linked.delete()[0])


@transaction.atomic
def _void_recovery_codes(row: dict[str, Any]) -> bool:
    """Remove the backup's codes, of which one was used or all were replaced since then; their owner makes new ones."""
    if _is_known(row, CODES_CHANGED):
        return False
    return bool(factors.of(UUID(row["user"]), Authenticator.Type.RECOVERY_CODES).delete()[0])


@transaction.atomic
def _keep_account(row: dict[str, Any]) -> bool:
    """Keep an account whose owner has cancelled the deletion since the backup."""
    user = User.objects.locked().filter(pk=UUID(row["user"])).first()
    if user is None or _is_known(row, [Event.DELETION_CANCELLED]):
        return False
    return deletion.cancel(user, client=Client(None, ""))


@transaction.atomic
def _demote(row: dict[str, Any]) -> int:
    """Remove the staff status and roles that people have lost since the backup. Return how many lost any."""
    kept = {UUID(one["user"]): one for one in row["users"]}
    return sum(_take_away(user, kept.get(user.pk)) for user in User.objects.filter(is_staff=True))


def _take_away(user: User, kept: dict[str, Any] | None) -> bool:
    lost_roles = Group.objects.filter(user=user).exclude(name__in=kept["roles"] if kept else ())
    lost = bool(lost_roles) or kept is None or (user.is_superuser and not kept["is_superuser"])
    user.groups.remove(*lost_roles)
    user.is_staff = kept is not None
    user.is_superuser = user.is_superuser and kept is not None and kept["is_superuser"]
    user.save(update_fields=["is_staff", "is_superuser"])
    return lost


def _is_known(row: dict[str, Any], types: Iterable[Event]) -> bool:
    """Return whether the backup was made after the event."""
    since = AuditEvent.objects.filter(user_id=row["user"], type__in=types)
    return since.filter(created_at__gte=datetime.fromisoformat(row["at"])).exists()


_APPLY: dict[str, Callable[[dict[str, Any]], int]] = {
    "erased": _erase,
    "suspended": _suspend,
    "revoked": _revoke,
    "front_end_revoked": _revoke_front_end,
    "new_password": _void_password,
    "ways_in": _remove_ways_in,
    "recovery_codes": _void_recovery_codes,
    "kept": _keep_account,
    "staff": _demote,
}


def _leave_a_gap() -> None:
    """Advance the feed's position past those that readers may have seen and the backup does not know."""
    newest = ServiceEvent.objects.exclude(position=None).order_by("-position").first()
    if newest is not None:
        ServiceEvent.objects.filter(pk=newest.pk).update(position=F("position") + FEED_GAP)

"""After a backup was restored: what had ended since it was made must not live again.

A backup knows nothing of what came after it. `manage.py tombstones` writes what must never come back, in ids only, to a
file that is kept beside the backups and written far more often; `manage.py after_restore FILE` brings the restored
database up to it, before any process serves from it. What the file cannot tell is ended for everybody: sessions, mailed
links, and mails that waited.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max
from django.db.models.functions import Now
from django.utils import timezone

from accounts import erasure, key_management, mail_tokens, mails, outbox, status
from accounts.audit import Event
from accounts.models import AuditEvent, MailToken, OutboxMessage, ServiceEvent, ServiceKey, Session, User

Status = User.Status
ACTOR = "restore"
REMEMBERED = timedelta(days=90)  # of new passwords: no backup that is older is restored into service
NEW_PASSWORD = (Event.PASSWORD_CHANGED, Event.PASSWORD_RESET, Event.EMAIL_CHANGE_UNDONE)
FEED_GAP = 10**9  # more events than come between two backups


class TombstonesUnreadable(Exception):
    """The file is not one that `manage.py tombstones` wrote, or not to its end."""


# ---------------------------------------------------------------- before


def tombstones() -> Iterator[dict[str, Any]]:
    """What must stay ended, as rows of the file. No address, no name; the last row says how many there are."""
    count = 0
    for row in _rows():
        count += 1
        yield row
    yield {"kind": "end", "rows": count, "at": timezone.now()}


def _rows() -> Iterator[dict[str, Any]]:
    for kind, state in (("erased", Status.DELETED), ("suspended", Status.SUSPENDED)):
        for user_id in User.objects.filter(status=state).values_list("pk", flat=True).iterator():
            yield {"kind": kind, "user": user_id}
    for key_id in ServiceKey.objects.exclude(revoked_at=None).values_list("pk", flat=True):
        yield {"kind": "revoked", "key": key_id}
    changed = AuditEvent.objects.filter(type__in=NEW_PASSWORD, created_at__gt=Now() - REMEMBERED)
    latest = changed.exclude(user=None).values("user").annotate(at=Max("created_at")).order_by()
    for row in latest.iterator():
        yield {"kind": "new_password", "user": row["user"], "at": row["at"]}


def read(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of a file. Raises TombstonesUnreadable."""
    try:
        rows = [json.loads(line) for line in lines]
        *rows, end = rows
        if end["kind"] != "end" or end["rows"] != len(rows):
            raise TombstonesUnreadable("The file is not complete: its last line does not fit the others.")
    except (ValueError, KeyError, TypeError) as error:
        raise TombstonesUnreadable("This is not a file that `manage.py tombstones` wrote.") from error
    return rows


# ---------------------------------------------------------------- after


def after_restore(rows: Iterable[dict[str, Any]]) -> Counter[str]:
    """Ends what the restored database holds and must not. Safe to repeat. How many of each were ended."""
    ended: Counter[str] = Counter()
    ended["sessions"] = Session.objects.filter(ended_at=None).update(
        ended_at=Now(), end_reason=Session.EndReason.LOGOUT_ALL
    )
    ended.update(_end_mails())
    for row in rows:
        ended[row["kind"]] += _APPLY[row["kind"]](row)
    _leave_a_gap()
    return ended


@transaction.atomic
def _end_mails() -> dict[str, int]:
    """Links that may have been used since; and the mails that bore them, or were sent since."""
    links = MailToken.objects.filter(used_at=None, voided_at=None).exclude(
        purpose=MailToken.Purpose.UNDO_EMAIL
    )
    waiting = OutboxMessage.objects.filter(sent_at=None, dead_at=None)
    return {
        "links": links.update(voided_at=Now()),
        "mails": waiting.update(
            sent_at=Now(), last_error="Restored from a backup: may have been sent before."
        ),
    }


@transaction.atomic
def _erase(row: dict[str, Any]) -> bool:
    """Whatever the backup says of the user: their grace was over."""
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
    except status.StatusRefused:  # it is, or nobody is left to suspend
        return False
    return True


def _revoke(row: dict[str, Any]) -> bool:
    try:
        return key_management.revoke(key_id=row["key"], actor=ACTOR)
    except key_management.KeyRefused:  # it was made after the backup: nobody has it
        return False


@transaction.atomic
def _void_password(row: dict[str, Any]) -> bool:
    """A password that its owner has replaced since, perhaps because somebody knew it, opens nothing again."""
    user = User.objects.select_for_update(no_key=True).filter(pk=UUID(row["user"])).first()
    if user is None or user.email is None or _is_known(row):
        return False
    user.set_unusable_password()
    User.objects.filter(pk=user.pk).update(password=user.password, token_version=F("token_version") + 1)
    token = mail_tokens.issue(MailToken.Purpose.RESET, user_id=user.pk, email=user.email)
    outbox.enqueue(mails.PASSWORD_RESET_LINK, user_id=user.pk, token=token)
    return True


def _is_known(row: dict[str, Any]) -> bool:
    """Whether the backup was made after the change."""
    since = AuditEvent.objects.filter(user_id=row["user"], type__in=NEW_PASSWORD)
    return since.filter(created_at__gte=datetime.fromisoformat(row["at"])).exists()


_APPLY = {"erased": _erase, "suspended": _suspend, "revoked": _revoke, "new_password": _void_password}


def _leave_a_gap() -> None:
    """Readers of the feed have seen positions that the backup does not know: those must not be given again."""
    newest = ServiceEvent.objects.exclude(position=None).order_by("-position").first()
    if newest is not None:
        ServiceEvent.objects.filter(pk=newest.pk).update(position=F("position") + FEED_GAP)

"""Write what a restored backup must not revive, as rows of a file: ids only, no address and no name.

`manage.py tombstones` writes it next to the backups, far more often than they are made. accounts/upkeep/restoration.py
applies it to a restored database.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from allauth.socialaccount.models import SocialAccount
from django.db.models import Max
from django.db.models.functions import Now
from django.utils import timezone

from accounts import factors
from accounts.audit import Event
from accounts.kit import pages
from accounts.models import AuditEvent, FrontEndKey, ServiceKey, User

Status = User.Status
REMEMBERED = timedelta(days=90)  # for changes: no older backup is restored into service
NEW_PASSWORD = (Event.PASSWORD_CHANGED, Event.PASSWORD_RESET, Event.EMAIL_CHANGE_UNDONE)
WAY_REMOVED = (
    Event.FACTOR_REMOVED,
    Event.FACTOR_RESET_APPLIED,
    Event.GOOGLE_UNLINKED,
    Event.EMAIL_CHANGE_UNDONE,
)
CODES_CHANGED = (Event.RECOVERY_CODE_USED, Event.RECOVERY_CODES_MADE)


class TombstonesUnreadable(Exception):
    """The file was not written by `manage.py tombstones`, or not completely."""


def rows() -> Iterator[dict[str, Any]]:
    """Yield the rows of the file; the last one says how many there are."""
    count = 0
    for row in _rows():
        count += 1
        yield row
    yield {"kind": "end", "rows": count, "at": timezone.now()}


def _rows() -> Iterator[dict[str, Any]]:
    yield from _ended()
    yield from _changed()
    yield {"kind": "staff", "users": list(_staff())}


def _ended() -> Iterator[dict[str, Any]]:
    """Yield what has ended, however long ago."""
    for kind, state in (("erased", Status.DELETED), ("suspended", Status.SUSPENDED)):
        for user in pages.by_key(User.objects.filter(status=state).only("pk")):
            yield {"kind": kind, "user": user.pk}
    for key_id in ServiceKey.objects.exclude(revoked_at=None).values_list("pk", flat=True):
        yield {"kind": "revoked", "key": key_id}
    for key_id in FrontEndKey.objects.exclude(revoked_at=None).values_list("pk", flat=True):
        yield {"kind": "front_end_revoked", "key": key_id}


def _changed() -> Iterator[dict[str, Any]]:
    """Yield changes that a backup may not contain, with their times."""
    for user_id, at in _latest(NEW_PASSWORD):
        yield {"kind": "new_password", "user": user_id, "at": at}
    for user_id, at in _latest(WAY_REMOVED):
        left = {
            "factors": list(factors.of(user_id).values_list("pk", flat=True)),
            "google": list(SocialAccount.objects.filter(user=user_id).values_list("pk", flat=True)),
        }
        yield {"kind": "ways_in", "user": user_id, "at": at, **left}
    for user_id, at in _latest(CODES_CHANGED):
        yield {"kind": "recovery_codes", "user": user_id, "at": at}
    for user_id, at in _latest([Event.DELETION_CANCELLED]):
        if User.objects.filter(pk=user_id, deletes_at=None).exclude(status=Status.DELETED).exists():
            yield {"kind": "kept", "user": user_id, "at": at}


def _latest(types: Iterable[Event]) -> Iterator[tuple[UUID, datetime]]:
    """Yield the users to whom one of these events happened, and when it last did."""
    happened = AuditEvent.objects.filter(type__in=types, created_at__gt=Now() - REMEMBERED)
    latest = happened.exclude(user=None).values_list("user").annotate(at=Max("created_at")).order_by()
    yield from latest.iterator()  # two columns of rare events, read at once because a page would cost as much


def _staff() -> Iterator[dict[str, Any]]:
    for user in User.objects.filter(is_staff=True).prefetch_related("groups"):
        roles = [group.name for group in user.groups.all()]
        yield {"user": user.pk, "is_superuser": user.is_superuser, "roles": roles}


def read(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Return the rows of a file. Raise TombstonesUnreadable."""
    try:
        rows = [json.loads(line) for line in lines]
        *rows, end = rows
        if end["kind"] != "end" or end["rows"] != len(rows):
            raise TombstonesUnreadable("The file is incomplete: its last line does not match the others.")
    except (ValueError, KeyError, TypeError) as error:
        raise TombstonesUnreadable("This is not a file that `manage.py tombstones` wrote.") from error
    return rows

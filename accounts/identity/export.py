"""Export everything stored about a person as one JSON document, section by section, however long the history."""

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from accounts.models import AddressChange, AuditEvent, PendingRegistration, Session, User

ROWS_AT_A_TIME = 1000

_PROFILE = (
    "id", "email", "email_verified_at", "display_name", "locale", "timezone", "status", "created_at", "last_login",
)  # fmt: skip
_SESSION = (
    "id", "created_at", "last_used_at", "expires_at", "ended_at", "end_reason", "methods", "ip",
    "user_agent",
)  # fmt: skip
_ACTIVITY = ("type", "created_at", "session_id", "ip", "asserted_ip", "user_agent")
_CHANGE = ("old_email", "new_email", "created_at", "confirmed_at", "ended_at")
_REGISTRATION = ("display_name", "locale", "created_at", "confirmed_at", "voided_at")

encoder = msgspec.json.Encoder()


def document(user: User) -> Iterator[bytes]:
    """Yield the document in pieces. Other apps add their sections through settings.ACCOUNT_EXPORTS."""
    yield b'{"user":' + _json(User.objects.filter(pk=user.pk).values(*_PROFILE).get())
    for name, items in _sections(user.pk):
        yield b',"' + name.encode() + b'":['
        yield from _items(items)
        yield b"]"
    yield b"}"


def _sections(user_id: UUID) -> Iterator[tuple[str, Iterable[Any]]]:
    yield (
        "registrations",
        _rows(PendingRegistration.objects.filter(user=user_id, founding=True), _REGISTRATION),
    )
    yield "address_changes", _rows(AddressChange.objects.filter(user=user_id), _CHANGE)
    yield "sessions", _rows(Session.objects.filter(user=user_id), _SESSION)
    yield "activity", _rows(AuditEvent.objects.filter(user=user_id), _ACTIVITY)
    for name, path in settings.ACCOUNT_EXPORTS.items():
        yield name, import_string(path)(user_id=user_id)


def _rows(rows: QuerySet[Any], fields: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield rows by keyset pagination, so that no cursor stays open while the reader reads."""
    last: Any = None
    while True:
        page = rows if last is None else rows.filter(pk__gt=last)
        found = list(page.order_by("pk").values("pk", *fields)[:ROWS_AT_A_TIME])
        for row in found:
            last = row.pop("pk")
            yield row
        if len(found) < ROWS_AT_A_TIME:
            return


def _items(items: Iterable[Any]) -> Iterator[bytes]:
    for number, item in enumerate(items):
        yield (b"," if number else b"") + _json(item)


def _json(item: Any) -> bytes:
    return encoder.encode(item)

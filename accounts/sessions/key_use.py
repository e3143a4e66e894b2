"""Track which keys have signed tokens that may still be presented, so that no key leaves its ring too early.

A token names its key, but tokens are not stored. Instead, each process that signs records the key in use, at most once
every five minutes; readers of the record add five minutes.
"""

import threading
import time
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models.functions import Now

from accounts.kit import clock
from accounts.models import Session, SigningKeyUse
from accounts.sessions.tokens import access_backend, refresh_backend

ACCESS, REFRESH = "JWT_KEYS", "REFRESH_TOKEN_KEYS"
NOTED_EVERY = timedelta(minutes=5)

_noted: dict[tuple[str, str], float] = {}
_lock = threading.Lock()


class Need(NamedTuple):
    """The reason a key must stay: a number of live sessions whose refresh token it may have signed, or a time."""

    until: datetime | None = None
    sessions: int = 0


def note() -> None:
    """Record the signing keys. Call it after signing a token; it writes after the caller's transaction commits."""
    signing = [(ACCESS, access_backend().signing_kid), (REFRESH, refresh_backend().signing_kid)]
    if due := _due(signing):
        transaction.on_commit(lambda: _record(due))


def need(ring: str, kid: str) -> Need | None:
    """Return what still needs the key to verify, or None. Whether it is the signing key is not considered."""
    use = SigningKeyUse.objects.filter(ring=ring, kid=kid).first()
    if use is None:
        return None
    signed_until = use.last_signed_at + NOTED_EVERY
    if ring == REFRESH:
        with_token = Session.objects.live().filter(door=Session.Door.API)
        count = with_token.filter(current_issued_at__lte=signed_until).count()
        return Need(sessions=count) if count else None
    until = signed_until + settings.SIMPLE_JWT["ACCESS_TOKEN_LIFETIME"]
    until += timedelta(seconds=settings.SIMPLE_JWT["LEEWAY"])
    return Need(until=until) if until > clock.now() else None


def forget_in_this_process() -> None:
    """Make the next token record its key, however recent the last record."""
    _noted.clear()


def _due(signing: list[tuple[str, str]]) -> list[tuple[str, str]]:
    now = time.monotonic()
    with _lock:
        due = [key for key in signing if now >= _noted.get(key, 0.0)]
        _noted.update(dict.fromkeys(due, now + NOTED_EVERY.total_seconds()))
    return due


def _record(keys: list[tuple[str, str]]) -> None:
    """Write the record. A failure must not refuse the sign-in; the next one tries again."""
    uses = [SigningKeyUse(ring=ring, kid=kid, last_signed_at=Now()) for ring, kid in keys]
    try:
        SigningKeyUse.objects.bulk_create(
            uses, update_conflicts=True, unique_fields=["ring", "kid"], update_fields=["last_signed_at"]
        )
    except DatabaseError:
        with _lock:
            for key in keys:
                _noted.pop(key, None)

"""Which keys have signed tokens that may still be presented: what must be known before a key leaves its ring.

A token names its key, but tokens are not stored. So each process notes, while it signs, that a key is in use: at most
every five minutes, and five minutes are added where this is read.
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
    """Why a key must stay: live sessions whose refresh token it may have signed, or a time."""

    until: datetime | None = None
    sessions: int = 0


def note() -> None:
    """Called when a pair of tokens has been signed. What it writes stands outside the caller's transaction."""
    signing = [(ACCESS, access_backend().signing_kid), (REFRESH, refresh_backend().signing_kid)]
    if due := _due(signing):
        transaction.on_commit(lambda: _record(due))


def need(ring: str, kid: str) -> Need | None:
    """Why the key cannot go yet, leaving aside that it may be the one that signs. None: nothing needs it."""
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
    """Let the next token be noted whatever was noted before."""
    _noted.clear()


def _due(signing: list[tuple[str, str]]) -> list[tuple[str, str]]:
    now = time.monotonic()
    with _lock:
        due = [key for key in signing if now >= _noted.get(key, 0.0)]
        _noted.update(dict.fromkeys(due, now + NOTED_EVERY.total_seconds()))
    return due


def _record(keys: list[tuple[str, str]]) -> None:
    """A sign-in is not refused for the sake of this note: the next one tries again."""
    uses = [SigningKeyUse(ring=ring, kid=kid, last_signed_at=Now()) for ring, kid in keys]
    try:
        SigningKeyUse.objects.bulk_create(
            uses, update_conflicts=True, unique_fields=["ring", "kid"], update_fields=["last_signed_at"]
        )
    except DatabaseError:
        with _lock:
            for key in keys:
                _noted.pop(key, None)

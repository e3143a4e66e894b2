"""Idempotency keys of refreshes, by which a client that lost a response shows that it made the first request.

They are stored as HMACs and never logged. Each is bound to its refresh token, so one digest says nothing about another.
"""

import secrets
from collections.abc import Iterator

from django.conf import settings
from django.utils.crypto import salted_hmac

from accounts.models import Session
from accounts.sessions.tokens import SessionRefreshToken


def digests(key: str, token: SessionRefreshToken) -> Iterator[bytes]:
    """Yield the digest to store, then those under older secrets, so that rotating SECRET_KEY breaks no retry."""
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        yield salted_hmac(
            "accounts.refresh.retry", f"{token.jti}:{key}", secret=secret, algorithm="sha256"
        ).digest()


def is_of(session: Session, key: str, token: SessionRefreshToken) -> bool:
    """Return whether the session was rotated with this key and token."""
    stored = bytes(session.retry_key or b"")
    return any(secrets.compare_digest(stored, digest) for digest in digests(key, token))

"""Idempotency keys of refreshes: a client that lost the answer shows that it asked before. Kept as HMACs, never logged.

Each is bound to its refresh token, so the digest of one says nothing about another.
"""

import secrets
from collections.abc import Iterator

from django.conf import settings
from django.utils.crypto import salted_hmac

from accounts.models import Session
from accounts.sessions.tokens import SessionRefreshToken


def digests(key: str, token: SessionRefreshToken) -> Iterator[bytes]:
    """Yield the digest that is stored, then those under older secrets: a rotation of them ends no retry."""
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        yield salted_hmac(
            "accounts.refresh.retry", f"{token.jti}:{key}", secret=secret, algorithm="sha256"
        ).digest()


def is_of(session: Session, key: str, token: SessionRefreshToken) -> bool:
    """Return whether the session was rotated with this key and token."""
    stored = bytes(session.retry_key or b"")
    return any(secrets.compare_digest(stored, digest) for digest in digests(key, token))

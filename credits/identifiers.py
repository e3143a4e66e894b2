"""UUIDv7 (RFC 9562, 5.7): ids of transactions, which follow time, so that the journal's index grows at one end."""

import hashlib
import secrets
import time
import uuid
from datetime import UTC, datetime

_RANDOM_BITS = 74


def uuid7() -> uuid.UUID:
    """Return a fresh id."""
    return _build(time.time_ns() // 1_000_000, secrets.randbits(_RANDOM_BITS))


def uuid7_of(user_id: uuid.UUID, at: datetime) -> uuid.UUID:
    """Return the id of a row that happens by itself: the same whoever posts it.

    No two rows of a user have the same microsecond; anything less would let two of them have the same id.
    """
    digest = hashlib.sha256(f"{user_id}|{at.astimezone(UTC).isoformat()}".encode()).digest()
    return _build(int(at.timestamp() * 1000), int.from_bytes(digest[:10]) >> (80 - _RANDOM_BITS))


def _build(milliseconds: int, random: int) -> uuid.UUID:
    high = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (random >> 62 & 0xFFF) << 64
    return uuid.UUID(int=high | 0b10 << 62 | random & (1 << 62) - 1)

"""UUIDv7 (RFC 9562, 5.7): ids of transactions, which follow time, so that the journal's index grows at one end."""

import hashlib
import secrets
import time
import uuid
from datetime import datetime

_RANDOM_BITS = 74


def uuid7() -> uuid.UUID:
    """A fresh id."""
    return _build(time.time_ns() // 1_000_000, secrets.randbits(_RANDOM_BITS))


def uuid7_of(at: datetime, *parts: object) -> uuid.UUID:
    """The id of what happens by itself: the same moment and the same lot give the same id, whoever posts it."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return _build(int(at.timestamp() * 1000), int.from_bytes(digest[:10]) >> (80 - _RANDOM_BITS))


def _build(milliseconds: int, random: int) -> uuid.UUID:
    high = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (random >> 62 & 0xFFF) << 64
    return uuid.UUID(int=high | 0b10 << 62 | random & (1 << 62) - 1)

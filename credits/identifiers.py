"""UUIDv7 (RFC 9562, 5.7): transaction ids that follow time, so that the journal's index grows at one end."""

import hashlib
import secrets
import time
import uuid
from datetime import UTC, datetime, timedelta

# The most between a row's time and the time in its id: clocks of database and applications, and waits for a lock.
SLACK = timedelta(days=1)
_RANDOM_BITS = 74


def uuid7() -> uuid.UUID:
    return _build(time.time_ns() // 1_000_000, secrets.randbits(_RANDOM_BITS))


def uuid7_of(holder_id: uuid.UUID, at: datetime) -> uuid.UUID:
    """Return the id of a row that no request causes: every process that posts it computes the same id.

    No two rows of a holder share a microsecond; with coarser times two of them could share an id.
    """
    digest = hashlib.sha256(f"{holder_id}|{at.astimezone(UTC).isoformat()}".encode()).digest()
    return _build(int(at.timestamp() * 1000), int.from_bytes(digest[:10]) >> (80 - _RANDOM_BITS))


def first_of(moment: datetime, *, away: timedelta = timedelta()) -> uuid.UUID:
    """Return a lower bound for the ids of `moment` plus `away`, and of any later time.

    The sum may exceed the range of `datetime`.
    """
    seconds = moment.timestamp() + away.total_seconds()
    return uuid.UUID(int=max(0, int(seconds * 1000)) << 80)


def time_of(identifier: uuid.UUID) -> float:
    """Return the time in an id, as seconds since 1970."""
    return (identifier.int >> 80) / 1000


def _build(milliseconds: int, random: int) -> uuid.UUID:
    high = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (random >> 62 & 0xFFF) << 64
    return uuid.UUID(int=high | 0b10 << 62 | random & (1 << 62) - 1)

"""Passwords: the rules for new ones, and how they are counted, hashed and compared."""

from accounts.passwords.attempts import Attempt, by_device, by_holder, by_stranger
from accounts.passwords.hashing import (
    is_affordable,
    is_known,
    is_too_dear,
    make_hash,
    require_room,
    verify,
)
from accounts.passwords.policy import LENGTHS, MOST_COMPOSED, canonical, faults

__all__ = [
    "LENGTHS",
    "MOST_COMPOSED",
    "Attempt",
    "by_device",
    "by_holder",
    "by_stranger",
    "canonical",
    "faults",
    "is_affordable",
    "is_known",
    "is_too_dear",
    "make_hash",
    "require_room",
    "verify",
]

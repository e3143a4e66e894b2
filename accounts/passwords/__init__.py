"""Passwords: the rules that a new one must pass, and how they are counted, hashed and compared."""

from accounts.passwords.attempts import Attempt, by_holder, by_stranger
from accounts.passwords.hashing import make_hash, require_room, usable, verify
from accounts.passwords.policy import MOST_COMPOSED, canonical, faults

__all__ = [
    "MOST_COMPOSED",
    "Attempt",
    "by_holder",
    "by_stranger",
    "canonical",
    "faults",
    "make_hash",
    "require_room",
    "usable",
    "verify",
]

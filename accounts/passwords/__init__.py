"""Passwords: the rules that a new one must pass, and how they are hashed and compared."""

from accounts.passwords.hashing import make_hash, require_room, usable, verify
from accounts.passwords.policy import MOST_COMPOSED, canonical, faults

__all__ = ["MOST_COMPOSED", "canonical", "faults", "make_hash", "require_room", "usable", "verify"]

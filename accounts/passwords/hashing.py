"""Hashing: how passwords are hashed and compared, and how many hashes run at once."""

import re
from typing import Any, NamedTuple

from argon2.exceptions import InvalidHash
from django.conf import settings
from django.contrib.auth.hashers import get_hasher, identify_hasher, is_password_usable

from accounts.kit.slots import Slots
from accounts.passwords import imported
from accounts.passwords.policy import canonical

_BCRYPT_ROUNDS = re.compile(r"bcrypt(?:_sha256)?\$\$2[abxy]\$(\d\d)\$")


class Verdict(NamedTuple):
    """Whether the password is right, and its hash in today's form where the stored one is weaker."""

    right: bool
    upgrade: str | None = None


def make_hash(password: str) -> str:
    """A hash to store. Raises ServiceUnavailable when too many are being made."""
    with _slots.one():
        return str(_preferred().encode(canonical(password), _preferred().salt()))


def verify(password: str, encoded: str | None) -> Verdict:
    """Compares. Costs one hash of the preferred kind in every arm: nobody there, no password, wrong, right, upgraded.

    Raises ServiceUnavailable when too many are being made.
    """
    text = canonical(password)
    with _slots.one():
        hasher = _hasher_of(encoded)
        if hasher is None or encoded is None:
            _preferred().verify(text, _decoy())
            return Verdict(right=False)
        if hasher.algorithm == _preferred().algorithm:
            return _compare(text, encoded)
        return _compare_foreign(text, encoded, hasher)


def _compare(text: str, encoded: str) -> Verdict:
    right = _preferred().verify(text, encoded)
    if not right:
        _make_up(text, encoded)
    outdated = right and _preferred().must_update(encoded)
    return Verdict(right, _preferred().encode(text, _preferred().salt()) if outdated else None)


def _compare_foreign(text: str, encoded: str, hasher: Any) -> Verdict:
    if hasher.verify(text, encoded):
        return Verdict(right=True, upgrade=_preferred().encode(text, _preferred().salt()))
    _make_up(text, encoded)
    return Verdict(right=False)


def _make_up(text: str, encoded: str) -> None:
    """The work that a wrong password has saved by being compared with a cheaper hash than today's.

    bcrypt's cost doubles with each round: one hash of each from its own to the one before ours make up for the rest
    exactly. Other kinds are compared on top of a whole hash of ours.
    """
    rounds = _preferred().rounds
    found = _BCRYPT_ROUNDS.match(encoded)
    for missing in range(int(found[1]), rounds) if found else (rounds,):
        _preferred().verify(text, _decoy(missing))


def usable(encoded: str) -> bool:
    """Whether passwords can be compared with this hash, at a cost that a sign-in may have."""
    return _hasher_of(encoded) is not None


def _preferred() -> Any:
    return get_hasher("default")


def _hasher_of(encoded: str | None) -> Any | None:
    """None where there is no password, or a hash that nothing can be compared with."""
    if not encoded or not is_password_usable(encoded):
        return None
    try:
        hasher = identify_hasher(encoded)
        decoded = hasher.decode(encoded)
        too_dear = imported.is_too_dear(str(hasher.algorithm), decoded)
    except (ValueError, AssertionError, KeyError, InvalidHash):
        return None
    return None if too_dear else hasher


def _decoy(rounds: int | None = None) -> str:
    """A well-formed hash that no password is known for."""
    hasher = _preferred()
    return f"{hasher.algorithm}$$2b${rounds or hasher.rounds:02d}${'.' * 53}"


def require_room() -> None:
    """Raises ServiceUnavailable while no further hash would be let in, before anything else is spent on the request.

    Of a hundred sign-ins at once most are refused: a refusal must be quick, or the last of them waits for seconds.
    """
    _slots.require_room()


# The other threads go on answering requests.
_slots = Slots(
    running=settings.PASSWORD_HASHING_CONCURRENCY,
    waiting=settings.PASSWORD_HASHING_QUEUE,
    patience=settings.PASSWORD_HASHING_PATIENCE,
)

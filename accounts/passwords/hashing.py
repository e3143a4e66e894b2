"""Hashing: how passwords are hashed and compared, in turns that the whole machine takes."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from argon2.exceptions import InvalidHash
from django.conf import settings
from django.contrib.auth.hashers import get_hasher, identify_hasher, is_password_usable

from accounts.kit import seats
from accounts.kit.problems import ServiceUnavailable
from accounts.kit.turns import Turns
from accounts.passwords import imported
from accounts.passwords.attempts import Attempt
from accounts.passwords.policy import canonical

Result = TypeVar("Result")

_BCRYPT_ROUNDS = re.compile(r"bcrypt(?:_sha256)?\$\$2[abxy]\$(\d\d)\$")


class Verdict(NamedTuple):
    """Whether the password is right, and its hash in today's form where the stored one is weaker."""

    right: bool
    upgrade: str | None = None


def make_hash(password: str, attempt: Attempt) -> str:
    """Return a hash to store. Raises ServiceUnavailable when too many are being made."""
    text = canonical(password)
    return _in_turn(lambda: str(_preferred().encode(text, _preferred().salt())), attempt)


def verify(password: str, encoded: str | None, attempt: Attempt) -> Verdict:
    """Compare. Costs one hash of the preferred kind in every arm: nobody there, no password, wrong, right, upgraded.

    Raises ServiceUnavailable when too many are being made.
    """
    return _in_turn(lambda: _judge(canonical(password), encoded), attempt)


def _in_turn(work: Callable[[], Result], attempt: Attempt) -> Result:
    """Hash when it is the attempt's turn; who waits holds a thread, but neither a seat nor its connection."""
    try:
        with seats.lent():
            return _turns.do(work, *attempt.sources)
    except ServiceUnavailable:
        attempt.give_back()
        raise


def _judge(text: str, encoded: str | None) -> Verdict:
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
    """Raise ServiceUnavailable while no further hash would be let in, before anything else is spent on the request.

    Of a hundred sign-ins at once most are refused: a refusal must be quick, or the last of them waits for seconds.
    """
    _turns.require_room()


_turns = Turns(
    lambda: settings.PASSWORD_HASHING_TURNS,
    running=settings.PASSWORD_HASHING_CONCURRENCY,
    waiting=settings.PASSWORD_HASHING_QUEUE,
    patience=settings.PASSWORD_HASHING_PATIENCE,
    nice=settings.PASSWORD_HASHING_NICE,
)

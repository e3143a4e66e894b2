"""Passwords: which are accepted, how they are hashed and compared, and how many hashes run at once.

Rules: NIST SP 800-63B-4, 3.1.1.2 (length, any character, a block list, no composition rule). Passwords are NFKC before
everything else, so that one typed on another keyboard is the same one.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

from argon2.exceptions import InvalidHash
from django.conf import settings
from django.contrib.auth.hashers import get_hasher, identify_hasher, is_password_usable

from accounts.errors import Fault
from accounts.kit.slots import Slots
from accounts.passwords import common, imported

MOST_COMPOSED = 4  # characters that normalization makes one of, at most: Greek capitals with three marks
_SEPARATORS = re.compile(r"[\W_]+")
_REPEATED_UNIT = re.compile(r"(.{1,6}?)\1+.{0,5}", re.DOTALL)
_BCRYPT_ROUNDS = re.compile(r"bcrypt(?:_sha256)?\$\$2[abxy]\$(\d\d)\$")
_SHORTEST_KNOWN_WORD = 4
_CHARACTERS_OF_ONES_OWN = 8


def canonical(password: str) -> str:
    """The form that is hashed and measured. No trimming: a space is a character like any other.

    What no normalization makes short enough is left as it is: to put 30,000 accents in order takes seconds.
    """
    if len(password) > settings.PASSWORD_MAX_LENGTH * MOST_COMPOSED:
        return password
    return unicodedata.normalize("NFKC", password)


# ---------------------------------------------------------------- policy


def faults(password: str, *, known: tuple[str, ...], field: str = "password") -> list[Fault]:
    """Why this password is refused, for a `validation_error`; nothing where it is good.

    `known` are the words that an attacker tries first: the address and the name of the user.
    """
    text = canonical(password)
    if len(text) < settings.PASSWORD_MIN_LENGTH:
        wanted = f"Use {settings.PASSWORD_MIN_LENGTH} characters at least."
        return [(field, "password_too_short", wanted)]
    if len(text) > settings.PASSWORD_MAX_LENGTH:
        return [(field, "password_too_long", f"Use {settings.PASSWORD_MAX_LENGTH} characters at most.")]
    if _is_common(text.casefold()):
        return [(field, "password_too_common", "This password is on lists that attackers try first.")]
    if _is_similar(text, (settings.SERVICE_NAME, *known)):
        return [
            (
                field,
                "password_too_similar",
                "This is too close to your address, your name or this service's name.",
            )
        ]
    return []


def _is_common(text: str) -> bool:
    """On the list, or a few characters over and over."""
    if len(text) > common.LONGEST:
        return False
    return text in common.load() or _REPEATED_UNIT.fullmatch(text) is not None


def _is_similar(text: str, known: tuple[str, ...]) -> bool:
    """Whether little is left of it without the known words: a name inside a long phrase is fine."""
    plain = _plain(text)
    words = {word for term in known for word in _words(term) if len(word) >= _SHORTEST_KNOWN_WORD}
    rest = plain
    for word in sorted(words, key=len, reverse=True):
        rest = rest.replace(word, "")
    return len(rest) < min(len(plain), _CHARACTERS_OF_ONES_OWN)


def _words(term: str) -> Iterator[str]:
    yield _plain(term)
    for part in term.split("@"):
        yield _plain(part)
        yield from map(_plain, _SEPARATORS.split(part))


def _plain(text: str) -> str:
    return _SEPARATORS.sub("", canonical(text).casefold())


# ---------------------------------------------------------------- hashing


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

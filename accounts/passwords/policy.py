"""Policy: which passwords are accepted.

The rules are from NIST SP 800-63B-4, 3.1.1.2: length, any character, a block list, no composition rule. Passwords are
normalized to NFKC first, so that one typed on another keyboard is the same.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError

from accounts.kit.problems import Fault
from accounts.passwords import breached, common

MOST_COMPOSED = 4  # most characters that NFKC composes into one: a Greek capital with three marks


# For the API's documents.
LENGTHS = f"{settings.PASSWORD_MIN_LENGTH} to {settings.PASSWORD_MAX_LENGTH} characters of any kind."

_SEPARATORS = re.compile(r"[\W_]+")


_REPEATED_UNIT = re.compile(r"(.{1,6}?)\1+.{0,5}", re.DOTALL)


_SHORTEST_KNOWN_WORD = 4


_CHARACTERS_OF_ONES_OWN = 8


def canonical(password: str) -> str:
    """Return the form that is hashed and measured. Nothing is trimmed: a space is a character like any other.

    A text too long for any normalization to shorten enough is returned as it is: ordering 30,000 accents takes seconds.
    """
    if len(password) > settings.PASSWORD_MAX_LENGTH * MOST_COMPOSED:
        return password
    return unicodedata.normalize("NFKC", password)


def faults(password: str, *, known: tuple[str, ...], field: str = "password") -> list[Fault]:
    """Return why this password is refused, for a `validation_error`; an empty list if it is accepted.

    `known` are the words that an attacker tries first: the user's address and name.
    """
    text = canonical(password)
    if len(text) < settings.PASSWORD_MIN_LENGTH:
        wanted = f"Use at least {settings.PASSWORD_MIN_LENGTH} characters."
        return [(field, "password_too_short", wanted)]
    if len(text) > settings.PASSWORD_MAX_LENGTH:
        return [(field, "password_too_long", f"Use at most {settings.PASSWORD_MAX_LENGTH} characters.")]
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
    if breached.is_breached(text):
        return [(field, "password_breached", "This password was in a data breach. Choose another one.")]
    return []


class HeldToPolicy:
    """A validator for AUTH_PASSWORD_VALIDATORS, so that createsuperuser and changepassword enforce the policy."""

    def validate(self, password: str, user: Any = None) -> None:
        known = (user.email or "", user.display_name) if user is not None else ()
        wrong = faults(password, known=known)
        if wrong:
            raise ValidationError([detail for _, _, detail in wrong])

    def get_help_text(self) -> str:
        return f"Use at least {settings.PASSWORD_MIN_LENGTH} characters."


def _is_common(text: str) -> bool:
    """Return whether the text is on the list, or a few characters repeated."""
    if len(text) > common.LONGEST:
        return False
    return text in common.load() or _REPEATED_UNIT.fullmatch(text) is not None


def _is_similar(text: str, known: tuple[str, ...]) -> bool:
    """Return whether little is left without the known words. A name inside a long phrase is fine."""
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

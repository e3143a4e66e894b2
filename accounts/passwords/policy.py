"""Policy: which passwords are accepted.

Rules: NIST SP 800-63B-4, 3.1.1.2 (length, any character, a block list, no composition rule). Passwords are NFKC before
everything else, so that one typed on another keyboard is the same one.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError

from accounts.kit.problems import Fault
from accounts.passwords import breached, common

MOST_COMPOSED = 4  # characters that normalization makes one of, at most: Greek capitals with three marks


# For the documents of the API.
LENGTHS = f"{settings.PASSWORD_MIN_LENGTH} to {settings.PASSWORD_MAX_LENGTH} characters of any kind."

_SEPARATORS = re.compile(r"[\W_]+")


_REPEATED_UNIT = re.compile(r"(.{1,6}?)\1+.{0,5}", re.DOTALL)


_SHORTEST_KNOWN_WORD = 4


_CHARACTERS_OF_ONES_OWN = 8


def canonical(password: str) -> str:
    """The form that is hashed and measured. No trimming: a space is a character like any other.

    What no normalization makes short enough is left as it is: to put 30,000 accents in order takes seconds.
    """
    if len(password) > settings.PASSWORD_MAX_LENGTH * MOST_COMPOSED:
        return password
    return unicodedata.normalize("NFKC", password)


def faults(password: str, *, known: tuple[str, ...], field: str = "password") -> list[Fault]:
    """Why this password is refused, for a `validation_error`; nothing where it is good.

    `known` are the words that an attacker tries first: the address and the name of the user.
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
    """Hold what Django's commands set (createsuperuser, changepassword) to the policy: AUTH_PASSWORD_VALIDATORS."""

    def validate(self, password: str, user: Any = None) -> None:
        known = (user.email or "", user.display_name) if user is not None else ()
        wrong = faults(password, known=known)
        if wrong:
            raise ValidationError([detail for _, _, detail in wrong])

    def get_help_text(self) -> str:
        return f"Use at least {settings.PASSWORD_MIN_LENGTH} characters."


def _is_common(text: str) -> bool:
    """On the list, or a few characters over and over."""
    if len(text) > common.LONGEST:
        return False
    return text in common.load() or _REPEATED_UNIT.fullmatch(text) is not None


def _is_similar(text: str, known: tuple[str, ...]) -> bool:
    """Return whether little is left of it without the known words: a name inside a long phrase is fine."""
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

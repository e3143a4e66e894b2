"""What users may say about themselves: display name, locale, time zone."""

import unicodedata
import zoneinfo
from functools import cache
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts import audit, passwords
from accounts.audit import Event
from accounts.kit.client import Client
from accounts.kit.problems import Fault, ValidationFailed
from accounts.models import User

LONGEST_NAME = 100
# Controls, surrogates, private use, line and paragraph separators; and what turns the direction of a line.
_UNWANTED_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_DIRECTION_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def change(user: User, *, client: Client, **fields: str) -> User:
    """Changes the fields given, audited. Raises ValidationFailed."""
    clean = {name: clean_text(text) if name == "display_name" else text for name, text in fields.items()}
    wrong = faults(**clean)
    if wrong:
        raise ValidationFailed(*wrong)
    for name, text in clean.items():
        setattr(user, name, text)
    if clean:
        with transaction.atomic():
            user.save(update_fields=list(clean))
            audit.record(
                Event.PROFILE_CHANGED, user_id=user.pk, client=client, detail={"fields": sorted(clean)}
            )
    return user


def clean_text(text: str) -> str:
    """Trimmed and NFC. What no normalization makes short enough is left as it is, for its judge to refuse."""
    if len(text) > LONGEST_NAME * passwords.MOST_COMPOSED:
        return text
    return unicodedata.normalize("NFC", text.strip())


def faults(**fields: str) -> list[Fault]:
    """What is wrong with the fields given; nothing where all are good."""
    return [(name, *fault) for name, text in fields.items() if (fault := _JUDGES[name](text))]


def _judge_name(text: str) -> tuple[str, str] | None:
    if len(text) > LONGEST_NAME:
        return "too_long", f"Use {LONGEST_NAME} characters at most."
    if any(_is_unwanted(character) for character in text):
        return "invalid_text", "Control characters are not accepted."
    return None


def _is_unwanted(character: str) -> bool:
    return unicodedata.category(character) in _UNWANTED_CATEGORIES or character in _DIRECTION_MARKS


def _judge_locale(text: str) -> tuple[str, str] | None:
    known = [code for code, _ in settings.LANGUAGES]
    return None if text in known else ("invalid_locale", f"Must be one of: {', '.join(known)}.")


def _judge_timezone(text: str) -> tuple[str, str] | None:
    return (
        None
        if text in _timezones()
        else ("invalid_timezone", "Must be a name of the IANA time zone database.")
    )


_JUDGES: dict[str, Any] = {"display_name": _judge_name, "locale": _judge_locale, "timezone": _judge_timezone}


@cache
def _timezones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())

"""Check the user's own profile fields: display name, locale, time zone."""

import re
import zoneinfo
from functools import cache
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts import audit
from accounts.audit import Event
from accounts.kit import names
from accounts.kit.client import Client
from accounts.kit.problems import Fault, ValidationFailed
from accounts.models import User

LONGEST_TAG = 35  # characters: RFC 5646, 4.4.1
# BCP 47, and the POSIX form (de_AT.UTF-8).
_TAG = re.compile(r"[A-Za-z]{1,8}([-_][A-Za-z0-9]{1,8})*([.@][A-Za-z0-9-]{1,12})*")
# Not zones, but files next to them, or the host's setting.
_NO_PLACE = frozenset({"localtime", "Factory", "posixrules"})


def change(user: User, *, client: Client, **fields: str) -> User:
    """Change the given fields and audit the change. Raise ValidationFailed."""
    clean = {name: _CLEAN.get(name, str)(text) for name, text in fields.items()}
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


def clean_locale(text: str) -> str:
    """Return the supported language that a tag names, such as `de` for `de-AT`; the default for any other language.

    A text that is not a tag is returned unchanged, for validation to refuse.
    """
    if len(text) > LONGEST_TAG or not _TAG.fullmatch(text):
        return text
    language = re.split("[-_.@]", text)[0].lower()
    return language if language in _languages() else settings.LANGUAGE_CODE


def faults(**fields: str) -> list[Fault]:
    """Return the faults of the given fields; an empty list if there are none."""
    return [(name, *fault) for name, text in fields.items() if (fault := _JUDGES[name](text))]


def _judge_locale(text: str) -> tuple[str, str] | None:
    return (
        None if text in _languages() else ("invalid_locale", "Must be a language tag, such as de or de-AT.")
    )


def _languages() -> list[str]:
    return [code for code, _ in settings.LANGUAGES]


def _judge_timezone(text: str) -> tuple[str, str] | None:
    return (
        None
        if text in _timezones()
        else ("invalid_timezone", "Must be a name from the IANA time zone database.")
    )


_CLEAN: dict[str, Any] = {"display_name": names.clean, "locale": clean_locale}
_JUDGES: dict[str, Any] = {"display_name": names.fault, "locale": _judge_locale, "timezone": _judge_timezone}


@cache
def _timezones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) - _NO_PLACE

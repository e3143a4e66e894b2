"""The durations and limits that mails and pages state, as configured."""

from datetime import timedelta
from typing import Any

from django.conf import settings

from accounts.kit import throttles
from accounts.mail import tokens
from accounts.mail.tokens import Purpose

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def terms() -> dict[str, Any]:
    """Return the values by the names that templates use."""
    proofs = throttles.hit("wrong_proofs")
    return {
        "reset_minutes": in_units(tokens.LIFETIMES[Purpose.RESET], MINUTE),
        "change_minutes": in_units(tokens.LIFETIMES[Purpose.CHANGE_EMAIL], MINUTE),
        "undo_days": in_units(tokens.LIFETIMES[Purpose.UNDO_EMAIL], DAY),
        "code_minutes": in_units(tokens.CODE_LIFETIMES[Purpose.VERIFY], MINUTE),
        "hours": in_units(tokens.LIFETIMES[Purpose.VERIFY], HOUR),
        "removal_hours": in_units(settings.FACTOR_RESET_DELAY, HOUR),
        "wrong": proofs.allowed,
        "pause_minutes": in_units(timedelta(microseconds=proofs.window), MINUTE),
    }


def terms_of_factors() -> dict[str, Any]:
    """Return how many wrong second factors in a row cause a pause, and how long the pause is."""
    pauses = throttles.hit("factor_pauses")
    return {
        "wrong": pauses.free,
        "pause_minutes": in_units(timedelta(microseconds=pauses.delay), MINUTE),
    }


def in_units(duration: timedelta, unit: timedelta) -> str:
    """Return the duration in this unit, such as 72 or 1.5."""
    return f"{duration / unit:.1f}".removesuffix(".0")

"""Read arguments of the credits commands: a user, a moment or a number, as people write them."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime

from django.core.management.base import CommandError

from accounts.models import User

MOST = 10**9


def named_user(text: str) -> User:
    """Return a user by id or address. Raises CommandError."""
    found: User | None = User.objects.by_id_or_email(text).first()
    if found is None:
        raise CommandError(f"User {text!r} not found. Give an id or an address.")
    return found


def moment(text: str) -> datetime:
    """Return `2026-11-23` or `2026-11-23T10:00:00+01:00` as a moment in UTC, which is also the default offset."""
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ArgumentTypeError(
            f"{text!r} is not a valid time; use 2026-11-23 or 2026-11-23T10:00:00Z."
        ) from None


def how_many(text: str) -> int:
    """Return a number of rows or users, in the range that is accepted."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST:,}.")
    return int(text)

"""Read arguments of the commands of credits: the user somebody named, moments as people write them."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime

from django.core.management.base import CommandError

from accounts.models import User


def named_user(text: str) -> User:
    """Return a user by id or address. Raises CommandError."""
    found: User | None = User.objects.by_id_or_email(text).first()
    if found is None:
        raise CommandError(f"User {text!r} not found. Give an id or an address.")
    return found


def moment(text: str) -> datetime:
    """`2026-11-23` or `2026-11-23T10:00:00+01:00`; without an offset it is UTC."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is not a valid time; use 2026-11-23 or 2026-11-23T10:00:00Z."
        ) from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)

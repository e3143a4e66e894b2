"""Addresses that were changed lately belong to their old owners until the change can no longer be undone."""

from uuid import UUID

from django.db.models.functions import Now

from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.models import AddressChange

UNDO_LIFETIME = tokens.LIFETIMES[Purpose.UNDO_EMAIL]


def is_reserved(email: str, *, other_than: UUID | None = None) -> bool:
    """Whether somebody else may still take this address back."""
    reserved = AddressChange.objects.filter(
        old_email=email,
        confirmed_at__isnull=False,
        confirmed_at__gt=Now() - UNDO_LIFETIME,
        ended_at__isnull=True,
    )
    return reserved.exclude(user=other_than).exists() if other_than else reserved.exists()

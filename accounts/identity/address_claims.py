"""Decide who has a claim to an address: after a change, its former owner, until the change can no longer be undone.

This includes what becomes of an account whose address proves to be someone else's: nothing opens it any longer.
"""

from uuid import UUID

from django.db.models.functions import Now

from accounts import audit, sessions
from accounts.audit import Event
from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.models import AddressChange, PendingRegistration, User

UNDO_LIFETIME = tokens.LIFETIMES[Purpose.UNDO_EMAIL]


def is_reserved(email: str, *, other_than: UUID | None = None) -> bool:
    """Return whether someone else may still take this address back."""
    reserved = AddressChange.objects.filter(
        old_email=email,
        confirmed_at__isnull=False,
        confirmed_at__gt=Now() - UNDO_LIFETIME,
        ended_at__isnull=True,
    )
    return reserved.exclude(user=other_than).exists() if other_than else reserved.exists()


def change_that_can_be_undone(user_id: UUID) -> AddressChange | None:
    """Return the account's oldest change of address that the old address may still undo."""
    confirmed = AddressChange.objects.filter(
        user=user_id, ended_at=None, confirmed_at__gt=Now() - UNDO_LIFETIME
    )
    return confirmed.order_by("confirmed_at").first()


def strip(holder: User) -> None:
    """Take the address from a holder who never verified it. Call it with the holder's row locked."""
    holder.email = holder.email_verified_at = None
    holder.set_unusable_password()
    holder.save(update_fields=["email", "email_verified_at", "password"])
    sessions.end_all(holder.pk, reason=sessions.EndReason.ADDRESS_CONTESTED)
    PendingRegistration.objects.filter(user=holder).void()
    tokens.void_all(user_id=holder.pk)
    audit.record(Event.ADDRESS_LOST, user_id=holder.pk)

"""Decide who has a claim to an address: after a change, its former owner, until the change can no longer be undone.

This includes what becomes of an account whose address proves to be someone else's: nothing opens it any longer.
"""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts import audit, sessions
from accounts.audit import Event
from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.models import AddressChange, PendingRegistration, User

UNDO_LIFETIME = tokens.LIFETIMES[Purpose.UNDO_EMAIL]


def is_reserved(email: str, *, other_than: UUID | None = None) -> bool:
    """Return whether someone else may still take this address back."""
    reserved = _that_can_be_undone().filter(old_email=email)
    return reserved.exclude(user=other_than).exists() if other_than else reserved.exists()


def reserved_among(emails: Iterable[str]) -> set[str]:
    """Return those of these addresses that a former owner may still take back."""
    return set(_that_can_be_undone().filter(old_email__in=emails).values_list("old_email", flat=True))


def change_that_can_be_undone(user_id: UUID) -> AddressChange | None:
    """Return the account's oldest change of address that the old address may still undo."""
    return _that_can_be_undone().filter(user=user_id).order_by("confirmed_at").first()


def _that_can_be_undone() -> QuerySet[AddressChange]:
    return AddressChange.objects.filter(ended_at=None, confirmed_at__gt=Now() - UNDO_LIFETIME)


def strip(holder: User) -> None:
    """Take the address from a holder who never verified it. Call it with the holder's row locked."""
    holder.email = holder.email_verified_at = None
    holder.set_unusable_password()
    holder.save(update_fields=["email", "email_verified_at", "password"])
    sessions.end_all(holder.pk, reason=sessions.EndReason.ADDRESS_CONTESTED)
    PendingRegistration.objects.filter(user=holder).void()
    tokens.void_all(user_id=holder.pk)
    audit.record(Event.ADDRESS_LOST, user_id=holder.pk)

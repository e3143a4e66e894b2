"""What happens to an account whose address turns out to be somebody else's: nothing opens it any more."""

from accounts import audit, sessions
from accounts.audit import Event
from accounts.mail import tokens
from accounts.models import PendingRegistration, User


def strip(holder: User) -> None:
    """Takes the address from who never proved it. Called under the lock of the holder's row, for one who has."""
    holder.email = holder.email_verified_at = None
    holder.set_unusable_password()
    holder.save(update_fields=["email", "email_verified_at", "password"])
    sessions.end_all(holder.pk, reason=sessions.EndReason.ADDRESS_CONTESTED)
    PendingRegistration.objects.filter(user=holder).void()
    tokens.void_all(user_id=holder.pk)
    audit.record(Event.ADDRESS_LOST, user_id=holder.pk)

"""What the worker makes of a request for another address: a notice to the old one, and a mail to the new one.

Whether the new address is taken is found out here and told only to its mailbox: the one who asked gets the same answer,
and the old address the same notice, in every arm.
"""

from django.db import transaction
from django.db.models.functions import Now

from accounts.identity import address_claims
from accounts.mail import kinds, outbox, tokens
from accounts.mail.tokens import Purpose
from accounts.models import AddressChange, OutboxMessage, User

REQUESTED = "email_change_requested"


@transaction.atomic
def resolve(message: OutboxMessage) -> None:
    """Turns the request into the notice, once, and adds the other mail; where the change has died, into nothing."""
    user = User.objects.locked().filter(pk=message.user_id).first()
    change = None if user is None else _newest(message)
    if user is None or change is None or not is_alive(change, user):
        return
    _end_older(change)
    link = tokens.issue(Purpose.CHANGE_EMAIL, user_id=user.pk, email=change.new_email, change=change)
    outbox.enqueue(
        kinds.EMAIL_CHANGE_TAKEN if is_taken(change) else kinds.EMAIL_CHANGE_CONFIRM,
        user_id=user.pk,
        token=link,
    )
    message.token = tokens.issue(Purpose.UNDO_EMAIL, user_id=user.pk, email=change.old_email, change=change)
    message.kind, message.requested_email = kinds.EMAIL_CHANGE_NOTICE, ""
    message.save(update_fields=["kind", "token", "requested_email"])


def is_alive(change: AddressChange, user: User) -> bool:
    """Neither confirmed, cancelled nor replaced; and the session that asked for it lives, as does the account."""
    session = change.session
    return (
        change.confirmed_at is None
        and change.ended_at is None
        and session is not None
        and session.ended_at is None
        and user.is_active
        and user.email == change.old_email
    )


def is_taken(change: AddressChange) -> bool:
    """Whether the new address is somebody else's: confirmed, or to be had back by who had it a week ago."""
    holders = User.objects.filter(email=change.new_email, email_verified_at__isnull=False)
    return holders.exclude(pk=change.user_id).exists() or address_claims.is_reserved(
        change.new_email, other_than=change.user_id
    )


def _newest(message: OutboxMessage) -> AddressChange | None:
    asked = AddressChange.objects.filter(user=message.user_id, new_email=message.requested_email)
    return asked.select_related("session").order_by("-created_at").first()


def _end_older(change: AddressChange) -> None:
    older = AddressChange.objects.filter(
        user=change.user_id, confirmed_at=None, ended_at=None, created_at__lt=change.created_at
    )
    older.update(ended_at=Now())

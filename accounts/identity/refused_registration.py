"""Refuse a registration: the owner of the mailbox ends one that someone else made with its address.

The link is in the mail that asks for confirmation. It is valid as long as the confirmation link, and even after that
link was followed by mistake, since the stranger who registered chose the account's password. An account that has been
used by then is not erased on the spot, because not only its owner may follow a link in a mail: it is closed with the
usual grace period.
"""

from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit, hooks, sessions
from accounts.audit import Event
from accounts.errors import TokenInvalid
from accounts.identity import deletion, erasure
from accounts.kit import throttles
from accounts.kit.client import Client
from accounts.mail import tokens as mail_tokens
from accounts.mail.tokens import Purpose
from accounts.models import MailToken, PendingRegistration, Session, User


def refuse(text: str, *, client: Client) -> bool:
    """End the registration; return True if the account was in use, and is therefore closed but not erased yet.

    Raise TokenInvalid for a link that is unknown, expired or void, or of an account that is not active; or RateLimited.
    """
    throttles.take(*throttles.from_network("refuse_registration", client.limited_ip))
    token_id = mail_tokens.id_from_link(text, Purpose.VERIFY, use=mail_tokens.REFUSE)
    if token_id is None:
        raise TokenInvalid
    return _refuse(token_id, client)


@transaction.atomic
def _refuse(token_id: UUID, client: Client) -> bool:
    user: User | None = User.objects.locked().mailed(token_id).first()
    tokens = MailToken.objects.filter(pk=token_id, registration__isnull=False, voided_at=None)
    token = tokens.filter(expires_at__gt=Now()).first()
    if user is None or token is None or (user.email_verified and token.used_at is None):
        raise TokenInvalid
    if not user.is_active:  # erasing a suspended account would let its owner start over
        raise TokenInvalid
    audit.record(Event.REGISTRATION_REFUSED, user_id=user.pk, client=client)
    if _is_in_use(user):
        deletion.disown(user, client=client)
        return True
    if user.email_verified or not _others_wait(user, token):
        _erase(user)
    else:
        _void(user, token)
    return False


def _is_in_use(user: User) -> bool:
    """Return whether this is more than a registration: it owns something, or was confirmed and signed in to."""
    if any(owners.filter(pk=user.pk).exists() for owners in hooks.owners()):
        return True
    return user.email_verified and Session.objects.filter(user=user).exists()


def _others_wait(user: User, token: MailToken) -> bool:
    waiting = PendingRegistration.objects.waiting().filter(user=user)
    return waiting.exclude(mail_tokens=token).exists()


def _void(user: User, token: MailToken) -> None:
    """Void only that registration. If it is the founding one, the account's password and sessions came from it."""
    registration = PendingRegistration.objects.filter(mail_tokens=token)
    if registration.filter(founding=True).exists():
        user.set_unusable_password()
        user.display_name = ""
        user.save(update_fields=["password", "display_name"])
        sessions.end_all(user.pk, reason=sessions.EndReason.ADDRESS_CONTESTED)
    registration.void()
    MailToken.objects.filter(user=user, registration=token.registration_id).void()


def _erase(user: User) -> None:
    """Erase the account like a deletion without a grace period; the address is free again."""
    User.objects.filter(pk=user.pk).update(status=User.Status.PENDING_DELETION, deletes_at=Now())
    erasure.erase(user.pk)

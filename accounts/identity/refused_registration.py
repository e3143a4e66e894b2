"""`It was not me`: who owns the mailbox ends a registration that somebody else made with its address.

The link is in the mail that asks for the confirmation, is good as long as that one, and still after it was followed by
mistake: until then such an account is the stranger's who chose its password.
"""

from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit, sessions
from accounts.audit import Event
from accounts.errors import TokenInvalid
from accounts.identity import erasure
from accounts.kit import throttles
from accounts.kit.client import Client
from accounts.mail import tokens as mail_tokens
from accounts.mail.tokens import Purpose
from accounts.models import MailToken, PendingRegistration, User


def refuse(text: str, *, client: Client) -> None:
    """Raises TokenInvalid for a link that is unknown, expired or void; RateLimited."""
    throttles.take(*throttles.from_network("refuse_registration", client.ip))
    token_id = mail_tokens.id_from_link(text, Purpose.VERIFY, use=mail_tokens.REFUSE)
    if token_id is None:
        raise TokenInvalid
    _refuse(token_id, client)


@transaction.atomic
def _refuse(token_id: UUID, client: Client) -> None:
    user: User | None = User.objects.locked().mailed(token_id).first()
    tokens = MailToken.objects.filter(pk=token_id, registration__isnull=False, voided_at=None)
    token = tokens.filter(expires_at__gt=Now()).first()
    if user is None or token is None or (user.email_verified and token.used_at is None):
        raise TokenInvalid
    audit.record(Event.REGISTRATION_REFUSED, user_id=user.pk, client=client)
    if user.email_verified or not _others_wait(user, token):
        _erase(user)
    else:
        _void(user, token)


def _others_wait(user: User, token: MailToken) -> bool:
    waiting = PendingRegistration.objects.waiting().filter(user=user)
    return waiting.exclude(mail_tokens=token).exists()


def _void(user: User, token: MailToken) -> None:
    """Only that registration. If it was the first one, the account's password and sessions are its own."""
    registration = PendingRegistration.objects.filter(mail_tokens=token)
    if registration.filter(founding=True).exists():
        user.set_unusable_password()
        user.display_name = ""
        user.save(update_fields=["password", "display_name"])
        sessions.end_all(user.pk, reason=sessions.EndReason.ADDRESS_CONTESTED)
    registration.void()
    MailToken.objects.filter(user=user, registration=token.registration_id).void()


def _erase(user: User) -> None:
    """As a deletion without a time of grace: the address is free again."""
    User.objects.filter(pk=user.pk).update(status=User.Status.PENDING_DELETION, deletes_at=Now())
    erasure.erase(user.pk)

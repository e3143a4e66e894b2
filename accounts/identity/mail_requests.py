"""Carry out requests for an address that may be anybody's or nobody's: the worker finds out whose it is.

The requester gets the same answer at the same cost in every case: one row is written. A request for a reset first
checks whether the account was seen in the requester's network, whether or not the account exists.
"""

from collections.abc import Callable

from django.db import transaction
from django.db.models.functions import Now

from accounts import mail
from accounts.identity import address_claims
from accounts.kit import email_address, throttles
from accounts.kit.client import Client, network
from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.models import AddressChange, MailToken, OutboxMessage, PendingRegistration, User

CHANGE_REQUESTED = "email_change_requested"

OPENING = frozenset({mail.VERIFY_EMAIL, mail.PASSWORD_RESET_LINK})  # mails that would confirm an address


def count(rule: str, address: str, client: Client) -> None:
    """Count a request before anything is written: for its network, its network's share of the mailbox, and in total.

    A stranger's requests therefore never cause a refusal to the mailbox's owner. Raise RateLimited.
    """
    throttles.take(
        *throttles.from_network("mail_requests", client.limited_ip),
        throttles.hit(rule, email_address.mailbox(address), network(client.limited_ip)),
        throttles.hit("mail_requests_in_all"),
    )


def resolve(message: OutboxMessage) -> None:
    """Turn a request for an address into the mail for its user, once; a repeat finds that mail.

    While someone else may take the address back, its mailbox is told so instead of being sent a link that would confirm
    it.
    """
    if message.kind == CHANGE_REQUESTED:
        _answer_change(message)
    elif message.kind in _ANSWERS:
        _answer(message, *_ANSWERS[message.kind])
    token = message.token
    if (
        message.kind in OPENING
        and token is not None
        and address_claims.is_reserved(token.email, other_than=token.user_id)
    ):
        message.kind = mail.ADDRESS_RESERVED


def _answer(message: OutboxMessage, kind: str, issue: Callable[[User], MailToken | None]) -> None:
    with transaction.atomic():
        user = (
            User.objects.locked()
            .exclude(status=User.Status.DELETED)
            .filter(email=message.requested_email)
            .first()
        )
        token = None if user is None else issue(user)
        if token is None:
            return
        message.kind, message.user, message.token, message.requested_email = kind, user, token, ""
        message.save(update_fields=["kind", "user", "token", "requested_email"])


def _verification(user: User) -> MailToken | None:
    """Return a token for the newest registration, or None if the address is already verified."""
    if user.email_verified:
        return None
    waiting = PendingRegistration.objects.waiting().filter(user=user)
    newest = waiting.order_by("-created_at").first()
    return tokens.issue(Purpose.VERIFY, user_id=user.pk, email=user.email or "", registration=newest)


def _reset(user: User) -> MailToken:
    """Return a reset token, whatever the account's state: the mailbox's owner may always set the password."""
    return tokens.issue(Purpose.RESET, user_id=user.pk, email=user.email or "")


# The mail that answers each kind of request, and the function that issues its token.
_ANSWERS: dict[str, tuple[str, Callable[[User], MailToken | None]]] = {
    mail.VERIFICATION_REQUESTED: (mail.VERIFY_EMAIL, _verification),
    mail.RESET_REQUESTED: (mail.PASSWORD_RESET_LINK, _reset),
    mail.RESET_REQUESTED_AT_HOME: (mail.PASSWORD_RESET_LINK, _reset),
}


# ---------------------------------------------------------------- another address: a notice, and a mail to the new one


@transaction.atomic
def _answer_change(message: OutboxMessage) -> None:
    """Turn the request into the notice, once, and add the other mail; do nothing if the change is void.

    Whether the new address is taken is determined here and revealed only to its mailbox: in every case the requester
    gets the same answer, and the old address the same notice.
    """
    user = User.objects.locked().filter(pk=message.user_id).first()
    change = None if user is None else _newest(message)
    if user is None or change is None or not is_alive(change, user):
        return
    _end_older(change)
    link = tokens.issue(Purpose.CHANGE_EMAIL, user_id=user.pk, email=change.new_email, change=change)
    mail.enqueue(
        mail.EMAIL_CHANGE_TAKEN if is_taken(change) else mail.EMAIL_CHANGE_CONFIRM,
        user_id=user.pk,
        token=link,
    )
    message.token = tokens.issue(Purpose.UNDO_EMAIL, user_id=user.pk, email=change.old_email, change=change)
    message.kind, message.requested_email = mail.EMAIL_CHANGE_NOTICE, ""
    message.save(update_fields=["kind", "token", "requested_email"])


def is_alive(change: AddressChange, user: User) -> bool:
    """Return whether the change is still open, and its session and account are live."""
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
    """Return whether the new address is someone else's: confirmed, or still reserved for a former owner."""
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

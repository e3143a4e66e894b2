"""What was asked for an address, which may be anybody's or nobody's. The worker finds out who it belongs to.

So the one who asks gets the same answer for the same work in every arm: one row is written, and no user is looked up.
"""

from collections.abc import Callable

from django.db import transaction

from accounts import address_change_requests
from accounts.identity import address_claims
from accounts.mail import kinds, tokens
from accounts.mail.tokens import Purpose
from accounts.models import MailToken, OutboxMessage, PendingRegistration, User

VERIFICATION_REQUESTED = "verification_requested"
RESET_REQUESTED = "password_reset_requested"

OPENING = frozenset({kinds.VERIFY_EMAIL, kinds.PASSWORD_RESET_LINK})  # what would confirm an address


def resolve(message: OutboxMessage) -> None:
    """Turn a request for an address into the mail for its user, once; a repeat finds that mail.

    While somebody else may take the address back, its mailbox is told so instead of being sent what would confirm it.
    """
    if message.kind == address_change_requests.REQUESTED:
        address_change_requests.resolve(message)
    elif message.kind in _ANSWERS:
        _answer(message, *_ANSWERS[message.kind])
    token = message.token
    if (
        message.kind in OPENING
        and token is not None
        and address_claims.is_reserved(token.email, other_than=token.user_id)
    ):
        message.kind = kinds.ADDRESS_RESERVED


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
    """None where the address is verified already."""
    if user.email_verified:
        return None
    waiting = PendingRegistration.objects.waiting().filter(user=user)
    newest = waiting.order_by("-created_at").first()
    return tokens.issue(Purpose.VERIFY, user_id=user.pk, email=user.email or "", registration=newest)


def _reset(user: User) -> MailToken:
    """Whatever the state of the account: who owns the mailbox may always choose the password."""
    return tokens.issue(Purpose.RESET, user_id=user.pk, email=user.email or "")


# The mail that answers each kind of request, and what makes its token.
_ANSWERS: dict[str, tuple[str, Callable[[User], MailToken | None]]] = {
    VERIFICATION_REQUESTED: (kinds.VERIFY_EMAIL, _verification),
    RESET_REQUESTED: (kinds.PASSWORD_RESET_LINK, _reset),
}

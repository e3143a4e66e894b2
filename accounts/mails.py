"""The mails: which kinds there are, what each shows, and when there is nothing left to send.

A mail never carries text that a stranger typed: no display name, no user agent. Subjects are ours alone. Links begin
with FRONTEND_URL, else PUBLIC_BASE_URL, whatever host a request named.
"""

from dataclasses import dataclass
from email.utils import parseaddr
from urllib.parse import urlencode

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.template.loader import render_to_string

from accounts import email_address, mail_tokens
from accounts.models import MailToken, OutboxMessage, User

VERIFY_EMAIL = "verify_email"
ADDRESS_TAKEN = "address_taken"
ADDRESS_CONTESTED = "address_contested"
# What was asked for an address; whether there is anyone to write to is found out here, not while the asker waits.
VERIFICATION_REQUESTED = "verification_requested"


@dataclass(frozen=True)
class Kind:
    """One kind of mail: its subject, the page its link leads to, and whether a stranger can cause it."""

    subject: str
    page: str
    by_strangers: bool


KINDS = {
    VERIFY_EMAIL: Kind("Confirm your e-mail address", "verify-email", by_strangers=True),
    ADDRESS_TAKEN: Kind("You already have an account", "password-reset", by_strangers=True),
    ADDRESS_CONTESTED: Kind("Choose your password", "password-reset", by_strangers=False),
}


def compose(message: OutboxMessage) -> EmailMultiAlternatives | None:
    """The mail of an outbox row, the same however often; None where there is nobody, or no need, to write to."""
    if message.kind == VERIFICATION_REQUESTED:
        _resolve_request(message)
    token = message.token
    if token is None or token.used_at or token.voided_at:
        return None
    return _render(message, token)


def is_by_strangers(message: OutboxMessage) -> bool:
    return KINDS[message.kind].by_strangers


def mailbox_of(message: OutboxMessage) -> str:
    return email_address.mailbox(message.token.email if message.token else "")


def link(page: str, token: MailToken) -> str:
    """Where the front end has its page of that name, or else ours, at the path of the endpoint."""
    base = settings.FRONTEND_URL or f"{settings.PUBLIC_BASE_URL}/v1/auth"
    return f"{base}/{page}?{urlencode({'token': mail_tokens.link_token(token)})}"


def _resolve_request(message: OutboxMessage) -> None:
    """Turns a request for an address into the mail for its user, once; a repeat finds that mail."""
    with transaction.atomic():
        user = (
            User.objects.select_for_update(no_key=True)
            .filter(email=message.requested_email, email_verified_at=None)
            .first()
        )
        if user is None:
            return
        newest = (
            user.pending_registrations.filter(confirmed_at=None, voided_at=None)
            .order_by("-created_at")
            .first()
        )
        message.kind, message.user, message.requested_email = VERIFY_EMAIL, user, ""
        message.token = mail_tokens.issue(
            mail_tokens.Purpose.VERIFY, user_id=user.pk, email=user.email or "", registration=newest
        )
        message.save(update_fields=["kind", "user", "token", "requested_email"])


def _render(message: OutboxMessage, token: MailToken) -> EmailMultiAlternatives:
    kind = KINDS[message.kind]
    context = {
        "service": settings.SERVICE_NAME,
        "subject": kind.subject,
        "link": link(kind.page, token),
        "code": mail_tokens.code(token),
        "hours": int(mail_tokens.LIFETIMES[mail_tokens.Purpose(token.purpose)].total_seconds() // 3600),
    }
    mail = EmailMultiAlternatives(
        subject=kind.subject,
        body=render_to_string(f"mail/{message.kind}.txt", context),
        to=[token.email],
        headers={"Message-ID": _message_id(message), "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string(f"mail/{message.kind}.html", context), "text/html")
    return mail


def _message_id(message: OutboxMessage) -> str:
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    return f"<{message.pk}@{domain}>"

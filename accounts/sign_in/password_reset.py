"""A new password for who owns the mailbox, by a mailed link. It also proves the address.

A reset is how a victim takes an account back: every session ends, every other link is void, and, where the address was
proved only lately, so are the ways in that someone else may have added since then.
"""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit, events, hooks, mail, passwords, sessions
from accounts.audit import Event
from accounts.errors import TokenInvalid
from accounts.factors import proofs
from accounts.identity import address_claims, mail_requests
from accounts.kit import email_address, throttles
from accounts.kit.client import Client
from accounts.kit.problems import ValidationFailed
from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.models import PendingRegistration, User
from accounts.sign_in import tries

# Within this time of the address's verification a reset removes the other ways in: a stranger may have had the account
# before its owner did.
METHODS_UNDER_SUSPICION = timedelta(days=7)


def request(*, email: str, client: Client) -> None:
    """Ask for a link. Raises ValidationFailed, RateLimited.

    Write one row, whether or not the address has an account; the worker finds out whether there is anyone
    to write to. Strangers use up nothing of what is asked for where the account was seen lately.
    """
    wrong = email_address.faults(email)
    if wrong:
        raise ValidationFailed(*wrong)
    address = email_address.normalize(email)
    mail_requests.count("password_reset_request", address, client)
    at_home = tries.was_seen(address, client.home)
    with transaction.atomic():
        mail.enqueue(
            mail.RESET_REQUESTED_AT_HOME if at_home else mail.RESET_REQUESTED, requested_email=address
        )


def reset(*, token: str, new_password: str, client: Client) -> None:
    """Store the password and use the link up.

    Raises TokenInvalid; ValidationFailed, and then the link is still good; RateLimited; ServiceUnavailable.
    """
    throttles.take(*throttles.from_network("password_reset", client.limited_ip))
    token_id = tokens.id_from_link(token, Purpose.RESET)
    user = tokens.holder(token_id, Purpose.RESET) if token_id else None
    if user is None or token_id is None:
        raise TokenInvalid
    wrong = passwords.faults(new_password, known=(user.email or "", user.display_name), field="new_password")
    if wrong:
        raise ValidationFailed(*wrong)
    attempt = tries.of_holder(user, client)
    _store(token_id, passwords.make_hash(new_password, attempt), client)
    tries.forget(user.email or "")
    proofs.end_pause_after_reset(user.pk)


class Account(NamedTuple):
    """Say which account a reset is about, masked, and until when which address before may take it back."""

    email: str
    former: str
    former_until: datetime | None


def account_behind(token: str) -> Account | None:
    """Return what a live link is about, without using it up: people choose no password for a stranger's account."""
    token_id = tokens.id_from_link(token, Purpose.RESET)
    user = tokens.holder(token_id, Purpose.RESET) if token_id else None
    if user is None:
        return None
    change = address_claims.change_that_can_be_undone(user.pk)
    if change is None or change.confirmed_at is None:
        return Account(email_address.masked(user.email or ""), "", None)
    return Account(
        email_address.masked(user.email or ""),
        email_address.masked(change.old_email),
        change.confirmed_at + address_claims.UNDO_LIFETIME,
    )


@transaction.atomic
def _store(token_id: UUID, password: str, client: Client) -> None:
    user: User | None = User.objects.locked().mailed(token_id).annotate(now=Now()).first()
    if user is None or not tokens.use(token_id, Purpose.RESET):
        raise TokenInvalid
    if _is_under_suspicion(user):
        _remove_what_others_added(user)
    if not user.email_verified:
        events.emit("user.verified", user_id=user.pk, data={})
    user.password = password
    user.email_verified_at = user.email_verified_at or Now()
    user.save(update_fields=["password", "email_verified_at", "display_name"])
    sessions.end_all(user.pk, reason=sessions.EndReason.PASSWORD)
    tokens.void_all(user_id=user.pk)
    event = audit.record(Event.PASSWORD_RESET, user_id=user.pk, client=client)
    mail.notify(mail.PASSWORD_WAS_RESET, user=user, event=event)


def _is_under_suspicion(user: User) -> bool:
    now = user.now  # type: ignore[attr-defined]
    return user.email_verified_at is None or bool(now - user.email_verified_at <= METHODS_UNDER_SUSPICION)


def _remove_what_others_added(user: User) -> None:
    """End other ways in, and what was entered by someone who never proved to own the address."""
    hooks.remove_sign_in_methods(user.pk, since=user.created_at)
    if not user.email_verified:
        user.display_name = ""
    PendingRegistration.objects.filter(user=user).void()

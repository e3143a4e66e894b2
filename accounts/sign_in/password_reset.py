"""Reset the password by a mailed link, for the owner of the mailbox. This also verifies the address.

A reset is how a victim takes an account back: every session ends and every other link is void. If the address was
verified only recently, the sign-in methods that someone else may have added since registration are removed too.
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

# For this long after the address was verified, a reset removes other ways in: a stranger may have had the account
# before its owner did.
METHODS_UNDER_SUSPICION = timedelta(days=7)


def request(*, email: str, client: Client) -> None:
    """Request a link. Raise ValidationFailed or RateLimited.

    Write one row, whether or not the address has an account; the worker finds out whether there is anyone to write to.
    Requests from a network where the account was seen recently have a separate budget, which strangers cannot use up.
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
    """Store the password and use up the link.

    Raise TokenInvalid; ValidationFailed, after which the link is still valid; RateLimited; or ServiceUnavailable.
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
    """The account that a reset is about, by its masked address.

    `former` is the previous address that may take it back, until `former_until`; empty and None if there is none.
    """

    email: str
    former: str
    former_until: datetime | None


def account_behind(token: str) -> Account | None:
    """Return the account of a live link without using up the link, so that people see whose password they choose."""
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
    """Remove sign-in methods, and data entered by someone who never proved that they owned the address."""
    hooks.remove_sign_in_methods(user.pk, since=user.created_at)
    if not user.email_verified:
        user.display_name = ""
    PendingRegistration.objects.filter(user=user).void()

"""Change an account's address with the consent of the new mailbox; the old mailbox can take it back.

A stolen session can request a change, and then change password and address again. The notice to the old address
therefore carries a link that outlives all of this: it cancels the change or, for seven days after it, undoes it and all
later ones. Until then the old address is reserved (accounts/identity/address_claims.py).

Locks: the user's row first, as everywhere; then rows of other apps (accounts/hooks.py); only then the address itself,
whose UPDATE waits for everyone who refers to the row.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now

from accounts import audit, events, hooks, mail, sessions
from accounts.audit import Event
from accounts.errors import TokenInvalid
from accounts.identity import address_claims, contests, deletion, mail_requests
from accounts.kit import email_address, throttles
from accounts.kit.client import Client
from accounts.kit.problems import ServiceUnavailable, ValidationFailed
from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.models import AddressChange, MailToken, Session, User

TRIES_WHEN_ADDRESS_IS_REGISTERED = 3
METHODS_UNDER_SUSPICION = timedelta(days=7)  # before the change; the owner may have missed the notices
UNDO_DAYS = address_claims.UNDO_LIFETIME.days

Result = TypeVar("Result")


def request(session: Session, *, new_email: str, client: Client) -> None:
    """Request a change to another address. Raise ValidationFailed or RateLimited.

    The rows are the same whether the new address is taken or not; the worker finds out whom to write to.
    """
    user = session.user
    throttles.take(throttles.hit("change_email", str(user.pk)))
    wrong = email_address.faults(new_email, field="new_email")
    if wrong:
        raise ValidationFailed(*wrong)
    address = email_address.parse(new_email)
    if address == user.email:
        raise ValidationFailed(("new_email", "unchanged", "This is already the account's address."))
    with transaction.atomic():
        AddressChange.objects.create(
            user=user, session_id=session.pk, old_email=user.email or "", new_email=address
        )
        audit.record(Event.EMAIL_CHANGE_REQUESTED, user_id=user.pk, session_id=session.pk, client=client)
        mail.enqueue(mail_requests.CHANGE_REQUESTED, user_id=user.pk, requested_email=address)


def confirm(text: str, *, client: Client) -> User:
    """Make the new address the account's, by the link mailed to it, and end every session.

    Raise TokenInvalid (also if the requesting session has ended, or the address was taken since then) or RateLimited.
    """
    throttles.take(*throttles.from_network("confirm_email_change", client.limited_ip))
    token_id = _token_id(text, Purpose.CHANGE_EMAIL)
    return _again_if_registered(lambda: _confirm(token_id, client))


def undo(text: str, *, client: Client) -> User:
    """Cancel or undo a change and everything changed since then, by the link mailed to the old address.

    Sign-in methods added since then, or in the week before, are removed. Every session ends, the password becomes
    unusable and a reset link is mailed, and a pending deletion is cancelled. If the new mailbox had reset the password,
    spending and buying are blocked until staff decide (accounts/identity/contests.py).

    Raise TokenInvalid or RateLimited.
    """
    throttles.take(*throttles.from_network("undo_email_change", client.limited_ip))
    token_id = _token_id(text, Purpose.UNDO_EMAIL)
    return _again_if_registered(lambda: _undo(token_id, client))


def account_behind(text: str) -> str:
    """Return the masked address of the account whose change a link would confirm; empty if the link is not live."""
    token_id = tokens.id_from_link(text, Purpose.CHANGE_EMAIL)
    if token_id is None:
        return ""
    live = MailToken.objects.live().filter(pk=token_id, change__isnull=False)
    token = live.select_related("change").first()
    return email_address.masked(token.change.old_email) if token is not None and token.change else ""


def _token_id(text: str, purpose: Purpose) -> UUID:
    token_id = tokens.id_from_link(text, purpose)
    if token_id is None:
        raise TokenInvalid
    return token_id


def _again_if_registered(attempt: Callable[[], Result]) -> Result:
    """Retry if the address is registered between our look-up and our UPDATE; the next look-up sees that."""
    for _ in range(TRIES_WHEN_ADDRESS_IS_REGISTERED):
        try:
            return attempt()
        except IntegrityError:
            continue
    raise ServiceUnavailable


@transaction.atomic
def _confirm(token_id: UUID, client: Client) -> User:
    change = _change_of(token_id)
    user, holder = _lock(change.user_id, change.new_email)
    change = _change_of(token_id)  # read again, under the lock
    if not mail_requests.is_alive(change, user) or mail_requests.is_taken(change):
        raise TokenInvalid
    if not tokens.use(token_id, Purpose.CHANGE_EMAIL):
        raise TokenInvalid
    _move(user, change.new_email, holder=holder)
    hooks.address_changed(user.pk)
    sessions.end_all(user.pk, reason=sessions.EndReason.EMAIL)
    tokens.void_all(user_id=user.pk)
    AddressChange.objects.filter(pk=change.pk).update(confirmed_at=Now())
    _tell_old_address(change)
    audit.record(Event.EMAIL_CHANGED, user_id=user.pk, client=client)
    events.emit("user.email_changed", user_id=user.pk, data={})
    return user


def _tell_old_address(change: AddressChange) -> None:
    """Mail the notice's link again, now valid for seven days from today."""
    link = MailToken.objects.unspent().filter(change=change, purpose=Purpose.UNDO_EMAIL).first()
    if link is None:
        return
    MailToken.objects.filter(pk=link.pk).update(expires_at=Now() + address_claims.UNDO_LIFETIME)
    mail.enqueue(mail.EMAIL_CHANGED, user_id=change.user_id, token=link)


@transaction.atomic
def _undo(token_id: UUID, client: Client) -> User:
    change = _change_of(token_id)
    user, holder = _lock(change.user_id, change.old_email)
    if user.status == User.Status.DELETED or not tokens.use(token_id, Purpose.UNDO_EMAIL):
        raise TokenInvalid
    hooks.remove_sign_in_methods(user.pk, since=_trusted_until(change, user))
    if contests.is_contest(change):
        contests.begin(user, client=client)
    deletion.cancel(user, client=client)
    moved = user.email != change.old_email
    user.set_unusable_password()
    _move(user, change.old_email, holder=holder)
    if moved:
        hooks.address_changed(user.pk)
    sessions.end_all(user.pk, reason=sessions.EndReason.EMAIL)
    _end_since(change)
    _mail_reset(user)
    audit.record(Event.EMAIL_CHANGE_UNDONE, user_id=user.pk, client=client)
    if moved:
        events.emit("user.email_changed", user_id=user.pk, data={})
    return user


def _trusted_until(change: AddressChange, user: User) -> datetime:
    """Return the time since which sign-in methods are suspect.

    A thief may have added some before requesting the change; those from the account's creation stay.
    """
    return max(user.created_at, change.created_at - METHODS_UNDER_SUSPICION)


def _end_since(change: AddressChange) -> None:
    """End this change and all later ones, and void every token mailed since then. Undo links of older changes stay."""
    since = AddressChange.objects.filter(user=change.user_id, created_at__gte=change.created_at)
    MailToken.objects.filter(change__in=since).void()
    since.filter(ended_at=None).update(ended_at=Now())
    tokens.void_all(user_id=change.user_id)


def _mail_reset(user: User) -> None:
    link = tokens.issue(Purpose.RESET, user_id=user.pk, email=user.email or "")
    mail.enqueue(mail.ADDRESS_RESTORED, user_id=user.pk, token=link)


# ---------------------------------------------------------------- rows


def _change_of(token_id: UUID) -> AddressChange:
    change = AddressChange.objects.select_related("session").filter(mail_tokens=token_id).first()
    if change is None:
        raise TokenInvalid
    return change


def _lock(user_id: UUID, email: str) -> tuple[User, User | None]:
    """Lock and return the user and any other holder of the address, in the order of their ids to avoid deadlocks."""
    rows = User.objects.locked().filter(Q(pk=user_id) | Q(email=email)).order_by("pk")
    found = {row.pk: row for row in rows}
    user = found.pop(user_id, None)
    if user is None:
        raise TokenInvalid
    return user, next((row for row in found.values() if row.email == email), None)


def _move(user: User, email: str, *, holder: User | None) -> None:
    """Give the user the address, which a link has just verified; an unverified holder loses it."""
    if holder is not None:
        address_claims.strip(holder)
    user.email, user.email_verified_at = email, Now()
    user.save(update_fields=["email", "email_verified_at", "password"])
    user.refresh_from_db()

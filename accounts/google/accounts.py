"""Google accounts linked to users: allauth's SocialAccount rows, identified by (issuer, sub), at most one per user.

The address that Google reports starts a new account, but never opens an existing one.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from allauth.socialaccount.models import SocialAccount
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts import audit, events, mail, sessions
from accounts.audit import Event
from accounts.factors import passkeys
from accounts.google import client as google_client
from accounts.google.errors import (
    AccountExists,
    GoogleAccountTaken,
    GoogleAlreadyLinked,
    LastLoginMethod,
)
from accounts.google.id_tokens import Identity
from accounts.identity import address_claims
from accounts.kit import names
from accounts.kit.client import Client
from accounts.models import ExchangeCode, Session, User

TRIES_WHEN_OTHERS_DO_THE_SAME = 3


def user_of(identity: Identity, *, client: Client) -> User:
    """Return the user of this Google account, creating one at its first sign-in. Raise AccountExists.

    Another process may be doing the same; on the next attempt the address that looked taken is this user's own.
    """
    for tries_left in reversed(range(TRIES_WHEN_OTHERS_DO_THE_SAME)):
        user = _known(identity)
        if user is not None:
            return user
        try:
            return _create(identity, client)
        except (AccountExists, IntegrityError):
            if not tries_left:
                raise AccountExists from None
    raise AssertionError("unreachable")


def _known(identity: Identity) -> User | None:
    rows = _rows().filter(uid=identity.subject).select_related("user")
    account = rows.first()
    if account is None:
        return None
    rows.filter(pk=account.pk).update(last_login=Now())
    user: User = account.user
    return user


@transaction.atomic
def _create(identity: Identity, client: Client) -> User:
    """Create a user with a new id, always. An unverified holder of the address loses it and keeps the rest."""
    holder = User.objects.locked().filter(email=identity.email).first()
    if (holder is not None and holder.email_verified) or address_claims.is_reserved(identity.email):
        raise AccountExists
    if holder is not None:
        address_claims.strip(holder)
    user = User(email=identity.email, email_verified_at=Now())
    user.display_name = names.taken_over(identity.name)
    user.set_unusable_password()
    user.save(force_insert=True)
    user.refresh_from_db()
    _add(user, identity, at=user.created_at)  # it does not count as a way in that was added later
    audit.record(Event.REGISTERED, user_id=user.pk, client=client)
    events.emit("user.registered", user_id=user.pk, data={})
    events.emit("user.verified", user_id=user.pk, data={})
    return user


def _add(user: User, identity: Identity, *, at: datetime | Now) -> None:
    account = SocialAccount.objects.create(
        user=user,
        provider=google_client.provider_name(),
        uid=identity.subject,
        extra_data={"email": identity.email},
    )
    SocialAccount.objects.filter(pk=account.pk).update(date_joined=at)  # allauth uses the host's clock


@transaction.atomic
def link(session: Session, identity: Identity, *, client: Client) -> None:
    """Link the Google account to the session's user. Linking the same one again changes nothing.

    Raise GoogleAccountTaken, GoogleAlreadyLinked, or SessionRevoked if the session has ended.
    """
    user = sessions.hold_user(session)
    account = _rows().filter(uid=identity.subject).first()
    if account is not None and account.user_id == user.pk:
        return
    if account is not None:
        raise GoogleAccountTaken
    if is_linked(user):
        raise GoogleAlreadyLinked
    try:
        with transaction.atomic():
            _add(user, identity, at=Now())
    except IntegrityError:
        raise GoogleAccountTaken from None
    event = audit.record(Event.GOOGLE_LINKED, user_id=user.pk, session_id=session.pk, client=client)
    mail.notify(mail.GOOGLE_LINKED, user=user, event=event)


@transaction.atomic
def unlink(session: Session, *, client: Client) -> None:
    """Unlink the user's Google account, if there is one.

    Raise SessionRevoked, or LastLoginMethod if nothing else opens the account.
    """
    user = sessions.hold_user(session)
    if not is_linked(user):
        return
    if not _has_another_way_in(user):
        raise LastLoginMethod
    SocialAccount.objects.filter(user=user).delete()
    ExchangeCode.objects.filter(user=user).delete()  # of sign-ins with that Google account
    event = audit.record(Event.GOOGLE_UNLINKED, user_id=user.pk, session_id=session.pk, client=client)
    mail.notify(mail.GOOGLE_UNLINKED, user=user, event=event)


def _has_another_way_in(user: User) -> bool:
    return bool(user.has_usable_password() or passkeys.any_signs_in_alone(user.pk))


def is_linked(user: User) -> bool:
    return bool(SocialAccount.objects.filter(user=user).exists())


def is_of(user: User, identity: Identity) -> bool:
    """Return whether this is the Google account linked to the user."""
    return bool(_rows().filter(user=user, uid=identity.subject).exists())


def _rows() -> Any:
    return SocialAccount.objects.filter(provider=google_client.provider_name())


# ---------------------------------------------------------------- what ACCOUNT_HOOKS and ACCOUNT_EXPORTS name


def remove_added_since(user_id: UUID, *, since: datetime) -> None:
    """Remove links added since then. The Google account that founded the user's account was not added, and stays."""
    SocialAccount.objects.filter(user=user_id, date_joined__gt=since).delete()


def erase(user_id: UUID) -> None:
    SocialAccount.objects.filter(user=user_id).delete()


def exported(user_id: UUID) -> Iterable[dict[str, Any]]:
    for account in SocialAccount.objects.filter(user=user_id).order_by("pk"):
        yield {
            "issuer": account.provider,
            "subject": account.uid,
            "email": account.extra_data.get("email"),
            "linked_at": account.date_joined,
            "last_used_at": account.last_login,
        }

"""Google accounts that open accounts here: allauth's SocialAccount rows, known by (issuer, sub), one a user at most.

The address that Google tells is where a new account begins, and never a reason to open an old one.
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
from accounts.models import Session, User

TRIES_WHEN_OTHERS_DO_THE_SAME = 3


def user_of(identity: Identity, *, client: Client) -> User:
    """The user whom this Google account opens; at its first sign-in a new one. Raises AccountExists.

    Another process may be doing the same: an address that looks taken is this user's own at the next try.
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
    """A new id, always: who had the address without proving it loses it and keeps the rest."""
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
    _add(user, identity, at=user.created_at)  # it is no way in that was added later
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
    SocialAccount.objects.filter(pk=account.pk).update(date_joined=at)  # allauth writes the host's clock


@transaction.atomic
def link(session: Session, identity: Identity, *, client: Client) -> None:
    """The Google account opens the account of the session from now on. The same one again changes nothing.

    Raises GoogleAccountTaken, GoogleAlreadyLinked; SessionRevoked where the session has ended.
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
    """Without a link nothing happens. Raises SessionRevoked; LastLoginMethod where nothing else opens the account."""
    user = sessions.hold_user(session)
    if not is_linked(user):
        return
    if not _has_another_way_in(user):
        raise LastLoginMethod
    SocialAccount.objects.filter(user=user).delete()
    event = audit.record(Event.GOOGLE_UNLINKED, user_id=user.pk, session_id=session.pk, client=client)
    mail.notify(mail.GOOGLE_UNLINKED, user=user, event=event)


def _has_another_way_in(user: User) -> bool:
    return bool(user.has_usable_password() or passkeys.any_signs_in_alone(user.pk))


def is_linked(user: User) -> bool:
    return bool(SocialAccount.objects.filter(user=user).exists())


def is_of(user: User, identity: Identity) -> bool:
    """Return whether it is the Google account that opens this one."""
    return bool(_rows().filter(user=user, uid=identity.subject).exists())


def _rows() -> Any:
    return SocialAccount.objects.filter(provider=google_client.provider_name())


# ---------------------------------------------------------------- what ACCOUNT_HOOKS and ACCOUNT_EXPORTS name


def remove_added_since(user_id: UUID, *, since: datetime) -> None:
    """The one that founded the account was not added to it."""
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

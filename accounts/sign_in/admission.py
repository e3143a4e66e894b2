"""Letting someone in, once a way of signing in has shown who it is: the same rules on every path that gives tokens.

Passwords, second factors, passkeys and Google each prove it in a module of their own and then call `admit`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import transaction

from accounts import factors, sessions
from accounts.errors import AccountSuspended, DeletionPending, EmailNotVerified, MFARequired
from accounts.identity import deletion
from accounts.kit import metrics
from accounts.kit.client import Client
from accounts.models import User
from accounts.sessions import TokenPair
from accounts.sign_in import half_sign_ins

Status = User.Status


@contextmanager
def metered(way: str, *, done: str | None = "ok") -> Iterator[None]:
    """One try to sign in, for the metrics: `done`, or the code of what it was refused with. Around the transaction:
    what is undone at its end was no sign-in. A step that another follows is `done` with that one's name, or with None
    where only its refusals count.
    """
    try:
        yield
    except Exception as refusal:
        metrics.count(metrics.LOGINS, way, getattr(refusal, "default_code", "failed"))
        raise
    if done is not None:
        metrics.count(metrics.LOGINS, way, done)


def may_sign_in(user: User) -> bool:
    """Return whether the account is known at all to who signs in; asked before anything of theirs is used up.

    Deleted accounts are unknown; where the setting says so, unverified ones are too.
    """
    if user.status == Status.DELETED:
        return False
    return user.email_verified or not settings.LOGIN_REQUIRES_VERIFIED_EMAIL


def require_verified(user: User) -> None:
    """Raise EmailNotVerified where the setting demands it. Call it once they have proved who they are, as by Google."""
    if settings.LOGIN_REQUIRES_VERIFIED_EMAIL and not user.email_verified:
        raise EmailNotVerified


def admit(
    user: User, *, methods: list[str], cancel_deletion: bool, client: Client, password_hash: str | None = None
) -> TokenPair | None:
    """Open a session of these methods (RFC 8176 values); return None where the account changed since `user` was read.

    `password_hash` replaces the stored one in the same transaction: today's form of it. Raises AccountSuspended,
    DeletionPending or, where the account has a second factor and `methods` none, MFARequired: what may be told only to
    who has proved who they are.
    """
    _check_state(user, cancel_deletion=cancel_deletion)
    if factors.MFA not in methods and (second := factors.names_of(user.pk)):
        if password_hash is not None and not _upgrade(user, password_hash):
            return None
        token = half_sign_ins.issue(user, methods=methods, cancel_deletion=cancel_deletion)
        raise MFARequired(mfa_token=token, methods=second)
    return _open(user, methods, password_hash, client)


def _check_state(user: User, *, cancel_deletion: bool) -> None:
    if user.status == Status.SUSPENDED:
        raise AccountSuspended
    if user.status == Status.PENDING_DELETION and not cancel_deletion:
        raise DeletionPending


@transaction.atomic
def _open(user: User, methods: list[str], password_hash: str | None, client: Client) -> TokenPair | None:
    if user.status == Status.PENDING_DELETION and not deletion.cancel(user, client=client):
        return None
    if password_hash is not None and not _upgrade(user, password_hash):
        return None
    return sessions.open_session(user, methods=methods, client=client)


def _upgrade(user: User, password: str) -> bool:
    """Store today's form of the hash, before the session is opened: that shares a lock which this needs alone."""
    stored: int = User.objects.as_judged(user).update(password=password)
    user.password = password
    return stored == 1

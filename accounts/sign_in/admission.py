"""Admit a user whom one of the sign-in methods has identified: the same rules on every path that issues tokens.

Passwords, second factors, passkeys and Google each prove identity in their own module, and then call `admit`.
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
    """Count a sign-in attempt in the metrics, under `done` or the code of its refusal.

    Use it around the transaction, since a sign-in that is rolled back does not count. For a step that another follows,
    `done` is that step's name, or None to count only refusals.
    """
    try:
        yield
    except Exception as refusal:
        metrics.count(metrics.LOGINS, way, getattr(refusal, "default_code", "failed"))
        raise
    if done is not None:
        metrics.count(metrics.LOGINS, way, done)


def may_sign_in(user: User) -> bool:
    """Return whether a sign-in may know of this account at all; ask before using up any of its tokens.

    Deleted accounts are unknown, as are unverified ones if LOGIN_REQUIRES_VERIFIED_EMAIL is set.
    """
    if user.status == Status.DELETED:
        return False
    return user.email_verified or not settings.LOGIN_REQUIRES_VERIFIED_EMAIL


def require_verified(user: User) -> None:
    """Raise EmailNotVerified where the setting demands a verified address.

    Call it only once the user has proved who they are, as with Google.
    """
    if settings.LOGIN_REQUIRES_VERIFIED_EMAIL and not user.email_verified:
        raise EmailNotVerified


def admit(
    user: User, *, methods: list[str], cancel_deletion: bool, client: Client, password_hash: str | None = None
) -> TokenPair | None:
    """Open a session with these methods (RFC 8176 values); return None if the account has changed.

    It must be as it was when `user` was read. `password_hash`, an upgraded form of the stored hash, replaces it in the
    same transaction. Raise AccountSuspended, DeletionPending or, if the account has a second factor and `methods` has
    none, MFARequired. These refusals may be revealed only to someone who has proved who they are.
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
    """Store the upgraded hash before the session is opened: opening it shares a lock which this needs exclusively."""
    stored: int = User.objects.as_judged(user).update(password=password)
    user.password = password
    return stored == 1

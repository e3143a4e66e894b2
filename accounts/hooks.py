"""Call other apps when something happens to an account, by the dotted paths in settings.ACCOUNT_HOOKS.

Each hook is called with keywords, in the transaction of its cause, so that both succeed or neither does. Callers lock
the user's row, and touch rows of other apps before they change its address (accounts/identity/address_change.py).

registered(user_ids)                     the users are new, and nothing refers to them yet
purged(user_ids)                         the users are about to be deleted; no app said that they own something
block_spending(user_id, reason), unblock_spending(user_id, reason)
remove_sign_in_methods(user_id, since)   remove sign-in methods other than the password that were added since then
close(user_id)                           the account will be deleted, but may come back
address_changed(user_id)
forfeits(user_id)                        the number of credits that the user would lose with the account
erasure_waits_until(user_id)             the time until which something of the user's is still open, or None
erase(user_id)                           clear personal data, and keep what must be provable
proofs(user)                             the names of the methods by which this user can re-authenticate
owners()                                 a query of the ids of users who own something, and are never purged
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from accounts.models import User

DELETION, SUSPENDED, CONTESTED = "deletion", "suspended", "contested"  # reasons to block spending


def registered(user_ids: Sequence[UUID]) -> None:
    _call("registered", user_ids=user_ids)


def saved(instance: User, *, created: bool, **_: Any) -> None:
    """Register a user who is saved singly, as by Google or a command; bulk inserts do not send Django's signal."""
    if created:
        registered([instance.pk])


def purged(user_ids: Sequence[UUID]) -> None:
    _call("purged", user_ids=user_ids)


def block_spending(user_id: UUID, *, reason: str) -> None:
    _call("block_spending", user_id=user_id, reason=reason)


def unblock_spending(user_id: UUID, *, reason: str) -> None:
    _call("unblock_spending", user_id=user_id, reason=reason)


def remove_sign_in_methods(user_id: UUID, *, since: datetime) -> None:
    _call("remove_sign_in_methods", user_id=user_id, since=since)


def close(user_id: UUID) -> None:
    _call("close", user_id=user_id)


def address_changed(user_id: UUID) -> None:
    _call("address_changed", user_id=user_id)


def forfeits(user_id: UUID) -> int:
    return sum(_call("forfeits", user_id=user_id))


def erasure_waits_until(user_id: UUID) -> datetime | None:
    times = [until for until in _call("erasure_waits_until", user_id=user_id) if until is not None]
    return max(times, default=None)


def erase(user_id: UUID) -> None:
    _call("erase", user_id=user_id)


def proofs(user: User) -> list[str]:
    return [name for names in _call("proofs", user=user) for name in names]


def owners() -> list[Any]:
    return _call("owners")


def _call(name: str, **arguments: Any) -> list[Any]:
    return [import_string(path)(**arguments) for path in settings.ACCOUNT_HOOKS[name]]

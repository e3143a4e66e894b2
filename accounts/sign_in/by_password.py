"""Sign in with a password.

An account's state is revealed only to someone who knows its password. Everyone else gets the same answer, at the same
cost: one look-up, one hash, one audit row.
"""

from collections.abc import Callable
from typing import Any

from accounts import audit, passwords
from accounts.audit import Event
from accounts.errors import InvalidCredentials
from accounts.kit import email_address
from accounts.kit.client import Client
from accounts.kit.problems import ServiceUnavailable
from accounts.models import User
from accounts.sessions import TokenPair
from accounts.sign_in import admission, tries
from accounts.sign_in.tries import Try

TRIES_WHEN_ACCOUNT_CHANGES = 3


@admission.metered("password")
def sign_in(*, email: str, password: str, cancel_deletion: bool, client: Client) -> TokenPair:
    """Open a session with an address and a password.

    Raise InvalidCredentials, MFARequired, AccountSuspended, DeletionPending, RateLimited or ServiceUnavailable.
    """
    passwords.require_room()
    address = email_address.normalize(email)
    with tries.counted(address, client) as one:
        for _ in range(TRIES_WHEN_ACCOUNT_CHANGES):
            user, upgrade = who_knows(address, password, client, one)
            pair = admission.admit(
                user, methods=["pwd"], cancel_deletion=cancel_deletion, client=client, password_hash=upgrade
            )
            if pair is not None:
                return pair  # otherwise the account changed during the hashing: check it again
        raise ServiceUnavailable


def who_knows(
    address: str,
    password: str,
    client: Client,
    one: Try,
    *,
    may: Callable[[User], bool] = admission.may_sign_in,
    detail: dict[str, Any] | None = None,
) -> tuple[User, str | None]:
    """Return the user of this address and password, and a stronger hash if the stored one is weak.

    Raise InvalidCredentials for anyone else, and for a user whom `may` does not admit; a failed attempt costs the same.
    Failures are audited with `detail`, except during a pause, when each of a stranger's attempts would add a row.
    """
    user = User.objects.filter(email=address).first()
    verdict = passwords.verify(password, user.password if user is not None else None, one.attempt)
    if user is None or not verdict.right or not one.opens or not may(user):
        if one.pause is None:
            user_id = user.pk if user is not None else None
            audit.record(Event.SIGN_IN_FAILED, user_id=user_id, client=client, detail=detail)
        raise InvalidCredentials
    return user, verdict.upgrade

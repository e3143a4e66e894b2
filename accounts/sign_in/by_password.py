"""Sign-in with a password.

The state of an account is told only to who knows its password; everyone else gets one answer, for the same work: one
look-up, one hash, one audit row.
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
    """Open a session.

    Raises InvalidCredentials, MFARequired, AccountSuspended, DeletionPending, RateLimited or ServiceUnavailable.
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
                return pair  # else the account changed while the password was hashed: judge it again
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
    """Return the user of the address and password, and the password's new hash where the old one is weak.

    Raises InvalidCredentials for anybody else, and for whom `may` does not admit. A try that opens nothing costs the
    same. It is audited with `detail`, but not in a pause: it would be a row for each of a stranger's.
    """
    user = User.objects.filter(email=address).first()
    verdict = passwords.verify(password, user.password if user is not None else None, one.attempt)
    if user is None or not verdict.right or not one.opens or not may(user):
        if one.pause is None:
            user_id = user.pk if user is not None else None
            audit.record(Event.SIGN_IN_FAILED, user_id=user_id, client=client, detail=detail)
        raise InvalidCredentials
    return user, verdict.upgrade

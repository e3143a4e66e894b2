"""Sign-in with a password.

The state of an account is told only to who knows its password; everyone else gets one answer, for the same work: one
look-up, one hash, one audit row.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from accounts import audit, passwords
from accounts.audit import Event
from accounts.errors import InvalidCredentials, MFARequired
from accounts.kit import email_address, throttles
from accounts.kit.client import Client, network
from accounts.kit.problems import RateLimited, ServiceUnavailable
from accounts.kit.throttles import Hit
from accounts.models import Session, User
from accounts.passwords import Attempt
from accounts.sessions import TokenPair
from accounts.sign_in import admission

TRIES_WHEN_ACCOUNT_CHANGES = 3


@admission.metered("password")
def sign_in(*, email: str, password: str, cancel_deletion: bool, client: Client) -> TokenPair:
    """Opens a session.

    Raises InvalidCredentials, MFARequired, AccountSuspended, DeletionPending, RateLimited or ServiceUnavailable.
    """
    passwords.require_room()
    address = email_address.normalize(email)
    with within_limits(address, client) as attempt:
        for _ in range(TRIES_WHEN_ACCOUNT_CHANGES):
            user, upgrade = _who_knows(address, password, attempt, client)
            pair = admission.admit(
                user, methods=["pwd"], cancel_deletion=cancel_deletion, client=client, password_hash=upgrade
            )
            if pair is not None:
                return pair  # else the account changed while the password was hashed: judge it again
        raise ServiceUnavailable


@contextmanager
def within_limits(address: str, client: Client) -> Iterator[Attempt]:
    """One try of a password, at whichever door: counted before it is looked at, so that parallel ones gain nothing.

    It is counted twice. As work, right or wrong (accounts/passwords/attempts.py). And as a guess, which only a wrong
    password stays: a right one, or a try that was never judged, takes its own hits back, no others; but a right one
    ends the row of wrong ones of its account.
    """
    throttles.take(*throttles.from_network("login", client.ip))
    attempt = passwords.by_stranger(address, client)
    failures = throttles.from_network("login_failures", client.ip, address)
    throttles.take(*failures)
    in_a_row = _count_in_a_row(address, client, failures)
    try:
        yield attempt
    except InvalidCredentials:
        raise
    except MFARequired:
        _right(address, failures, in_a_row)
        raise
    except BaseException:
        throttles.give_back(*failures, in_a_row)
        raise
    _right(address, failures, in_a_row)


def _right(address: str, failures: list[Hit], in_a_row: Hit) -> None:
    throttles.give_back(*failures)
    throttles.forget(_everywhere(address), in_a_row)


def _count_in_a_row(address: str, client: Client, failures: list[Hit]) -> Hit:
    """At most 100 wrong passwords in a row, with growing pauses (NIST SP 800-63B-4, 3.2.2), wherever they come from.

    While strangers keep an account in such a pause, its owner gets in all the same from an address that has had a
    session of it: that one has a row of its own. Whether it has is asked for every account, known or not.
    """
    try:
        throttles.take(_everywhere(address))
    except RateLimited:
        here = throttles.hit("login_account", address, network(client.ip))
        try:
            if not _was_here(address, client):
                raise
            throttles.take(here)
        except BaseException:
            throttles.give_back(*failures)
            raise
        return here
    return _everywhere(address)


def _everywhere(address: str) -> Hit:
    return throttles.hit("login_account", address)


def _was_here(address: str, client: Client) -> bool:
    return Session.objects.filter(user__email=address, ip=client.ip).exists()


def _who_knows(address: str, password: str, attempt: Attempt, client: Client) -> tuple[User, str | None]:
    """The user of the address and password, and the password's new hash where the old one is weak."""
    user = User.objects.filter(email=address).first()
    verdict = passwords.verify(password, user.password if user is not None else None, attempt)
    if user is None or not verdict.right or not admission.may_sign_in(user):
        audit.record(Event.SIGN_IN_FAILED, user_id=user.pk if user is not None else None, client=client)
        raise InvalidCredentials
    return user, verdict.upgrade

"""Count wrong passwords, each before it is checked, so that parallel attempts gain nothing.

A stranger who guesses from many networks brings the account into a pause that grows (NIST SP 800-63B-4, 3.2.2). The
owner can still sign in: from a network where the account was seen recently, and on any device with a device token of
the account (accounts/sessions/device_tokens.py). Each of these has a few attempts that nobody else can use up.

An attempt during the pause reveals nothing: every wrong password, and a right one from anywhere else, is checked with
the same work and refused with the pause.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection

from accounts import passwords
from accounts.errors import InvalidCredentials, MFARequired
from accounts.kit import throttles
from accounts.kit.client import Client, network
from accounts.kit.problems import RateLimited
from accounts.kit.throttles import Hit
from accounts.models import User
from accounts.passwords import Attempt
from accounts.sessions import device_tokens

SEEN_FOR_DAYS = 30

# An account is seen at each sign-in and refresh; staff also by their use of the admin.
_WAS_SEEN = """
SELECT EXISTS (
  SELECT FROM accounts_session AS session JOIN accounts_user AS owner ON owner.id = session.user_id
  WHERE owner.email = %(address)s AND session.ip <<= %(network)s::inet
    AND session.last_used_at > clock_timestamp() - %(days)s * interval '1 day'
)
"""


@dataclass(frozen=True)
class Door:
    """The names in RATE_LIMITS of the rules of one place that takes passwords. Attempts at one never block another."""

    tries: str
    wrong: str
    in_a_row: str


API = Door("login", "login_failures", "login_account")
ADMIN = Door("admin_login", "admin_login_failures", "admin_login_account")
DOORS = (API, ADMIN)


@dataclass(frozen=True)
class Try:
    """How an attempt was counted: by `wrong` until it proves right, and in the run of `in_a_row`."""

    attempt: Attempt
    wrong: tuple[Hit, ...]
    in_a_row: tuple[Hit, ...]
    pause: RateLimited | None = None  # raised instead of InvalidCredentials while the account is paused
    opens: bool = True  # whether a right password is accepted


@contextmanager
def counted(address: str, client: Client, door: Door = API) -> Iterator[Try]:
    """Count a password attempt. Raise RateLimited, during a pause instead of InvalidCredentials.

    Only a wrong one stays counted. A right one, or one that was never checked, takes back its own hits and no others; a
    right one also ends the account's run of wrong ones.
    """
    one = _count(address, client, door)
    try:
        yield one
    except InvalidCredentials:
        if one.pause is not None:
            raise one.pause from None
        raise
    except MFARequired:
        _right(one, address, door)
        raise
    except BaseException:
        throttles.give_back(*one.wrong, *one.in_a_row)
        raise
    _right(one, address, door)


def of_holder(user: User, client: Client) -> Attempt:
    """Count an attempt by the holder of a session or a mailed link, by the account's address or, if it has none, its
    id.
    """
    return passwords.by_holder(user.email or str(user.pk), client)


def forget(address: str) -> None:
    """Reset the runs of wrong passwords, after a new password or a review by staff."""
    throttles.forget(*(_everywhere(address, door) for door in DOORS))


def was_seen(address: str, home: str) -> bool:
    """Return whether the account was recently seen in this network (`Client.home`)."""
    if not home:
        return False
    values: dict[str, Any] = {
        "address": address,
        "network": home,
        "days": SEEN_FOR_DAYS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_WAS_SEEN, values)
        return bool(cursor.fetchone()[0])


def _right(one: Try, address: str, door: Door) -> None:
    throttles.give_back(*one.wrong)
    throttles.forget(_everywhere(address, door), *one.in_a_row)


def _count(address: str, client: Client, door: Door) -> Try:
    on_device = _by_device(address, client, door)
    if on_device is not None:
        return on_device
    tried = throttles.from_network(door.tries, client.limited_ip)
    wrong = (throttles.hit(door.wrong, address, network(client.limited_ip)),)
    attempt = passwords.by_stranger(address, client, *tried, *wrong)
    try:
        throttles.take(_everywhere(address, door))
    except RateLimited as pause:
        return _in_pause(Try(attempt, wrong, (), pause, opens=False), address, client, door)
    return Try(attempt, wrong, (_everywhere(address, door),))


def _by_device(address: str, client: Client, door: Door) -> Try | None:
    """Count an attempt from a device that has a token of this account and attempts left, by no shared limit."""
    if not device_tokens.is_genuine(client.device_token):
        return None
    user = User.objects.filter(email=address).first()
    device = device_tokens.device_in(client.device_token, user)
    if device is None:
        return None
    own = _own(address, device, door)
    try:
        return Try(passwords.by_device(address, *own), (), own)
    except RateLimited:
        return None


def _in_pause(one: Try, address: str, client: Client, door: Door) -> Try:
    """Count the attempt as a known network's, and look up whether it is one; both happen whether or not it is."""
    home = client.home
    own = _own(address, home, door)
    try:
        throttles.take(*own)
    except RateLimited:
        return one
    return replace(one, in_a_row=own, opens=was_seen(address, home))


def _own(address: str, source: str, door: Door) -> tuple[Hit, ...]:
    """Return the hits that limit a known network or device on this account at this door."""
    return (
        throttles.hit("known_source", door.in_a_row, address, source),
        throttles.hit("known_source_in_a_row", door.in_a_row, address, source),
    )


def _everywhere(address: str, door: Door) -> Hit:
    return throttles.hit(door.in_a_row, address)

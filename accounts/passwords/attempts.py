"""Count each password, right or wrong, before it is hashed; nothing in this package hashes one uncounted.

A right password costs as much as a wrong one, so even an account or network that is never wrong must not take the
hashing capacity from everybody else: its attempts are few, and its turns a fair share (accounts/kit/turns.py).
"""

from typing import NamedTuple

from accounts.kit import throttles
from accounts.kit.client import Client, network
from accounts.kit.throttles import Hit


class Attempt(NamedTuple):
    """One attempt: the hits it was counted as, and the sources to whose share of the machine's hashing it belongs."""

    counted: tuple[Hit, ...]
    sources: tuple[str, ...]

    def give_back(self) -> None:
        """Take the hits back, if nothing was hashed after all."""
        throttles.give_back(*self.counted)


def by_stranger(address: str, client: Client, *beside: Hit) -> Attempt:
    """Count an attempt by someone who has only named an account, known or not. Raise RateLimited.

    It is counted per account and network, so that naming an account cannot lock its owner out. `beside` are hits of the
    caller's, counted in the same step, all or none; the caller gives them back.
    """
    return _count(
        address, client, throttles.hit("proofs_named", address, network(client.limited_ip)), *beside
    )


def by_holder(account: str, client: Client) -> Attempt:
    """Count an attempt by the holder of a session or a mailed link of the account. Raise RateLimited."""
    return _count(account, client, throttles.hit("proofs_held", account))


def by_device(account: str, *beside: Hit) -> Attempt:
    """Count an attempt from a device with a token of the account, and `beside` in one step, by no shared limit.

    Raise RateLimited.
    """
    counted = throttles.hit("device_login", account)
    throttles.take(*beside, counted)
    return Attempt((counted,), (counted.key,))


def _count(account: str, client: Client, of_account: Hit, *beside: Hit) -> Attempt:
    """Count the attempt. Its shares are those of the account and of the widest network that has limits."""
    of_network = throttles.from_network("proofs", client.limited_ip)
    counted = (*of_network, of_account)
    throttles.take(*beside, *counted)
    return Attempt(counted, (of_network[-1].key, throttles.hit("proofs_held", account).key))

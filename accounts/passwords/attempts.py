"""Counts each password, right or wrong, before it is hashed: nothing in this folder hashes without.

A right password costs as much as a wrong one. So one account or one network that is never wrong must not take the
hashing from everybody else either: its tries are few, and its turns a fair share (accounts/kit/turns.py).
"""

from typing import NamedTuple

from accounts.kit import throttles
from accounts.kit.client import Client, network
from accounts.kit.throttles import Hit


class Attempt(NamedTuple):
    """One try: what it was counted as, and whose share of the machine's hashing it takes."""

    counted: tuple[Hit, ...]
    sources: tuple[str, ...]

    def give_back(self) -> None:
        """Call it when nothing was hashed after all."""
        throttles.give_back(*self.counted)


def by_stranger(address: str, client: Client, *beside: Hit) -> Attempt:
    """Count a try of someone who has only named an account, known or not. Raises RateLimited.

    Counted per account and network: nobody shuts an account's owner out by naming it. `beside`: hits of the caller's,
    counted in the same step, so all or none; they are the caller's to give back.
    """
    return _count(
        address, client, throttles.hit("proofs_named", address, network(client.limited_ip)), *beside
    )


def by_holder(account: str, client: Client) -> Attempt:
    """Count a try of someone who holds a session or a mailed link of the account. Raises RateLimited."""
    return _count(account, client, throttles.hit("proofs_held", account))


def by_device(account: str, *beside: Hit) -> Attempt:
    """Count a try on a device that has a token of the account, by nothing that others share, and `beside` in one step.

    Raises RateLimited.
    """
    counted = throttles.hit("device_login", account)
    throttles.take(*beside, counted)
    return Attempt((counted,), (counted.key,))


def _count(account: str, client: Client, of_account: Hit, *beside: Hit) -> Attempt:
    """Count it; its share is that of the widest network that limits know, and that of the account."""
    of_network = throttles.from_network("proofs", client.limited_ip)
    counted = (*of_network, of_account)
    throttles.take(*beside, *counted)
    return Attempt(counted, (of_network[-1].key, throttles.hit("proofs_held", account).key))

"""RateLimit-Policy and RateLimit: a caller's limits and what is left of them (draft-ietf-httpapi-ratelimit-headers).

An endpoint names the rules of RATE_LIMITS to report (`limits`, accounts/tiers.py). The policy is always sent; what is
left is noted by accounts/kit/throttles.py as it counts. Rules that no endpoint names are never reported: how often
others have guessed at an account, for example, must stay private.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import NamedTuple

from django.conf import settings

POLICY, STANDING = "RateLimit-Policy", "RateLimit"


class Standing(NamedTuple):
    """The hits left of a limit, and the seconds until one more is available."""

    left: int
    reset: int


# The current request's limits; None if they are not reported.
_noted: ContextVar[dict[str, Standing] | None] = ContextVar("limits_noted", default=None)


def begin() -> None:
    """Start noting. Call it before the handler of an endpoint that has limits."""
    _noted.set({})


def note(rule: str, standing: Standing) -> None:
    noted = _noted.get()
    if noted is not None:
        noted[rule] = standing


def note_return(rule: str) -> None:
    noted = _noted.get()
    if noted is not None and rule in noted:
        noted[rule] = noted[rule]._replace(left=noted[rule].left + 1)


def headers(rules: Sequence[str]) -> dict[str, str]:
    """Return the headers as structured fields (RFC 9651): lists of the rules' names with parameters."""
    noted = _noted.get() or {}
    _noted.set(None)
    standings = ", ".join(
        f'"{rule}";r={noted[rule].left};t={noted[rule].reset}' for rule in rules if rule in noted
    )
    return {POLICY: ", ".join(map(_policy, rules)), **({STANDING: standings} if standings else {})}


def _policy(rule: str) -> str:
    quota, window, *_ = settings.RATE_LIMITS[rule]
    return f'"{rule}";q={quota * settings.RATE_LIMITS_FACTOR};w={window}'

"""RateLimit-Policy and RateLimit: what a caller may do, and what is left of it (draft-ietf-httpapi-ratelimit-headers).

An endpoint names the rules of RATE_LIMITS that its callers are told of (`limits`, accounts/tiers.py). The policy is
theirs whatever happens; the standing is noted by accounts/kit/throttles.py as it counts. Rules that no endpoint names
stay unsaid: how often others have guessed at an account, say, is nobody's business.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import NamedTuple

from django.conf import settings

POLICY, STANDING = "RateLimit-Policy", "RateLimit"


class Standing(NamedTuple):
    """Hits that are left of one limit, and the seconds until there is room for one more than that."""

    left: int
    reset: int


# Of the request that this thread serves; None where nobody is told.
_noted: ContextVar[dict[str, Standing] | None] = ContextVar("limits_noted", default=None)


def begin() -> None:
    """Called before the handler of an endpoint that has limits."""
    _noted.set({})


def note(rule: str, standing: Standing) -> None:
    noted = _noted.get()
    if noted is not None:
        noted[rule] = standing


def note_return(rule: str) -> None:
    """A hit was given back."""
    noted = _noted.get()
    if noted is not None and rule in noted:
        noted[rule] = noted[rule]._replace(left=noted[rule].left + 1)


def headers(rules: Sequence[str]) -> dict[str, str]:
    """Structured fields (RFC 9651): lists of the rules' names with their parameters."""
    noted = _noted.get() or {}
    _noted.set(None)
    standings = ", ".join(
        f'"{rule}";r={noted[rule].left};t={noted[rule].reset}' for rule in rules if rule in noted
    )
    return {POLICY: ", ".join(map(_policy, rules)), **({STANDING: standings} if standings else {})}


def _policy(rule: str) -> str:
    quota, window, *_ = settings.RATE_LIMITS[rule]
    return f'"{rule}";q={quota * settings.RATE_LIMITS_FACTOR};w={window}'

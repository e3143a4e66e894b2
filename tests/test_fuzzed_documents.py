"""Both documents against what is served: requests that fit and requests that do not, as every kind of caller.

No answer is a 5xx, and each is one that the document describes. `FUZZ_EXAMPLES` says how many of each; `script/attack
documents` runs many more than these.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import User
from tests.fuzzing import fuzz, operations
from tests.listeners import ListenerClient
from tests.principals import api_key, bearer
from tests.surface import surface

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))
# Whom a tier tells apart; a public call looks at no credential.
PRINCIPALS = {
    "public": ["nobody"],
    "authenticated": ["nobody", "unverified", "verified", "suspended"],
    "verified": ["nobody", "unverified", "verified", "suspended"],
    "internal": ["nobody", "service"],
}
TIERS = {f"{route.method} {route.path}": route.tier for route in surface()}
CASES = [
    pytest.param((listener, operation, principal), id=f"{listener}: {operation.label} as {principal}")
    for listener in ("public", "internal")
    for operation in operations(listener)
    for principal in PRINCIPALS[TIERS[operation.label]]
]


@pytest.fixture
def credential(
    make_user: Callable[..., User], service_key: Callable[..., str]
) -> Callable[[str], dict[str, str]]:
    def credential(principal: str) -> dict[str, str]:
        fields: dict[str, Any] = {"unverified": {"verified": False}, "suspended": {"status": "suspended"}}
        if principal == "nobody":
            return {}
        if principal == "service":
            return api_key(service_key())
        return bearer(make_user(**fields.get(principal, {})))

    return credential


@pytest.mark.django_db
@pytest.mark.parametrize("case", CASES)
def test_every_answer_is_in_the_document(
    case: tuple[str, Any, str], credential: Callable[[str], dict[str, str]], settings: Any
) -> None:
    listener, operation, principal = case
    settings.RATE_LIMITS_FACTOR = 100_000
    fuzz(operation, ListenerClient(listener), credential(principal), examples=EXAMPLES)

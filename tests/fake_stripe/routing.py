"""Routes: which function answers which path, and with which parameters."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fake_stripe.parameters import typed
from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json, Refusal, unsupported

Handler = Callable[..., Json]
PAGE = "limit starting_after ending_before"


@dataclass(frozen=True)
class Route:
    method: str
    pattern: re.Pattern[str]
    parameters: str
    supported: frozenset[str]
    handler: Handler

    def answer(self, store: Store, raw: Json, identifiers: dict[str, str]) -> Json:
        return self.handler(store, self.checked(raw), *identifiers.values())

    def checked(self, raw: Json) -> Json:
        """Refuse what Stripe refuses, then what Stripe accepts but the fake would have to ignore."""
        given = typed({name: value for name, value in raw.items() if name != "expand"}, self.parameters)
        for name in given:
            if name not in self.supported:
                raise unsupported(f"{name} at {self.pattern.pattern}", name)
        return given


ROUTES: list[Route] = []


def route(method: str, path: str, parameters: str, supported: str = "") -> Callable[[Handler], Handler]:
    """Register a handler; `supported` names the parameters that it implements."""
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))

    def register(handler: Handler) -> Handler:
        ROUTES.append(Route(method, pattern, parameters, frozenset(supported.split()), handler))
        return handler

    return register


def find(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """Return the route with the fewest placeholders: `/v1/invoices/create_preview` is not an invoice's id."""
    matches = [(one, one.pattern.fullmatch(path)) for one in ROUTES if one.method == method]
    found = [(one, match.groupdict()) for one, match in matches if match]
    if not found:
        raise Refusal(
            f"Unrecognized request URL ({method}: {path}).", status=404, code="url_invalid", stored=False
        )
    return min(found, key=lambda pair: len(pair[1]))


def without_expand(raw: Json) -> tuple[Json, list[str]]:
    asked: Any = raw.get("expand", {})
    if not isinstance(asked, dict):
        raise Refusal("Invalid array", param="expand", stored=False)
    return raw, [str(path) for path in asked.values()]

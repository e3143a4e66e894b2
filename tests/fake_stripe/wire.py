"""Stripe's wire format: nested form parameters in, JSON and the error envelope out."""

import json
import re
from typing import Any
from urllib.parse import parse_qsl

Json = dict[str, Any]

KEY_PART = re.compile(r"\[([^\[\]]*)\]")
DOCUMENTATION = "https://docs.stripe.com/error-codes#"


class Refusal(Exception):
    """Any answer other than 200. `stored` is false if Stripe keeps no answer for the idempotency key."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        stored: bool = True,
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.status, self.stored, self.headers = status, stored, headers or {}
        documentation = DOCUMENTATION + code.replace("_", "-") if code else None
        named = {"code": code, "doc_url": documentation, "message": message, "param": param, "type": type}
        self.error = {name: value for name, value in {**named, **extra}.items() if value is not None}


def missing(kind: str, identifier: object, *, param: str = "id", status: int = 404) -> Refusal:
    """Return Stripe's wording: `No such customer: 'cus_1'`, 404 for the path and 400 for a parameter."""
    name = {"payment_method": "PaymentMethod"}.get(kind, kind)
    return Refusal(f"No such {name}: '{identifier}'", status=status, code="resource_missing", param=param)


def unsupported(what: str, param: str) -> Refusal:
    """Return the fake's own refusal of a valid request that it would have to ignore in part."""
    return Refusal(
        f"The fake Stripe does not act on {what}.", code="fake_unsupported", param=param, stored=False
    )


def decode(text: str) -> Json:
    """Convert `items[0][price]=p&metadata[a]=b` to nested dicts of strings, and `a[]=1` to a list."""
    tree: Json = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, _, rest = name.partition("[")
        put(tree, [head, *KEY_PART.findall(f"[{rest}" if rest else "")], value)
    return tree


def put(tree: Json, path: list[str], value: str) -> None:
    branch = tree
    for depth, part in enumerate(path[:-1]):
        following = branch.setdefault(part or str(len(branch)), {})
        if not isinstance(following, dict):
            raise Refusal(f"Invalid nesting of {path[0]}", param=".".join(path[: depth + 1]), stored=False)
        branch = following
    branch[path[-1] or str(len(branch))] = value


def encode(answer: Json) -> bytes:
    """Return JSON indented by two, as Stripe's answers and webhook bodies are."""
    return json.dumps(answer, indent=2).encode()

"""Lists each kind of caller, as headers, and how a route is called."""

import secrets
import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from accounts.models import User
from accounts.service_keys import form
from tests.fixtures import issue_access_token
from tests.surface import Route

NOBODY = "5d0c1f6e-7a39-4b86-9c51-0e2f4a8b7d13"
SAMPLES = {"email": "nobody@example.com", "passkey_id": "4711"}


def path_of(route: Route) -> str:
    """The route's path with ids that nobody has."""
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    return route.path.format(**{name: SAMPLES.get(name, NOBODY) for name in names})


def bearer(user: User, **session: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_access_token(user, **session)}"}


def api_key(text: str) -> dict[str, str]:
    return {"X-API-Key": text}


def well_formed_but_unknown_key() -> str:
    """Right form, right checksum, never issued."""
    return form.generate("test").text


def example_body(route: Route) -> Any:
    """The body that the documentation shows, or nothing."""
    operation = getattr(getattr(route.view, route.method.lower()), "operation", None)
    return operation.body_example if operation is not None else None


def shape_of(route: Route) -> type[msgspec.Struct]:
    shape: type[msgspec.Struct] = route.view().shape(route.method)
    return shape


def passing_headers(
    route: Route, *, make_user: Callable[..., User], service_key: Callable[..., str]
) -> dict[str, str]:
    """The credential that the route asks for, held by nobody else."""
    if route.tier in {"authenticated", "verified"}:
        return bearer(make_user())
    if route.tier == "internal":
        return api_key(service_key(f"s{zlib.crc32(secrets.token_bytes(8)):08x}"))
    return {}

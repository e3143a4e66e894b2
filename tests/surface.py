"""The whole HTTP surface, read from the three URLconfs. `script/endpoints` writes the two tables with it."""

import re
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from django.urls import URLPattern, URLResolver

from accounts.tiers import Endpoint
from config.sections import identifier_of

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "tests" / "endpoints.txt"
PAGE = ROOT / "docs" / "endpoints.md"
LISTENERS = ("public", "internal", "admin")
METHODS = ("get", "post", "put", "patch", "delete")
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


class Route(NamedTuple):
    """One method of one path on one listener. `note` is the scope of the key, or the mark of the view."""

    method: str
    path: str
    listener: str
    tier: str
    note: str
    view: Any = None

    def scopes(self) -> tuple[str, ...]:
        """Return those of which a key must hold one."""
        scopes: tuple[str, ...] = self.view().required_scopes(self.method) if self.tier == "internal" else ()
        return scopes

    def line(self) -> str:
        return f"{self.method:<7}{self.path:<42}{self.listener:<10}{self.tier:<15}{self.note}".rstrip()


def surface() -> list[Route]:
    return [route for listener in LISTENERS for route in routes_of(listener)]


def routes_of(listener: str) -> list[Route]:
    patterns = import_module(f"config.urls.{listener}").urlpatterns
    found = list(_walk(patterns, "/", listener))
    return sorted(found, key=lambda route: (route.path, METHODS.index(route.method.lower())))


def _walk(patterns: Sequence[URLPattern | URLResolver], prefix: str, listener: str) -> Iterator[Route]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver) and pattern.app_name == "admin":
            yield Route("GET", f"{path}...", listener, "-", "staff")
        elif isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, path, listener)
        else:
            yield from _methods(pattern, path, listener)


def _methods(pattern: URLPattern, path: str, listener: str) -> Iterator[Route]:
    """A view that is not one of our tiers' is listed as undeclared, and the comparison fails."""
    view = getattr(pattern.callback, "cls", None)
    if view is None or not issubclass(view, Endpoint):
        yield Route("GET", shown(path), listener, "undeclared", "")
        return
    for method in METHODS:
        if hasattr(view, method):
            yield Route(method.upper(), shown(path), listener, view.tier, _note(view, method.upper()), view)


def shown(path: str) -> str:
    """Return Django's route as OpenAPI writes it: `/holds/<id:hold_id>` is `/holds/{hold_id}`."""
    return _PARAMETER.sub(r"{\1}", path)


def _note(view: type[Endpoint], method: str) -> str:
    scopes = view().required_scopes(method) if view.tier == "internal" else ()  # type: ignore[attr-defined]
    recent = "recent sign-in" if view.is_sensitive(method) else ""
    return ", ".join(filter(None, [" or ".join(scopes), view.mark, recent]))


def table() -> str:
    heading = Route("METHOD", "PATH", "LISTENER", "TIER", "SCOPE OR MARK").line()
    return "\n".join([heading, *(route.line() for route in surface())]) + "\n"


PREAMBLE = """\
# Endpoints

Made by `script/endpoints` from the URLconfs; a test says when it is out of date. Each listener is a process of its own
with an address of its own: a path that it does not list is an unknown path there, whatever credential comes with it.

| tier | who gets in |
|---|---|
| public | anyone, or who holds the credential that the body carries (`refresh token`, `signature`) |
| authenticated | a live access token: `Authorization: Bearer ...` |
| verified | the same, and the address is verified |
| internal | a service: `X-API-Key`, with the scope that is named |

`recent sign-in`: the sign-in, or the proof at `POST /v1/auth/reauthenticate` that gave the access token, is at most
five minutes old.
"""


def page() -> str:
    parts = [PREAMBLE]
    for listener in LISTENERS:
        parts.append(
            f"\n## {listener.capitalize()} listener\n\n"
            "| endpoint | what it does | operationId | tier | scope or mark |\n|---|---|---|---|---|\n"
        )
        parts += [f"| {_row(route)} |\n" for route in routes_of(listener)]
    return "".join(parts)


def _row(route: Route) -> str:
    handler = getattr(route.view, route.method.lower(), None)
    summary = getattr(getattr(handler, "operation", None), "summary", "")
    identifier = f"`{identifier_of(summary)}`" if summary and route.note != "docs" else ""
    return f"`{route.method} {route.path}` | {summary} | {identifier} | {route.tier} | {route.note}"


def main() -> None:
    """Write both tables. Read the difference before it is committed: it is the surface of the service."""
    PAGE.parent.mkdir(exist_ok=True)
    for path, text in ((TABLE, table()), (PAGE, page())):
        path.write_text(text)
        sys.stdout.write(f"{path.relative_to(ROOT)} written\n")

"""Records each answer that the tests get, and compares a whole run with the OpenAPI documents, both ways.

An answer is a (listener, method, path, status, code of the problem or ""). One that no document has fails the run. So
does one that a view lists by hand (`problems=`) and that no test has got from this very route. Refusals that the
documents derive from a tier, a body or a key need to be seen once, on any route: the code that sends them is one.

The plugin compares only when the whole suite ran and passed; a run with arguments proves nothing about the rest.
"""

import json
from typing import Any, NamedTuple

import pytest
from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase

DOCUMENTED = ("public", "internal")
FAULTS = frozenset(
    {"internal_error"}
)  # made by tests that break something on purpose: no client can plan for one
_seen: set[tuple[str, ...]] = set()


class Answer(NamedTuple):
    listener: str
    method: str
    path: str
    status: str
    code: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({self.listener}): {self.status} {self.code}".rstrip()


def record(listener: str, request: HttpRequest, response: HttpResponseBase) -> None:
    """Keep what a listener's client got from a route."""
    match = getattr(request, "resolver_match", None)
    if match is not None and listener in DOCUMENTED:
        path = "/" + match.route
        _seen.add((listener, str(request.method), path, str(response.status_code), _code(response)))


def _code(response: HttpResponseBase) -> str:
    is_problem = response.headers.get("Content-Type") == "application/problem+json"
    return (
        str(json.loads(response.content)["code"]) if is_problem and isinstance(response, HttpResponse) else ""
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["answers"] = sorted(_seen)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Merge what one worker of pytest-xdist has seen."""
    _seen.update(tuple(answer) for answer in getattr(node, "workeroutput", {}).get("answers", ()))

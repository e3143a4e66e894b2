"""Records each answer that the tests get, and compares a whole run with the OpenAPI documents, both ways.

An answer is a (listener, method, path, status, code of the problem or ""). One that no document has fails the run. So
does one that a view lists by hand (`problems=`) and that no test has got from this very route. Refusals that the
documents derive from a tier, a body or a key need to be seen once, on any route: the code that sends them is one.

answers_unseen.txt lists those that still lack such a test; it may only become shorter.

The plugin compares only when the whole suite ran: a run with arguments proves nothing about the rest.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase

from config.openapi import openapi
from config.problem_shapes import MEDIA_TYPE
from tests.surface import routes_of, shown

DOCUMENTED = ("public", "internal")
FOUND = pytest.StashKey[list[str]]()
FAULTS = frozenset({"internal_error"})  # tests break things on purpose; no client can plan for one
UNSEEN = Path(__file__).with_name("answers_unseen.txt")


class Answer(NamedTuple):
    """Name one answer of a route; `code` is that of a problem document, "" of anything else."""

    listener: str
    method: str
    path: str
    status: str
    code: str

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({self.listener}): {self.status} {self.code}".rstrip()


_seen: set[Answer] = set()


def record(listener: str, request: HttpRequest, response: HttpResponseBase) -> None:
    """Keep what a client got from a route of a listener, or of a test's own URLconf."""
    match = getattr(request, "resolver_match", None)
    if match is not None:
        path = shown(f"/{match.route}")
        _seen.add(Answer(listener, str(request.method), path, str(response.status_code), _code(response)))


def _code(response: HttpResponseBase) -> str:
    is_problem = response.headers.get("Content-Type") == MEDIA_TYPE
    return (
        str(json.loads(response.content)["code"]) if is_problem and isinstance(response, HttpResponse) else ""
    )


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["answers"] = [tuple(answer) for answer in sorted(_seen)]  # execnet knows no other tuples
    elif is_whole(session.config):
        found = session.config.stash[FOUND] = list(differences(_seen))
        if found and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def is_whole(config: pytest.Config) -> bool:
    """Return whether all tests were asked for: no path, no name, no marker."""
    asked = config.option
    return config.args_source is config.ArgsSource.TESTPATHS and not (
        asked.keyword or asked.markexpr or asked.lf
    )


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for line in config.stash.get(FOUND, []):
        terminalreporter.write_line(line, red=True)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Merge what one worker of pytest-xdist has seen."""
    _seen.update(Answer(*answer) for answer in getattr(node, "workeroutput", {}).get("answers", ()))


def differences(seen: set[Answer]) -> Iterator[str]:
    """Tell each answer that is not in the documents, and each of the documents that no test has got."""
    expected = set(UNSEEN.read_text().splitlines())
    in_documents = {answer for listener in DOCUMENTED for answer in documented(listener)}
    routes = {answer[:3] for answer in in_documents}
    for answer in sorted(seen - in_documents):
        if answer[:3] in routes and answer.code not in FAULTS:
            yield f"not in the document: {answer}"
    kinds = {answer[3:] for answer in seen}
    listed = {answer for listener in DOCUMENTED for answer in by_hand(listener)}
    unseen = {str(one) for one in in_documents - seen if one in listed or one[3:] not in kinds}
    yield from (f"in the document, but no test has got it: {answer}" for answer in sorted(unseen - expected))
    yield from (
        f"seen or gone, so take it off {UNSEEN.name}: {answer}" for answer in sorted(expected - unseen)
    )


def documented(listener: str) -> Iterator[Answer]:
    """Return the answers that the document of a listener has."""
    for path, methods in json.loads(openapi(f"config.urls.{listener}"))["paths"].items():
        for method, operation in methods.items():
            for status, code in _answers_in(operation["responses"]):
                yield Answer(listener, method.upper(), path, status, code)


def _answers_in(responses: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for status, response in responses.items():
        content = response.get("content", {})
        codes = content.get(MEDIA_TYPE, {}).get("examples", ())
        yield from ((status, code) for code in codes)
        if not codes or len(content) > 1:
            yield status, ""


def by_hand(listener: str) -> Iterator[Answer]:
    """Return the answers that the views of a listener list themselves: their own and those of `problems=`."""
    for route in routes_of(listener):
        operation = getattr(getattr(route.view, route.method.lower()), "operation", None)
        if operation is not None:
            plain = ((status, "") for status in (operation.status, *operation.redirects, *operation.pages()))
            refused = ((problem.status_code, problem.default_code) for problem in operation.problems)
            for status, code in (*plain, *refused):
                yield Answer(listener, route.method, route.path, str(status), code)

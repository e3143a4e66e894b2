"""Requests that Schemathesis makes of our documents, sent to a listener in this process, and judged by the document."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.listeners import ListenerClient

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"  # answered with pages, which have tests of their own
ORIGIN = "http://testserver"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Any request may be answered so; the document names what is special to a call.
ALWAYS_POSSIBLE = {"400", "404", "405", "413", "415"}
REDIRECTS = {
    "/v1/auth/google/login": "302",
    "/v1/auth/google/callback": "303",
}  # to Google, and to the front end


def operations(listener: str) -> Iterator[Any]:
    """Every operation of the listener's document."""
    load_all_checks()
    document = ListenerClient(listener).get("/v1/schema").json()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if isinstance(operation, dict) and "responses" in operation:
                _allow_the_general(operation["responses"])
                if path in REDIRECTS:
                    operation["responses"].setdefault(REDIRECTS[path], {"description": "a redirect"})
                operation.get("requestBody", {"content": {}})["content"].pop(FORM, None)
    found: Any = schemathesis.openapi.from_dict(document).get_all_operations()
    for result in found:
        yield result.ok()


def _allow_the_general(responses: dict[str, Any]) -> None:
    names = ["type", "title", "status", "code", "detail", "request_id"]
    problem = {"application/problem+json": {"schema": {"type": "object", "required": names}}}
    for status in ALWAYS_POSSIBLE - set(responses):
        responses[status] = {"description": "a refusal of any call", "content": problem}


def fuzz(operation: Any, client: ListenerClient, headers: Mapping[str, str], *, examples: int) -> None:
    """So many requests that fit the document, and as many that do not. A failure shows the smallest that it found."""
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

        @settings(
            max_examples=examples,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def run(case: Any) -> None:
            case.validate_response(send(case, client, headers), checks=CHECKS)

        with contextlib.suppress(Unsatisfiable):  # nothing of that operation can be made wrong
            run()


def send(case: Any, client: ListenerClient, headers: Mapping[str, str]) -> Response:
    request = requests.Request(**case.as_transport_kwargs(base_url=ORIGIN)).prepare()
    sent = {**dict(request.headers), **headers}
    content_type = str(sent.pop("Content-Type", JSON))
    sent.pop("Content-Length", None)
    body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
    answer = client.raw(
        request.method or "GET",
        (request.url or ORIGIN).removeprefix(ORIGIN),
        body,
        content_type=content_type,
        headers=sent,
    )
    return Response(
        status_code=answer.status_code,
        headers={name.lower(): [value] for name, value in answer.headers.items()},
        content=answer.getvalue(),
        request=request,
        elapsed=0.1,
        verify=False,
    )

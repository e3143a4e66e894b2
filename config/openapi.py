"""The OpenAPI 3.1 document, generated from the views: their tier, `Body`, `Query`, route and `documented`.

drf-spectacular finds the routes and builds the frame; each operation comes from `Schema`. JSON Schema comes from the
msgspec types that check the requests, so the document always matches the checks.
"""

import re
import threading
from collections.abc import Iterator
from functools import cache
from inspect import cleandoc
from typing import Any

import msgspec
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry, ResolvedComponent

from accounts import errors
from accounts.kit import problems
from accounts.kit.documentation import Operation
from accounts.tiers import METHODS_WITH_BODY
from config import VERSION, problem_shapes, sections
from config.components import Components
from config.errors import BadRequestProblem, BodyTooLarge, BodyUnreadable, MalformedJSON, UnsupportedMediaType
from config.paging import DEFAULT_LIMIT, LARGEST_LIMIT

_CONVERTED = re.compile(r"<(?:(?P<converter>\w+):)?(?P<name>\w+)>")
_PATH_SHAPES = {"id": {"type": "string", "format": "uuid"}, "int": {"type": "integer"}}

SECURITY_SCHEMES: dict[str, dict[str, Any]] = {
    "BearerJWT": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": (
            "An access token, such as POST /v1/auth/login returns. Valid for `expires_in` seconds while "
            "its session lasts."
        ),
    },
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "A service's API key. Each operation names the scope that the key needs.",
    },
}
_making = threading.Lock()
_SCHEME_OF_TIER = {"authenticated": "BearerJWT", "verified": "BearerJWT", "internal": "ApiKey"}

_TOKEN_PROBLEMS = (
    errors.NotAuthenticated,
    errors.AccessTokenInvalid,
    errors.AccessTokenExpired,
    errors.SessionRevoked,
)
PROBLEMS_OF_TIER: dict[str, tuple[type[problems.Problem], ...]] = {
    "public": (),
    "authenticated": _TOKEN_PROBLEMS,
    "verified": (*_TOKEN_PROBLEMS, errors.EmailNotVerified),
    "internal": (errors.ApiKeyMissing, errors.ApiKeyInvalid, errors.ScopeMissing),
}
_FRAMING_PROBLEMS = (BodyUnreadable, BodyTooLarge)
_BODY_PROBLEMS = (
    *_FRAMING_PROBLEMS,
    problems.ValidationFailed,
    problems.UnknownField,
    MalformedJSON,
    UnsupportedMediaType,
)
PAGE = {"schema": {"type": "string"}, "example": "<!doctype html>..."}
_KEY_PROBLEMS = (
    problems.IdempotencyKeyRequired,
    problems.IdempotencyKeyInvalid,
    problems.IdempotencyInProgress,
    problems.IdempotencyKeyReused,
)


class Schema(AutoSchema):
    """DRF's DEFAULT_SCHEMA_CLASS. A handler without `documented` is left out of the document."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, Any] | None:
        handler = getattr(type(self.view), method.lower(), None)
        described: Operation | None = getattr(handler, "operation", None)
        if described is None:
            return None
        return Described(self.view, described, path_regex, method, Components(registry)).operation()


class Described:
    """Builds one operation of the document."""

    def __init__(
        self, view: Any, described: Operation, route: str, method: str, components: Components
    ) -> None:
        self.view, self.described, self.route, self.method = view, described, route, method
        self.components = components
        self.has_body = method in {"POST", "PUT", "PATCH"} and view.Body is not None
        self.has_query = method in {"GET", "DELETE"} and view.Query is not None

    def operation(self) -> dict[str, Any]:
        operation: dict[str, Any] = {
            "operationId": sections.identifier_of(self.described.summary),
            "summary": self.described.summary,
            "description": self.description(),
            "tags": [sections.of(self.view)],
            "parameters": [*self.parameters()],
            "responses": self.responses(),
        }
        if self.has_body:
            operation["requestBody"] = self.body()
        scheme = _SCHEME_OF_TIER.get(self.view.tier)
        operation["security"] = [{scheme: []}] if scheme else []
        if scheme:
            self.components.add(scheme, SECURITY_SCHEMES[scheme], ResolvedComponent.SECURITY_SCHEMA)
        return {name: value for name, value in operation.items() if value or name == "security"}

    def description(self) -> str:
        """Return the handler's docstring, followed by what its tier requires."""
        text = cleandoc(getattr(type(self.view), self.method.lower()).__doc__ or "")
        tier = f"Tier: {self.view.tier}"
        if self.view.tier == "internal":
            scopes = self.view.required_scopes(self.method)
            tier += f"; the key needs the scope `{'` or `'.join(scopes)}`" if scopes else "; any key"
        if self.view.is_sensitive(self.method):
            tier += ", and a recent sign-in"
        return f"{text}\n\n{tier}." if text else ""

    def parameters(self) -> Iterator[dict[str, Any]]:
        for match in _CONVERTED.finditer(self.route):
            shape = _PATH_SHAPES.get(match["converter"] or "str", {"type": "string"})
            yield {"name": match["name"], "in": "path", "required": True, "schema": shape}
        if self.has_query:
            yield from self.query_parameters()
        if self.described.paged:
            yield from PAGE_PARAMETERS
        if self.described.idempotent:
            yield IDEMPOTENCY_KEY
        if self.described.repeatable:
            yield RETRY_KEY

    def query_parameters(self) -> Iterator[dict[str, Any]]:
        for field in msgspec.structs.fields(self.view.Query):
            schema = self.components.schema_of(field.type)
            parameter = {
                "name": field.encode_name,
                "in": "query",
                "required": field.required,
                "schema": schema,
            }
            if text := schema.pop("description", ""):
                parameter["description"] = text
            yield parameter

    def body(self) -> dict[str, Any]:
        schema = self.components.body(self.view.Body, f"{type(self.view).__name__}Body")
        content = {"schema": schema, "example": self.described.body_example}
        media_types = [
            "application/json",
            *(["application/x-www-form-urlencoded"] if self.view.takes_forms else []),
        ]
        required = any(field.required for field in msgspec.structs.fields(self.view.Body))
        return {"required": required, "content": dict.fromkeys(media_types, content)}

    def responses(self) -> dict[str, Any]:
        found: dict[str, Any] = {**self.answer(), **self.refusals()}
        for status, target in self.described.redirects.items():
            found[str(status)] = {"description": target, "headers": headers_of({"Location": target})}
        for status in self.described.pages():
            response = found.setdefault(str(status), {"description": "An HTML page, if a form was sent"})
            response["content"] = {**response.get("content", {}), "text/html": PAGE}
        return dict(sorted(found.items()))

    def answer(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"description": self.described.summary}
        headers = {
            **self.described.headers,
            **(REPLAYED if self.described.idempotent else {}),
            **self.limit_headers(),
        }
        if headers:
            answer["headers"] = headers_of(headers)
        if self.described.answer is not None:
            media_type = "text/html" if self.described.answer is str else "application/json"
            answer["content"] = {media_type: self.answer_content()}
        return {str(self.described.status): answer}

    def limit_headers(self) -> dict[str, str]:
        return LIMITS if self.view.limits.get(self.method) else {}

    def answer_content(self) -> dict[str, Any]:
        schema, example = self.components.schema_of(self.described.answer), self.described.example
        if self.described.paged:
            schema = page_of(schema)
            example = {"results": [example], "next": None}
        return {"schema": schema, "example": example}

    def refusals(self) -> dict[str, Any]:
        """Return the refusals by status, with a schema and an example for each code."""
        groups = problem_shapes.by_status(self.kinds_of_problem())
        return {status: self.refusal(status, problems) for status, problems in groups.items()}

    def refusal(self, status: str, kinds: list[type[problems.Problem]]) -> dict[str, Any]:
        schema = problem_shapes.one_of(kinds, [self.components.problem(kind) for kind in kinds])
        examples = {kind.default_code: {"value": problem_shapes.example_of(kind)} for kind in kinds}
        return {
            "description": ", ".join(f"`{code}`" for code in examples),
            **self.headers_of_refusal(status),
            "content": {problem_shapes.MEDIA_TYPE: {"schema": schema, "examples": examples}},
        }

    def headers_of_refusal(self, status: str) -> dict[str, Any]:
        names = {**OF_REFUSALS.get(status, {}), **self.limit_headers()}
        return {"headers": headers_of(names)} if names else {}

    def needs_factor(self) -> bool:
        """Return whether MFA_REQUIRED keeps the users it applies to out until they have shown a second factor."""
        return _SCHEME_OF_TIER.get(self.view.tier) == "BearerJWT" and not self.view.works_without_factor

    def problems_of_tier(self) -> Iterator[type[problems.Problem]]:
        yield from PROBLEMS_OF_TIER[self.view.tier]
        if self.needs_factor():
            yield errors.MFAEnrolmentRequired
        if self.needs_factor() or self.view.is_sensitive(self.method):
            yield errors.ReauthenticationRequired

    def problems_of_body(self) -> Iterator[type[problems.Problem]]:
        yield from _FRAMING_PROBLEMS if self.view.raw_body else _BODY_PROBLEMS
        if self.view.takes_forms and not self.described.has_pages:
            yield BadRequestProblem

    def kinds_of_problem(self) -> Iterator[type[problems.Problem]]:
        yield from self.problems_of_tier()
        if self.method in METHODS_WITH_BODY:
            yield from self.problems_of_body()
        if _CONVERTED.search(self.route):
            yield problems.NotFound  # a malformed id makes it a different path
        if self.has_query or self.described.paged:
            yield problems.ValidationFailed
        if self.described.paged:
            yield problems.CursorInvalid
        if self.described.idempotent:
            yield from _KEY_PROBLEMS
        if self.view.limits.get(self.method):
            yield problems.RateLimited
        yield from self.described.problems
        if self.view.mark != "health":
            yield problems.ServiceUnavailable


IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Printable ASCII. Repeating the request with the same key returns the first response again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "example": "order-4711",
}
RETRY_KEY = {
    **IDEMPOTENCY_KEY,
    "required": False,
    "description": "Random printable ASCII, the same for every attempt with one token. Store both before you call.",
    "example": "Qm9yZWQgYnkgYSBsaWZ0",
}
REPLAYED = {
    "Idempotency-Replayed": "`true` if this repeats the response to an earlier request with the same key."
}
RETRY_AFTER = {"Retry-After": "Seconds to wait before repeating the call."}
CHALLENGE = {"WWW-Authenticate": "The authentication scheme that this call expects (RFC 9110, 11.6.1)."}
OF_REFUSALS = {"401": CHALLENGE, "429": RETRY_AFTER, "503": RETRY_AFTER}
LIMITS = {
    "RateLimit-Policy": 'The limits on this call, as `"name";q=hits;w=seconds`.',
    "RateLimit": (
        'The remainder of the limits that were counted, as `"name";r=hits;t=seconds until more is available`.'
    ),
}
PAGE_PARAMETERS = (
    {
        "name": "limit",
        "in": "query",
        "description": "Entries per page.",
        "schema": {"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": DEFAULT_LIMIT},
    },
    {
        "name": "cursor",
        "in": "query",
        "description": "`next` from the previous page, with the same filters.",
        "schema": {"type": "string"},
    },
)


def headers_of(names: dict[str, str]) -> dict[str, Any]:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in names.items()}


def page_of(item: dict[str, Any]) -> dict[str, Any]:
    following = {
        "type": ["string", "null"],
        "description": "The cursor of the next page; null on the last page.",
    }
    return {
        "type": "object",
        "properties": {"results": {"type": "array", "items": item}, "next": following},
        "required": ["results", "next"],
    }


def openapi(urlconf: str) -> bytes:
    """Return the document of one listener as JSON; generated once per process."""
    with (
        _making
    ):  # drf-spectacular loads its extensions as it goes, which fails where two threads do so at once
        return _made(urlconf)


@cache
def _made(urlconf: str) -> bytes:
    generator: Any = SchemaGenerator
    document = generator(urlconf=urlconf).get_schema(request=None, public=True)
    if urlconf == "config.urls.internal":  # strangers see only the contract's version
        document["info"]["version"] = VERSION
    document["info"]["description"] = sections.introduction(urlconf)
    document["servers"] = [{"url": "/", "description": "The listener that served this document"}]
    document["tags"] = sections.tags(_sections_in(document))
    return msgspec.json.encode(document)


def _sections_in(document: dict[str, Any]) -> set[str]:
    return {
        tag for path in document["paths"].values() for operation in path.values() for tag in operation["tags"]
    }

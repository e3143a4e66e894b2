"""JSON responses, rendered at creation, with shared headers that are built once per process."""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from django.conf import settings
from django.http import HttpResponse
from django.http.response import ResponseHeaders

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
API_POLICY = "default-src 'none'; frame-ancestors 'none'"


def _shared(content_type: str) -> ResponseHeaders:
    """Return the headers that SecurityMiddleware and RequestFloor would add too; they leave existing ones alone."""
    return ResponseHeaders(
        {
            "Content-Type": content_type,
            "Cache-Control": "no-store",
            "Content-Security-Policy": API_POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": settings.SECURE_REFERRER_POLICY,
            "Cross-Origin-Opener-Policy": settings.SECURE_CROSS_ORIGIN_OPENER_POLICY,
        }
    )


class _Headers(ResponseHeaders):
    """Headers that start with ones already validated, which Django would otherwise validate for each response."""

    def __init__(self, shared: ResponseHeaders) -> None:
        self._store = dict(shared._store)  # noqa: SLF001 - its own class


class Response(HttpResponse):
    """A JSON payload that caches must not store (RFC 9111, 5.2.2.5). None has neither body nor type.

    `Response(answer, status=201, headers={"Idempotency-Replayed": "true"})`
    """

    shared_headers: ClassVar[ResponseHeaders] = _shared(JSON)

    def __init__(
        self, payload: Any = None, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(b"" if payload is None else msgspec.json.encode(payload), status=status)
        self.headers = _Headers(self.shared_headers)
        if payload is None:
            del self.headers["Content-Type"]
        for name, text in (headers or {}).items():
            self.headers[name] = text


class ProblemResponse(Response):
    """A problem document (RFC 9457)."""

    shared_headers = _shared(PROBLEM_JSON)

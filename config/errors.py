"""One format for every refusal and every failure: RFC 9457 `application/problem+json`.

Inside a DRF view `handle` produces it; elsewhere (unknown path, bad host, an error in a middleware) the `handler...`
functions that each URLconf names do. No detail of an unexpected exception reaches the caller.
"""

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import structlog
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from msgspec import UnsetType
from rest_framework import exceptions

from accounts.kit import metrics, throttles
from accounts.kit.problems import InternalError, NotFound, Problem, RateLimited, ServiceUnavailable
from accounts.kit.responses import ProblemResponse
from config import faults

SHORTEST_WAIT = 1  # seconds, if a 429 or 503 does not state them

log = structlog.get_logger("errors")


class MalformedJSON(Problem):
    default_code = "malformed_json"
    default_detail = "The body is not valid JSON."


class BodyUnreadable(Problem):
    default_code = "body_unreadable"
    default_detail = "The body ended early or is not framed correctly."


class BadRequestProblem(Problem):
    default_code = "bad_request"
    default_detail = "The request is malformed."


class Forbidden(Problem):
    status_code = 403
    default_code = "permission_denied"
    default_detail = "This is not allowed."


class MethodNotAllowed(Problem):
    status_code = 405
    default_code = "method_not_allowed"
    default_detail = "This method is not allowed here; see the Allow header."


class BodyTooLarge(Problem):
    status_code = 413
    default_code = "body_too_large"
    default_detail = "The body is larger than this call accepts."
    members = {"limit": int | UnsetType}
    example = {"limit": 65536}


class UnsupportedMediaType(Problem):
    status_code = 415
    default_code = "unsupported_media_type"
    default_detail = "Send `Content-Type: application/json`, in UTF-8."


class ContentCoded(UnsupportedMediaType):
    """Refuse a compressed body; the answer names the codings that are read (RFC 9110, 15.5.16)."""

    default_detail = "Send the body as it is, without `Content-Encoding`."
    headers: ClassVar[Mapping[str, str]] = {"Accept-Encoding": "identity"}


_KNOWN: tuple[tuple[type[BaseException], type[Problem]], ...] = (
    (Http404, NotFound),
    (exceptions.NotFound, NotFound),
    (PermissionDenied, Forbidden),
    (exceptions.PermissionDenied, Forbidden),
    (exceptions.MethodNotAllowed, MethodNotAllowed),
    (exceptions.UnsupportedMediaType, UnsupportedMediaType),
    (exceptions.ParseError, MalformedJSON),
    (RequestDataTooBig, BodyTooLarge),
    (UnreadablePostError, BodyUnreadable),
    (SuspiciousOperation, BadRequestProblem),
    (BadRequest, BadRequestProblem),
    (MultiPartParserError, BadRequestProblem),
)


def handle(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """Return the answer for any exception of a view (DRF's EXCEPTION_HANDLER)."""
    response = respond(error, context["request"])
    if response.status_code == MethodNotAllowed.status_code:
        response.headers["Allow"] = ", ".join(context["view"].allowed_methods)
    return response


def respond(error: BaseException, request: Any) -> HttpResponse:
    """Return the answer for an exception, wherever it was caught. Outages and unexpected errors are logged."""
    problem = translate(error)
    faults.count(error)
    if isinstance(problem, InternalError):
        metrics.count(metrics.UNEXPECTED, "request")
        log.error("unexpected_error", exc_info=error)
    elif isinstance(problem, ServiceUnavailable) and problem is not error:
        log.warning("outage", error=type(error).__name__, sqlstate=faults.sqlstate(error))
        faults.drop_stale_connection(error)
        if faults.is_lost_database(error):
            throttles.give_back_all()
    return answer(problem, request)


def translate(error: BaseException) -> Problem:
    """Return the refusal that corresponds to an exception; InternalError for an unexpected one."""
    if isinstance(error, Problem):
        return error
    for kind, problem in _KNOWN:
        if isinstance(error, kind):
            return problem()
    if isinstance(error, exceptions.Throttled):
        return RateLimited(retry_after=math.ceil(getattr(error, "wait", None) or SHORTEST_WAIT))
    if isinstance(error, exceptions.APIException):
        return _of_framework(error)
    return ServiceUnavailable() if faults.is_outage(error) else InternalError()


def _of_framework(error: exceptions.APIException) -> Problem:
    problem = Problem(error.detail if isinstance(error.detail, str) else None)
    problem.status_code = error.status_code
    problem.default_code = error.default_code
    challenge = getattr(error, "auth_header", None)
    if challenge:
        problem.challenge = challenge  # type: ignore[attr-defined]
    return problem


def answer(problem: Problem, request: Any) -> HttpResponse:
    """Return the problem document, with the headers that its status requires."""
    match = getattr(request, "resolver_match", None)
    metrics.count(metrics.PROBLEMS, f"/{match.route}" if match else "unknown", problem.default_code)
    response = ProblemResponse(problem.document(getattr(request, "request_id", None)), problem.status_code)
    challenge = getattr(problem, "challenge", None)
    if challenge:
        response.headers["WWW-Authenticate"] = challenge
    if problem.status_code in {429, 503} or problem.retry_after:
        response.headers["Retry-After"] = str(problem.retry_after or SHORTEST_WAIT)
    for name, text in problem.headers.items():
        response.headers[name] = text
    return response


def _answering(kind: type[Problem]) -> Callable[[HttpRequest, Exception], HttpResponse]:
    def handler(request: HttpRequest, exception: Exception) -> HttpResponse:
        return answer(kind(), request)

    return handler


handler403 = _answering(Forbidden)
handler404 = _answering(NotFound)


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    return respond(exception, request)


def handler500(request: HttpRequest) -> HttpResponse:
    """Answer 500, or 503 for an outage in a middleware: Django calls this while the exception is being handled."""
    return respond(sys.exception() or RuntimeError("handler500 without an exception"), request)

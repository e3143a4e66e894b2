"""The base of every listener: request id, limits, plain 404 for malformed paths, security headers, one log line."""

import os
import re
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponseBase
from django.utils.functional import SimpleLazyObject

from accounts.kit import metrics, throttles
from accounts.kit.responses import API_POLICY
from config import peers
from config.errors import BadRequestProblem, BodyTooLarge, BodyUnreadable, Forbidden, answer
from config.logging import request_id

log = structlog.get_logger("request")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# No route contains any of these: control characters, a backslash, path parameters, an empty or a dot segment.
_MALFORMED_PATH = re.compile(r"[\x00-\x1f\x7f;\\]|//|/\.{1,2}(?:/|$)")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
NOWHERE = "/nowhere"  # not a route either: a malformed path is answered like any unknown one, byte for byte
# Load balancers and probes address a process by its IP.
_ANY_HOST = frozenset({"/livez", "/readyz", "/metrics"})
_MOST_HOSTS = 100
_NEVER_A_BODY = frozenset({204, 304})
_CHUNK = 64 * 1024

# django-unfold's Alpine evaluates strings (docs/decisions); only pages of the admin listener get this policy.
ADMIN_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class RequestFloor:
    """Comes first in every MIDDLEWARE, so that it applies to each answer, including those of other middleware."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.hosts: set[str] = set()  # those that ALLOWED_HOSTS has accepted
        self.peers: peers.Peers = settings.ALLOWED_PEERS.get(settings.LISTENER, ())

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        current = given if _REQUEST_ID.fullmatch(given) else os.urandom(16).hex()
        request.request_id = current  # type: ignore[attr-defined]
        token = request_id.set(current)
        throttles.begin()
        try:
            response = self._refused(request) or self.get_response(request)
            self._add_headers(request, response, current)
            log_request(request, response, time.perf_counter() - started)
        finally:
            request_id.reset(token)
        return response

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        """Enforce the limit on the body, once the route is known and before anything has read the body."""
        if request.method in _BODILESS:
            return None
        limit = getattr(getattr(view, "cls", None), "body_limit", None) or settings.BODY_LIMIT
        try:
            return None if _fits(request, limit) else answer(BodyTooLarge(limit=limit), request)
        except BodyUnreadable as problem:
            return answer(problem, request)

    def _refused(self, request: HttpRequest) -> HttpResponseBase | None:
        if not peers.admits(self.peers, request.META.get("REMOTE_ADDR", "")):
            return answer(Forbidden("This listener does not accept connections from that address."), request)
        if _MALFORMED_PATH.search(request.path_info):
            request.path_info = NOWHERE
        host = request.META.get("HTTP_HOST", "")
        if host not in self.hosts and request.path_info not in _ANY_HOST:
            try:
                request.get_host()
            except DisallowedHost:
                return answer(BadRequestProblem("This service does not serve that host name."), request)
            if len(self.hosts) < _MOST_HOSTS:
                self.hosts.add(host)
        return None

    def _add_headers(self, request: HttpRequest, response: HttpResponseBase, current: str) -> None:
        headers = response.headers
        headers["X-Request-ID"] = current
        if not response.streaming:
            _set_length(request, response)
        if "Content-Security-Policy" not in headers:
            headers["Content-Security-Policy"] = _policy(request, headers.get("Content-Type", ""))


def _set_length(request: HttpRequest, response: Any) -> None:
    """Set Content-Length by RFC 9110, 8.6 and 9.3.2: none with 204 and 304; for HEAD, the length of a GET's body."""
    if response.status_code not in _NEVER_A_BODY:
        response.headers.setdefault("Content-Length", str(len(response.content)))
    if request.method == "HEAD":
        response.content = b""


def _policy(request: HttpRequest, content_type: str) -> str:
    if not content_type.startswith("text/html"):
        return API_POLICY
    urlconf = getattr(request, "urlconf", None) or settings.ROOT_URLCONF
    return ADMIN_POLICY if urlconf == "config.urls.admin" else API_POLICY


def _fits(request: HttpRequest, limit: int) -> bool:
    """Return whether the body is within the limit; one of unknown length (chunked) is read no further than that."""
    declared = request.META.get("CONTENT_LENGTH")
    if declared:
        return not declared.isdecimal() or int(declared) <= limit
    if "HTTP_TRANSFER_ENCODING" not in request.META:
        return True
    body = _read_up_to(request, limit + 1)
    request._body = body  # noqa: SLF001 - where Django keeps a body that has been read
    request._stream = BytesIO(body)  # noqa: SLF001
    return len(body) <= limit


def _read_up_to(request: HttpRequest, size: int) -> bytes:
    """Read from the server's own stream, which knows where the body ends; Django treats one without Content-Length as
    empty.
    """
    source: Any = getattr(request, "environ", {}).get("wsgi.input") or request
    pieces = []
    while size > 0:
        try:
            piece = source.read(min(size, _CHUNK))
        except Exception as error:  # each server has its own for broken framing and for a caller who left
            raise BodyUnreadable from error
        if not piece:
            break
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def log_request(request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
    """Log one line with the route's template and the caller's id; never the path, the query, an address or a
    credential.
    """
    match = request.resolver_match
    view = getattr(match.func, "cls", None) if match is not None else None
    method = request.method if request.method in _METHODS else "other"
    route = f"/{match.route}" if match is not None else None
    tier = getattr(view, "tier", None)
    status = response.status_code
    metrics.observe(
        metrics.REQUESTS,
        *(settings.LISTENER, method or "other", route or "unknown", tier or "none", str(status)),
        seconds=seconds,
    )
    user, service = _user(request), getattr(getattr(request, "auth", None), "service", None)
    log.info(
        "request",
        method=method,
        route=route,
        status=status,
        milliseconds=round(seconds * 1000, 2),
        tier=tier,
        user=str(user.pk) if user is not None and user.pk else None,
        service=service,
        request_id=request.request_id,  # type: ignore[attr-defined]
    )


def _user(request: HttpRequest) -> Any:
    """Return the authenticated user; one that has not been loaded is not read from the database just for the log."""
    user = request.__dict__.get("user")
    return request.__dict__.get("_cached_user") if isinstance(user, SimpleLazyObject) else user

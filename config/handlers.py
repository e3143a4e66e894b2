"""The handler of a listener's requests: Django's own, which also remembers what each fixed path resolves to.

On listeners where people sign in (public, admin) it also gives each request a seat, which others may use while the
request waits for a password hash.
"""

from collections.abc import Iterator
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.urls import ResolverMatch, set_urlconf

from accounts.kit.seats import Seats
from config.stale_connections import drop_closed_by_server


class RememberedPaths:
    """Mixin for a handler: the route of a path without arguments is looked up once, not for each request.

    Paths with arguments are unbounded in number (callers choose them), so those are looked up each time.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._matches: dict[tuple[str | None, str], ResolverMatch] = {}
        super().__init__(*arguments, **named)

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        urlconf = getattr(request, "urlconf", None)
        match = self._matches.get((urlconf, request.path_info))
        if match is None:
            found: ResolverMatch = super().resolve_request(request)  # type: ignore[misc]
            if not found.args and not found.kwargs:
                self._matches[urlconf, request.path_info] = found
            return found
        if urlconf is not None:
            set_urlconf(urlconf)
        request.resolver_match = match
        return match


class ListenerHandler(RememberedPaths, WSGIHandler):
    """The WSGI application that config/wsgi.py serves."""


class SeatedHandler(ListenerHandler):
    """Handles a limited number of requests at once; other threads wait for a seat, or for a password hash."""

    def __init__(self, seats: int) -> None:
        self._seats = Seats(seats, refresh=drop_closed_by_server)
        super().__init__()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        with self._seats.one():
            response = super().__call__(environ, start_response)
        if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
            response.streaming_content = self._seated(response.streaming_content)  # type: ignore[arg-type]
        return response

    def _seated(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Hold a seat while the chunks are sent, since producing them reads rows."""
        with self._seats.one():
            yield from chunks

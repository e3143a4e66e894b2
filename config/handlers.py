"""The handler of a listener's requests: Django's own, which remembers what each fixed path resolves to."""

from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.urls import ResolverMatch, set_urlconf


class RememberedPaths:
    """Mixed into a handler: a path without arguments is looked up among the routes once, not for each request.

    Paths with arguments are as many as callers like, so those are looked up each time.
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

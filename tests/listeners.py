"""A client for one listener: its URLconf and its middleware, in this process and on this database."""

from threading import Lock
from typing import Any, Self
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test.client import ClientHandler
from django.test.utils import override_settings
from rest_framework.test import APIClient

from config.handlers import RememberedPaths
from tests import answers_seen

_LOADING = Lock()  # two threads that override settings at once would leave what the other had put there


class ListenerHandler(RememberedPaths, ClientHandler):
    def __init__(self, listener: str, urlconf: str) -> None:
        super().__init__(enforce_csrf_checks=True)
        self.listener, self.urlconf = listener, urlconf

    def load_middleware(self, is_async: bool = False) -> None:
        with _LOADING, override_settings(MIDDLEWARE=settings.MIDDLEWARE_BY_LISTENER[self.listener]):
            super().load_middleware(is_async)

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        request.urlconf = self.urlconf
        response = super().get_response(request)
        own = self.urlconf == f"config.urls.{self.listener}"
        answers_seen.record(self.listener if own else self.urlconf, request, response)
        return response


class ListenerClient(APIClient):
    """DRF's APIClient, sending JSON, to one of the three listeners. A 500 is an answer here, not an exception."""

    default_format = "json"

    def __init__(self, listener: str, *, urlconf: str | None = None, **defaults: Any) -> None:
        super().__init__(raise_request_exception=False, **defaults)
        self.listener = listener
        self.urlconf = urlconf or f"config.urls.{listener}"
        self.handler = ListenerHandler(listener, self.urlconf)

    def raw(
        self, method: str, path: str, body: bytes, *, content_type: str = "application/json", **extra: Any
    ) -> Any:
        """These bytes as the body, whatever they are."""
        return self.generic(method, path, body, content_type=content_type, **extra)  # type: ignore[arg-type]

    def exactly(self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> Any:
        """The path as a server would decode it from the wire; `get` would read `//host` as an address."""
        named = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in (headers or {}).items()}
        return self.request(
            REQUEST_METHOD=method, PATH_INFO=unquote_to_bytes(path).decode("latin-1"), **named
        )

    def with_token(self, token: str) -> Self:
        """The same listener, as the person behind an access token."""
        return type(self)(self.listener, urlconf=self.urlconf, HTTP_AUTHORIZATION=f"Bearer {token}")

    def with_key(self, key: str) -> Self:
        """The same listener, as the service behind an API key."""
        return type(self)(self.listener, urlconf=self.urlconf, HTTP_X_API_KEY=key)

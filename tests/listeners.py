"""A client for one listener: its URLconf and its middleware, in this process and on this database."""

from typing import Any, Self

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test.client import ClientHandler
from django.test.utils import override_settings
from rest_framework.test import APIClient


class ListenerHandler(ClientHandler):
    def __init__(self, listener: str) -> None:
        super().__init__(enforce_csrf_checks=True)
        self.listener = listener

    def load_middleware(self, is_async: bool = False) -> None:
        with override_settings(MIDDLEWARE=settings.MIDDLEWARE_BY_LISTENER[self.listener]):
            super().load_middleware(is_async)

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        request.urlconf = f"config.urls.{self.listener}"  # type: ignore[attr-defined]
        return super().get_response(request)


class ListenerClient(APIClient):
    """DRF's APIClient, sending JSON, to one of the three listeners. A 500 is an answer here, not an exception."""

    default_format = "json"

    def __init__(self, listener: str, **defaults: Any) -> None:
        super().__init__(raise_request_exception=False, **defaults)
        self.listener = listener
        self.handler = ListenerHandler(listener)

    def with_token(self, token: str) -> Self:
        """The same listener, as the person behind an access token."""
        return type(self)(self.listener, HTTP_AUTHORIZATION=f"Bearer {token}")

    def with_key(self, key: str) -> Self:
        """The same listener, as the service behind an API key."""
        return type(self)(self.listener, HTTP_X_API_KEY=key)

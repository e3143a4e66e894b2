"""One base class per security tier. A view's class line says who may call it, and nothing else decides that.

    PublicEndpoint          no credential
    AuthenticatedEndpoint   JWT
    VerifiedEndpoint        JWT and verified address
    InternalEndpoint        API key with the view's scope, on the internal listener
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
from django.http import HttpResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from accounts import permissions
from accounts.authentication import ApiKeyAuthentication, JWTSessionAuthentication
from accounts.errors import IdempotencyKeyInvalid, IdempotencyKeyRequired


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Base of every request body: strict types, unknown fields refused. Nested in its view as `Body`."""


class Endpoint(APIView):
    """What all tiers share. `Body` names the shape of the request; `request.data` is then an instance of it."""

    tier: ClassVar[str]
    Body: ClassVar[type[Body] | None] = None
    # Answers with tokens or personal data are not kept by caches (RFC 9111, 5.2.2.5).
    no_store: ClassVar[bool] = True
    body_limit: ClassVar[int | None] = None  # bytes; None: the setting BODY_LIMIT
    throttle_classes: Sequence[Any] = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """405 comes before the credential is looked at; OPTIONS says what a path knows and changes nothing."""
        if request.method == "OPTIONS":
            return
        if request.method not in self.allowed_methods:
            raise MethodNotAllowed(request.method or "")
        super().initial(request, *args, **kwargs)

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})

    def finalize_response(self, request: Request, response: HttpResponse, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().finalize_response(request, response, *args, **kwargs)
        if self.no_store:
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    @property
    def pages(self) -> Any:
        """A fresh paginator of the project's one kind."""
        return api_settings.DEFAULT_PAGINATION_CLASS()


class PublicEndpoint(Endpoint):
    tier = "public"
    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    permission_classes: Sequence[type[BasePermission]] = (permissions.IsPublic,)


class AuthenticatedEndpoint(Endpoint):
    tier = "authenticated"
    authentication_classes = (JWTSessionAuthentication,)
    permission_classes = (permissions.IsAuthenticated,)


class VerifiedEndpoint(AuthenticatedEndpoint):
    tier = "verified"
    permission_classes = (permissions.IsVerified,)


class InternalEndpoint(Endpoint):
    """`scope` is what the key must hold: one for all methods, or one for each."""

    tier = "internal"
    authentication_classes = (ApiKeyAuthentication,)
    permission_classes = (permissions.IsInternalService,)
    scope: ClassVar[str | dict[str, str]]

    def required_scope(self, method: str | None) -> str:
        if isinstance(self.scope, str):
            return self.scope
        return self.scope["GET" if method == "HEAD" else method or ""]


def idempotency_key(request: Request) -> str:
    """The Idempotency-Key header: 1 to 255 printable ASCII characters, required."""
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        raise IdempotencyKeyRequired
    if not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise IdempotencyKeyInvalid
    return str(key)

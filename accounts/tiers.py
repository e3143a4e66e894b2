"""One base class per security tier. A view's base class alone decides who may call it.

PublicEndpoint          no credential
AuthenticatedEndpoint   JWT
VerifiedEndpoint        JWT and verified address
InternalEndpoint        API key with the view's scope, on the internal listener
"""

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from accounts import permissions
from accounts.authentication import ApiKeyAuthentication, JWTSessionAuthentication
from accounts.front_ends import assertions
from accounts.kit import limit_headers, shapes
from accounts.kit.problems import IdempotencyKeyInvalid, IdempotencyKeyRequired

METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})

# For the type checker, the request as each tier's handlers see it; at run time it is the framework's.
if TYPE_CHECKING:
    from accounts.models import Session, User
    from accounts.service_keys.registry import ServiceCredential

    class PublicRequest(Request):
        """A request whose `data` is an instance of the view's Body."""

        data: Any

    class UserRequest(PublicRequest):
        """A request of the tiers Authenticated and Verified, with the user and the token's session."""

        user: User
        auth: Session

    class ServiceRequest(PublicRequest):
        """A request of the tier Internal Service."""

        auth: ServiceCredential
else:
    PublicRequest = UserRequest = ServiceRequest = Request


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of every request body: strict types, unknown fields refused. Nested in its view as `Body`."""


class NoBody(Body):
    """Carried by POST, PUT and PATCH if the view names no Body, and always by DELETE: nothing, or `{}`."""


class Query(msgspec.Struct, kw_only=True):
    """Base of a view's query parameters; those it does not name are ignored. Nested in its view as `Query`."""


_PUBLIC = ("config.urls.public", "config.demo.urls")  # development adds /demo to the same routes


def attend_assertion(request: Request, text: str) -> None:
    """Arrange for the assertion to be checked on first use, and only once, because it may be used only once."""
    request.judge_assertion = cache(partial(assertions.asserted_address, text))  # type: ignore[attr-defined]


def _is_public(request: Request) -> bool:
    """Return whether the public listener serves the request; no other reads assertions."""
    return (getattr(request, "urlconf", None) or settings.ROOT_URLCONF) in _PUBLIC


class Parts(NamedTuple):
    """The parts that all requests of an endpoint share. None of them keeps a request's state."""

    parsers: list[Any]
    authenticators: list[Any]
    permissions: list[Any]
    negotiator: Any


class EndpointRequest(Request):
    """The framework's request, with the body as decoded by its endpoint's parser, and no file uploads.

    An empty body is decoded like any other (as `{}`); the framework would hand the view a bare dict.
    """

    negotiator: Any
    parsers: Any

    def __init__(self, request: HttpRequest, endpoint: "Endpoint") -> None:
        parts = endpoint.parts
        super().__init__(
            request,
            parts.parsers,
            parts.authenticators,
            parts.negotiator,
            endpoint.get_parser_context(request),
        )
        # Saves the framework's look-up in two places on each access.
        self.method, self.META = request.method, request.META

    def authenticate(self) -> None:
        """Identify the caller. Raise what the authenticators raise."""
        self._authenticate()  # type: ignore[attr-defined]

    def _load_data_and_files(self) -> None:
        parser = self.negotiator.select_parser(self, self.parsers)
        self._full_data = parser.parse(self._request, self.content_type, self.parser_context)


class Endpoint(APIView):
    """Base of all tiers.

    `Body` is the shape of POST, PUT and PATCH; `request.data` is then an instance of it, checked before the handler
    runs. `Query` is the shape of the query parameters; `self.query(request)` returns an instance. Each handler is
    decorated with `accounts.kit.documentation.documented`, from which, with Body and Query, config/openapi.py builds
    the OpenAPI document. `mark` is shown beside the tier in the endpoint table, such as `refresh token`, `signature`,
    `health`, `docs`.
    """

    tier: ClassVar[str]
    mark: ClassVar[str] = ""
    # For sensitive calls: the sign-in, or the proof at /v1/auth/reauthenticate that issued the access token, must be at
    # most RECENT_SIGN_IN old. True for all methods of the view, or the names of those concerned.
    needs_recent_sign_in: ClassVar[bool | tuple[str, ...]] = False
    # Exempt from MFA_REQUIRED: enrolling a second factor, and signing out.
    works_without_factor: ClassVar[bool] = False
    Body: ClassVar[type[Body] | None] = None
    Query: ClassVar[type[Query] | None] = None
    # Accept application/x-www-form-urlencoded for the same Body.
    takes_forms: ClassVar[bool] = False
    # The handler reads `request.body` itself, because a signature covers it.
    raw_body: ClassVar[bool] = False
    # Responses with tokens or personal data must not be cached (RFC 9111, 5.2.2.5).
    no_store: ClassVar[bool] = True
    # By method: the rules of settings.RATE_LIMITS whose state each response reports (accounts/kit/limit_headers.py).
    limits: ClassVar[dict[str, tuple[str, ...]]] = {}
    body_limit: ClassVar[int | None] = None  # bytes; None: the setting BODY_LIMIT
    parts: ClassVar[Parts]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.parts = Parts(
            parsers=[parser() for parser in cls.parser_classes],
            authenticators=[kind() for kind in cls.authentication_classes],
            permissions=[kind() for kind in cls.permission_classes],
            negotiator=cls.content_negotiation_class(),
        )

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Dispatch as the framework does, except for what no endpoint uses: renderers, versions, throttle classes."""
        self.args, self.kwargs = args, kwargs
        self.request = wrapped = EndpointRequest(request, self)
        try:
            self.initial(wrapped)
            response = getattr(self, str(request.method).lower())(wrapped, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - answered and logged by the handler in the settings
            response = self.handle_exception(error)
        return self.finalize_response(wrapped, response)

    def initial(self, request: EndpointRequest) -> None:  # type: ignore[override]
        """Check the method before the credential, so that a 405 comes first; OPTIONS only lists a path's methods."""
        if request.method == "OPTIONS":
            return
        if request.method not in self.allowed_methods:
            raise MethodNotAllowed(request.method or "")
        if assertions.HEADER in request.META and _is_public(request):
            attend_assertion(request, request.META[assertions.HEADER])
        if self.limits:
            limit_headers.begin()
        self.admit(request)
        if request.method in METHODS_WITH_BODY and not self.raw_body:
            _ = request.data  # an invalid body is refused before the handler runs

    def admit(self, request: EndpointRequest) -> None:
        """Identify the caller, and refuse those whom the tier does not admit."""
        request.authenticate()
        self.check_permissions(request)

    def get_authenticators(self) -> list[Any]:
        return self.parts.authenticators

    def get_permissions(self) -> list[Any]:
        return self.parts.permissions

    @classmethod
    def is_sensitive(cls, method: str | None) -> bool:
        """Return whether a request with this method needs a recent sign-in."""
        wanted = cls.needs_recent_sign_in
        return wanted if isinstance(wanted, bool) else ("GET" if method == "HEAD" else method) in wanted

    def shape(self, method: str | None) -> type[msgspec.Struct]:
        """Return the shape that a request body must have with this method."""
        return NoBody if self.Body is None or method == "DELETE" else self.Body

    def query(self, request: Request) -> Any:
        """Return the query parameters as an instance of `self.Query`. Raise ValidationFailed."""
        return shapes.convert_query(request.query_params, self.Query or Query)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        return HttpResponse(status=204, headers={"Allow": ", ".join(self.allowed_methods)})

    def finalize_response(self, request: Request, response: Any) -> Any:
        if self.no_store:
            response.headers.setdefault("Cache-Control", "no-store")
        if self.limits and (rules := self.limits.get(request.method or "")):
            for name, text in limit_headers.headers(rules).items():
                response.headers[name] = text
        return response

    @property
    def pages(self) -> Any:
        """Return a new paginator of the project's only kind."""
        paginator: Any = api_settings.DEFAULT_PAGINATION_CLASS
        return paginator()


class PublicEndpoint(Endpoint):
    tier = "public"
    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    permission_classes: Sequence[type[BasePermission]] = (permissions.IsPublic,)


class AuthenticatedEndpoint(Endpoint):
    tier = "authenticated"
    authentication_classes = (JWTSessionAuthentication,)
    permission_classes: Sequence[type[BasePermission]] = (permissions.IsAuthenticated,)


class VerifiedEndpoint(AuthenticatedEndpoint):
    tier = "verified"
    permission_classes = (permissions.IsVerified,)


class InternalEndpoint(Endpoint):
    """Base of calls by other services. `scope` is what the key must hold.

    It is one scope for all methods, one for each method, or several of which any suffices. With none, any live key may
    call, and the handler checks scopes itself.
    """

    tier = "internal"
    authentication_classes = (ApiKeyAuthentication,)
    permission_classes = (permissions.IsInternalService,)
    scope: ClassVar[str | tuple[str, ...] | dict[str, str]]

    def required_scopes(self, method: str | None) -> tuple[str, ...]:
        """Return the scopes of which a key must hold at least one for this method."""
        scope = self.scope
        if isinstance(scope, dict):
            scope = scope["GET" if method == "HEAD" else method or ""]
        return (scope,) if isinstance(scope, str) else scope


def idempotency_key(request: Request) -> str:
    """Return the required Idempotency-Key header: 1 to 255 printable ASCII characters.

    Raise IdempotencyKeyRequired or IdempotencyKeyInvalid.
    """
    key = optional_idempotency_key(request)
    if key is None:
        raise IdempotencyKeyRequired
    return key


def optional_idempotency_key(request: Request) -> str | None:
    """Return the Idempotency-Key header, or None if it was not sent. Raise IdempotencyKeyInvalid."""
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise IdempotencyKeyInvalid
    return str(key)

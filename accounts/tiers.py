"""One base class per security tier. A view's class line says who may call it, and nothing else decides that.

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

# The request as the handlers of each tier have it, for the type checker: at run time it is the framework's.
if TYPE_CHECKING:
    from accounts.models import Session, User
    from accounts.service_keys.registry import ServiceCredential

    class PublicRequest(Request):
        """`data` is an instance of the view's Body."""

        data: Any

    class UserRequest(PublicRequest):
        """A request of the tiers Authenticated and Verified: the user, and the session that the token belongs to."""

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


_PUBLIC = ("config.urls.public", "config.demo.urls")  # development has /demo beside the same routes


def attend_assertion(request: Request, text: str) -> None:
    """Have it judged on first use, and once: it may be used once."""
    request.judge_assertion = cache(partial(assertions.asserted_address, text))  # type: ignore[attr-defined]


def _is_public(request: Request) -> bool:
    """Return whether the public listener serves the request: no other reads an assertion."""
    return (getattr(request, "urlconf", None) or settings.ROOT_URLCONF) in _PUBLIC


class Parts(NamedTuple):
    """Hold what all requests of an endpoint share. None of it keeps anything of a request."""

    parsers: list[Any]
    authenticators: list[Any]
    permissions: list[Any]
    negotiator: Any


class EndpointRequest(Request):
    """The framework's request, whose body is what its endpoint's parser makes of it: nobody uploads files here.

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
        # The framework would look for them here, and then there, each time they are read.
        self.method, self.META = request.method, request.META

    def authenticate(self) -> None:
        """Find out who is calling. Raises what the authenticators raise."""
        self._authenticate()  # type: ignore[attr-defined]

    def _load_data_and_files(self) -> None:
        parser = self.negotiator.select_parser(self, self.parsers)
        self._full_data = parser.parse(self._request, self.content_type, self.parser_context)


class Endpoint(APIView):
    """Base of all tiers.

    `Body` names the shape of POST, PUT and PATCH; `request.data` is then an instance of it, checked before the handler
    runs. `Query` names the query parameters; `self.query(request)` gives an instance. Each handler is decorated with
    `accounts.kit.documentation.documented`: config/openapi.py makes the OpenAPI document of that, Body and Query.
    `mark` says what the endpoint table shows beside the tier, such as `refresh token`, `signature`, `health`, `docs`.
    """

    tier: ClassVar[str]
    mark: ClassVar[str] = ""
    # A sensitive call: the sign-in, or the proof at /v1/auth/reauthenticate that gave the access token, is at most
    # RECENT_SIGN_IN old. True for all methods of the view, or the names of those it is true for.
    needs_recent_sign_in: ClassVar[bool | tuple[str, ...]] = False
    # Where MFA_REQUIRED asks for a second factor: for enrolling one and for signing out.
    works_without_factor: ClassVar[bool] = False
    Body: ClassVar[type[Body] | None] = None
    Query: ClassVar[type[Query] | None] = None
    # application/x-www-form-urlencoded gives the same Body.
    takes_forms: ClassVar[bool] = False
    # The handler reads `request.body` itself, as a signature over it demands.
    raw_body: ClassVar[bool] = False
    # Answers with tokens or personal data are not kept by caches (RFC 9111, 5.2.2.5).
    no_store: ClassVar[bool] = True
    # By method: the rules of settings.RATE_LIMITS whose standing each answer tells (accounts/kit/limit_headers.py).
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
        """As the framework does, without the choices that no endpoint leaves: renderers, versions, throttle classes."""
        self.args, self.kwargs = args, kwargs
        self.request = wrapped = EndpointRequest(request, self)
        try:
            self.initial(wrapped)
            response = getattr(self, str(request.method).lower())(wrapped, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - answered, and logged, by the handler that settings name
            response = self.handle_exception(error)
        return self.finalize_response(wrapped, response)

    def initial(self, request: EndpointRequest) -> None:  # type: ignore[override]
        """405 comes before the credential is looked at; OPTIONS says what a path knows and changes nothing."""
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
            _ = request.data  # refused, if it must be, before the handler runs

    def admit(self, request: EndpointRequest) -> None:
        """Find out who is calling, and refuse whom the tier does not let in."""
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
        """Return the shape that the body of a request with this method must have."""
        return NoBody if self.Body is None or method == "DELETE" else self.Body

    def query(self, request: Request) -> Any:
        """The query parameters as an instance of `self.Query`. Raises ValidationFailed."""
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
        """A fresh paginator of the project's one kind."""
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
    """`scope` is what the key must hold: one for all methods, one for each, or any of several; with none any live key
    opens the call, which then judges scopes itself.
    """

    tier = "internal"
    authentication_classes = (ApiKeyAuthentication,)
    permission_classes = (permissions.IsInternalService,)
    scope: ClassVar[str | tuple[str, ...] | dict[str, str]]

    def required_scopes(self, method: str | None) -> tuple[str, ...]:
        """The scopes of which a key must hold one for this method."""
        scope = self.scope
        if isinstance(scope, dict):
            scope = scope["GET" if method == "HEAD" else method or ""]
        return (scope,) if isinstance(scope, str) else scope


def idempotency_key(request: Request) -> str:
    """The Idempotency-Key header: 1 to 255 printable ASCII characters, required."""
    key = optional_idempotency_key(request)
    if key is None:
        raise IdempotencyKeyRequired
    return key


def optional_idempotency_key(request: Request) -> str | None:
    """Return the header, of the same form, where it was sent."""
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise IdempotencyKeyInvalid
    return str(key)

"""A URLconf of small endpoints, so that the floor is tested by itself, whatever the product's own endpoints do."""

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from django.http import HttpResponse
from django.urls import path
from msgspec import Meta
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import tiers
from accounts.kit.responses import Response
from accounts.models import AuditEvent
from accounts.tiers import PublicEndpoint
from config.urls import handlers

handler400, handler403, handler404, handler500 = handlers


class Line(msgspec.Struct, forbid_unknown_fields=True):
    amount: Annotated[int, Meta(ge=1, le=10**12)]
    metadata: dict[str, Any] | None = None


class Echo(PublicEndpoint):
    takes_forms = True

    class Body(tiers.Body):
        name: Annotated[str, Meta(min_length=1, max_length=10)]
        amount: Annotated[int, Meta(ge=1, le=10**12)] = 1
        kind: Literal["gift", "loan"] | None = None
        metadata: dict[str, Any] | None = None
        operations: list[Line] = []

    class Query(tiers.Query):
        size: int = 1

    def get(self, request: Request) -> Response:
        return Response(msgspec.to_builtins(self.query(request)))

    def post(self, request: Request) -> Response:
        assert isinstance(request.data, self.Body)
        return Response(request.data)


class Large(Echo):
    body_limit = 1024 * 1024


class NoBody(PublicEndpoint):
    def post(self, request: Request) -> Response:
        return Response({"done": True})


class Raw(PublicEndpoint):
    raw_body = True

    def post(self, request: Request) -> Response:
        return Response({"bytes": len(request.body)})


class Fails(PublicEndpoint):
    """Raises what a test puts here."""

    error: ClassVar[BaseException]

    def get(self, request: Request) -> Response:
        raise self.error


class Undeclared(APIView):
    """A view that forgot to declare its tier."""

    def get(self, request: Request) -> Response:
        return Response({"secret": True})


class Events(PublicEndpoint):
    def get(self, request: Request) -> Response:
        page: Response = self.pages.page(
            AuditEvent.objects.all(),
            request,
            order=("-created_at", "-id"),
            bound_to={"type": request.query_params.get("type")},
            render=lambda event: event.type,
        )
        return page


def plain_failure(request: Any) -> HttpResponse:
    """Fail outside DRF."""
    raise Fails.error


urlpatterns = [
    path("echo", Echo.as_view()),
    path("large", Large.as_view()),
    path("nobody", NoBody.as_view()),
    path("raw", Raw.as_view()),
    path("fails", Fails.as_view()),
    path("undeclared", Undeclared.as_view()),
    path("events", Events.as_view()),
    path("plain-failure", plain_failure),
    path("text/<str:text>", NoBody.as_view()),
]

"""Authentication of requests for Django: `MIDDLEWARE = [..., "auth_service_client.django.AccessTokenMiddleware"]`.

Settings: `AUTH_SERVICE = {"url": ..., "api_key": ...}` plus any other argument of Client; or `{"verifier": object}`
with any Verifier, such as a JWKSVerifier.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from auth_service_client.errors import AuthServiceError, TokenRefused
from auth_service_client.synchronous import Client
from auth_service_client.tokens import Identity, Verifier

View = Callable[..., HttpResponseBase]


@cache
def verifier() -> Verifier:
    """Return the verifier that AUTH_SERVICE configures, created once per process."""
    said: dict[str, Any] = dict(getattr(settings, "AUTH_SERVICE"))  # noqa: B009 - of the service that uses us
    return cast("Verifier", said["verifier"]) if "verifier" in said else Client(**said)


class AccessTokenMiddleware:
    """Gives each request an `identity`: the user behind its access token, or None without one.

    A token that is not live is answered with 401 at once, and with 503 while the auth service does not answer.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        token = bearer(request)
        request.identity = None  # type: ignore[attr-defined]
        try:
            if token is not None:
                request.identity = verifier().verify_token(token)  # type: ignore[attr-defined]
        except TokenRefused as refusal:
            return refused(401, str(refusal))
        except AuthServiceError:
            return JsonResponse(
                {"detail": "Who you are cannot be found out now."}, status=503, headers={"Retry-After": "5"}
            )
        return self.get_response(request)


def signed_in(view: View) -> View:
    """Let a view run only with a live access token and a verified address; it then finds `request.identity`."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        identity: Identity | None = getattr(request, "identity", None)
        if identity is None:
            return refused(401, "Send an access token.")
        if not identity.email_verified:
            return refused(403, "Verify the email address first.")
        return view(request, *args, **kwargs)

    return guarded


def bearer(request: HttpRequest) -> str | None:
    """Return the token of `Authorization: Bearer ...`, or None."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def refused(status: int, detail: str) -> JsonResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return JsonResponse({"detail": detail}, status=status, headers=headers)

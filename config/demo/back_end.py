"""Calls to the internal API, as another service makes them: over HTTP, with an API key, for the user whose access token
it received.

Answers are passed on to the browser unchanged, including refusals: they are problem documents, which the page shows.
"""

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

import requests
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

SECONDS = (1, 15)  # to connect, to answer: checkout waits for Stripe, up to 10 s
PASSED_ON = ("Retry-After", "Idempotency-Replayed")
ASKED = "X-Asked"  # tells the page which calls were behind its own; a real shop would not reveal them
View = Callable[..., HttpResponse]
_asked: ContextVar[list[str]] = ContextVar("asked")


def ask(method: str, path: str, *, idempotency_key: str | None = None, **arguments: Any) -> requests.Response:
    """Make one call to the internal API. Raise requests.RequestException if there is no answer."""
    headers = {"X-API-Key": settings.DEMO_API_KEY}  # type: ignore[misc]
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    url = f"{settings.DEMO_INTERNAL_URL}{path}"  # type: ignore[misc]
    answer = requests.request(method, url, headers=headers, timeout=SECONDS, **arguments)
    _asked.set([*_asked.get([]), f"{method} {path} {answer.status_code}"])
    return answer


def telling(view: View) -> View:
    """Wrap a view so that a header of its answer lists the calls to the internal API that it made."""

    @wraps(view)
    def told(request: HttpRequest, **arguments: Any) -> HttpResponse:
        _asked.set([])
        response = view(request, **arguments)
        response.headers[ASKED] = ", ".join(_asked.get())
        return response

    return told


def for_user(method: str) -> Callable[[View], View]:
    """Return a decorator for views that need a live access token; it passes the user's id as `user_id`.

    The token is introspected at each request (RFC 7662): someone who has signed out or is suspended is refused at once.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, **arguments: Any) -> HttpResponse:
            if request.method != method:
                return problem(405, "method_not_allowed", f"Only {method} is possible here.")
            try:
                user = introspect(request.headers.get("Authorization", ""))
                if user is None:
                    return problem(401, "access_token_invalid", "Sign in again.")
                if not user["email_verified"]:
                    return problem(403, "email_not_verified", "Verify the email address first.")
                return view(request, user_id=user["sub"], **arguments)
            except requests.RequestException:
                return problem(503, "service_unavailable", "The internal listener does not answer.")

        return telling(guarded)

    return decorate


def introspect(authorization: str) -> dict[str, Any] | None:
    """Return the claims of the header's access token; None if it is missing or no longer active."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    answer = ask("POST", "/v1/tokens/introspect", json={"token": token})
    answer.raise_for_status()
    claims: dict[str, Any] = answer.json()
    return claims if claims["active"] else None


def pass_on(answer: requests.Response) -> HttpResponse:
    """Return the answer unchanged, except for a refusal of the shop's own key: that is the shop's fault, not the
    user's.
    """
    if answer.status_code == 401:
        return problem(502, "api_key_refused", "The shop's own API key is refused.")
    response = HttpResponse(
        answer.content, status=answer.status_code, content_type=answer.headers.get("Content-Type", "")
    )
    response.headers["Cache-Control"] = "no-store"
    for name in PASSED_ON:
        if name in answer.headers:
            response.headers[name] = answer.headers[name]
    return response


def problem(status: int, code: str, detail: str) -> HttpResponse:
    """Return a refusal in this service's own format (RFC 9457)."""
    document = {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail}
    return JsonResponse(document, status=status, content_type="application/problem+json")

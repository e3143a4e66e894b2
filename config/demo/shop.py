"""The shop's back end: packs, subscriptions, and pictures that cost credits.

The browser says what it wants; the back end decides whose account it is, what it costs and where Stripe sends people
back to. The Idempotency-Key comes from the browser, one for each decision of its user, so that a double click or a
repeat after a lost answer buys once.
"""

import json

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from requests import RequestException

from config.demo.back_end import ask, for_user, pass_on, problem, telling

CREDITS_OF_A_PICTURE = 30


@require_safe
@telling
def plans(request: HttpRequest) -> HttpResponse:
    """List what is sold; no sign-in is needed."""
    try:
        return pass_on(ask("GET", "/v1/billing/plans"))
    except RequestException:
        return problem(503, "service_unavailable", "The internal listener does not answer.")


@for_user("GET")
def standing(request: HttpRequest, *, user_id: str) -> HttpResponse:
    """Return the user's subscription and balance."""
    return pass_on(ask("GET", "/v1/billing/status", params={"user_id": user_id}))


@for_user("GET")
def history(request: HttpRequest, *, user_id: str) -> HttpResponse:
    return pass_on(ask("GET", "/v1/credits/transactions", params={"user_id": user_id, "limit": 10}))


@for_user("POST")
def begin_checkout(request: HttpRequest, *, user_id: str) -> HttpResponse:
    """Start a checkout: `{"plan"}` -> `{"url"}`, Stripe's page, which sends the browser back here with the checkout's
    id.
    """
    home = f"{request.scheme}://{request.get_host()}/demo"
    order = {
        "user_id": user_id,
        "plan": asked(request).get("plan"),
        "success_url": f"{home}?checkout={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{home}?checkout=cancelled",
    }
    return pass_on(ask("POST", "/v1/billing/checkout-sessions", json=order, idempotency_key=key_of(request)))


@for_user("GET")
def look_up_checkout(request: HttpRequest, *, user_id: str, session_id: str) -> HttpResponse:
    """Settle a waiting user's payment on the spot, whether or not Stripe's event has arrived."""
    return pass_on(ask("GET", f"/v1/billing/checkout-sessions/{session_id}", params={"user_id": user_id}))


@for_user("POST")
def open_portal(request: HttpRequest, *, user_id: str) -> HttpResponse:
    """Open Stripe's page for cards and invoices."""
    body = {"user_id": user_id, "return_url": f"{request.scheme}://{request.get_host()}/demo"}
    return pass_on(ask("POST", "/v1/billing/portal-sessions", json=body, idempotency_key=key_of(request)))


@for_user("POST")
def cancel_subscription(request: HttpRequest, *, user_id: str, subscription_id: str) -> HttpResponse:
    """Cancel the subscription at the end of the period that is paid for."""
    path = f"/v1/billing/subscriptions/{subscription_id}/cancel"
    return pass_on(ask("POST", path, json={"user_id": user_id}))


@for_user("POST")
def resume_subscription(request: HttpRequest, *, user_id: str, subscription_id: str) -> HttpResponse:
    path = f"/v1/billing/subscriptions/{subscription_id}/resume"
    return pass_on(ask("POST", path, json={"user_id": user_id}))


@for_user("POST")
def paint_picture(request: HttpRequest, *, user_id: str) -> HttpResponse:
    """Take the credits, then do the work, as a product does; answer 402 if there are too few."""
    use = {"user_id": user_id, "amount": CREDITS_OF_A_PICTURE, "description": "A picture"}
    return pass_on(ask("POST", "/v1/credits/use", json=use, idempotency_key=key_of(request)))


def key_of(request: HttpRequest) -> str:
    return request.headers.get("Idempotency-Key", "")


def asked(request: HttpRequest) -> dict[str, object]:
    """Return the body, or `{}` if it is not a JSON object."""
    try:
        body = json.loads(request.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}

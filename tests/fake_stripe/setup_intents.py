"""Setup intents, which save a card without a charge."""

import secrets
from collections.abc import Callable
from typing import Any

from tests.fake_stripe import payment_methods
from tests.fake_stripe.cards import MESSAGES, OWN_CODES, declined
from tests.fake_stripe.listing import page
from tests.fake_stripe.payments import OPEN
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, Refusal

# What else follows from a card that was set up: subscriptions register here.
AFTERWARDS: list[Callable[[Store, Json], None]] = []


def new(store: Store, **values: Any) -> Json:
    identifier = store.new_id("setup_intent")
    intent = store.add(
        "setup_intent",
        id=identifier,
        client_secret=f"{identifier}_secret_{secrets.token_hex(12)}",
        payment_method_options={"card": {"request_three_d_secure": "automatic"}},
        payment_method_types=["card"],
        status="requires_confirmation" if values.get("payment_method") else "requires_payment_method",
        **{"metadata": {}, "usage": "off_session", **values},
    )
    store.emit("setup_intent.created", intent)
    return intent


def attempt(store: Store, intent: Json, *, authenticated: bool = False) -> None:
    method = store.get("payment_method", intent["payment_method"], param="payment_method")
    card = payment_methods.card_of(store, method)
    if card.saving:
        fail(store, intent, method, card.saving)
    elif card.challenge != "never" and not authenticated:
        url = f"{store.public_url}/challenge/{intent['id']}"
        action = {"type": "three_d_secure_redirect", "stripe_js": url}
        intent.update(
            status="requires_action", next_action={"type": "use_stripe_sdk", "use_stripe_sdk": action}
        )
        store.emit("setup_intent.requires_action", intent)
    else:
        succeed(store, intent, method)


def fail(store: Store, intent: Json, method: Json, code: str) -> None:
    error = {
        "code": code if code in OWN_CODES else "card_declined",
        "decline_code": code,
        "message": MESSAGES[code],
        "payment_method": dict(method),
        "type": "card_error",
    }
    intent.update(
        status="requires_payment_method", last_setup_error=error, next_action=None, payment_method=None
    )
    store.emit("setup_intent.setup_failed", intent)


def succeed(store: Store, intent: Json, method: Json) -> None:
    store.private[method["id"]]["set_up"] = True
    if intent["customer"]:
        payment_methods.save(store, method, intent["customer"])
    intent.update(status="succeeded", last_setup_error=None, next_action=None)
    store.emit("setup_intent.succeeded", intent)
    for follow in AFTERWARDS:
        follow(store, intent)


def authenticate(store: Store, intent: Json, *, success: bool) -> None:
    if intent["status"] != "requires_action":
        raise Refusal("Nothing to authenticate.", code="setup_intent_unexpected_state")
    if success:
        attempt(store, intent, authenticated=True)
    else:
        method = store.get("payment_method", intent["payment_method"])
        fail(store, intent, method, "authentication_required")
        intent["last_setup_error"].update(
            code="setup_intent_authentication_failure", type="invalid_request_error"
        )


@route(
    "POST",
    "/v1/setup_intents",
    "SetupIntentCreateParams",
    "customer payment_method usage metadata description confirm payment_method_types automatic_payment_methods",
)
def create(store: Store, params: Json) -> Json:
    if "customer" in params:
        store.get("customer", params["customer"], param="customer")
    confirming = params.pop("confirm", False)
    params.pop("payment_method_types", None)
    if "payment_method" in params:
        found = payment_methods.resolve(store, params["payment_method"], param="payment_method")
        params["payment_method"] = found["id"]
    intent = new(store, **{**params, "metadata": merged(None, params.get("metadata"))})
    return settle(store, intent) if confirming else intent


def settle(store: Store, intent: Json) -> Json:
    if intent["payment_method"] is None:
        raise Refusal(
            "You cannot confirm this SetupIntent because it's missing a payment method.",
            code="setup_intent_unexpected_state",
            setup_intent=intent,
        )
    attempt(store, intent)
    if intent["status"] == "requires_payment_method":
        raise declined(intent["last_setup_error"]["decline_code"], setup_intent=intent)
    return intent


@route("POST", "/v1/setup_intents/{id}/confirm", "SetupIntentConfirmParams", "payment_method return_url")
def confirm(store: Store, params: Json, identifier: str) -> Json:
    intent = store.get("setup_intent", identifier)
    if intent["status"] not in OPEN:
        raise Refusal(
            f"You cannot confirm this SetupIntent because it has a status of {intent['status']}.",
            code="setup_intent_unexpected_state",
            setup_intent=intent,
        )
    if "payment_method" in params:
        method = payment_methods.resolve(store, params["payment_method"], param="payment_method")
        intent["payment_method"] = method["id"]
    return settle(store, intent)


@route("POST", "/v1/setup_intents/{id}/cancel", "SetupIntentCancelParams", "cancellation_reason")
def cancel(store: Store, params: Json, identifier: str) -> Json:
    intent = store.get("setup_intent", identifier)
    if intent["status"] not in OPEN:
        raise Refusal("You cannot cancel this SetupIntent.", code="setup_intent_unexpected_state")
    intent.update(status="canceled", cancellation_reason=params.get("cancellation_reason"), next_action=None)
    store.emit("setup_intent.canceled", intent)
    return intent


@route("GET", "/v1/setup_intents", "SetupIntentListParams", f"{PAGE} created customer payment_method")
def list_(store: Store, params: Json) -> Json:
    fields = {name: params[name] for name in ("customer", "payment_method") if name in params}
    return page(store.all("setup_intent", **fields), params, "/v1/setup_intents")


@route("GET", "/v1/setup_intents/{id}", "SetupIntentRetrieveParams", "client_secret")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.get("setup_intent", identifier)

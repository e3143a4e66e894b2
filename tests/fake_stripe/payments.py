"""Payment intents: the states from a card to a charge."""

import secrets
from collections.abc import Callable
from typing import Any

from tests.fake_stripe import payment_methods
from tests.fake_stripe.cards import MESSAGES, OWN_CODES, declined
from tests.fake_stripe.charges import book, charge
from tests.fake_stripe.listing import page, search
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, Refusal

FIELDS = "amount currency customer payment_method description metadata setup_future_usage receipt_email"
CONFIRMATION = "off_session return_url"
SMALLEST = 50
DEBIT_SECONDS = 5 * 86_400
OPEN = {"requires_payment_method", "requires_confirmation", "requires_action"}

# What else follows from an outcome: invoices and checkout sessions register here.
AFTERWARDS: list[Callable[[Store, Json], None]] = []


def new(store: Store, *, amount: int, currency: str, **values: Any) -> Json:
    identifier = store.new_id("payment_intent")
    intent = store.add(
        "payment_intent",
        id=identifier,
        amount=amount,
        amount_capturable=0,
        amount_details={"tip": {}},
        amount_received=0,
        client_secret=f"{identifier}_secret_{secrets.token_hex(12)}",
        confirmation_method="automatic",
        currency=currency,
        payment_method_options={"card": {"request_three_d_secure": "automatic"}},
        payment_method_types=["card"],
        status="requires_confirmation" if values.get("payment_method") else "requires_payment_method",
        **{"metadata": {}, "capture_method": "automatic_async", **values},
    )
    store.emit("payment_intent.created", intent)
    return intent


def attempt(store: Store, intent: Json, *, off_session: bool, authenticated: bool = False) -> None:
    """Charge the intent's card as far as possible. Nothing is raised: the intent's state is the outcome."""
    method = store.get("payment_method", intent["payment_method"], param="payment_method")
    card = payment_methods.card_of(store, method)
    if not authenticated and must_authenticate(store, method, off_session=off_session):
        if off_session:
            fail(store, intent, method, "authentication_required")
        else:
            challenge(store, intent)
    elif card.is_debit and intent["status"] != "processing":
        request_debit(store, intent)
    elif card.charging:
        made = charge(store, intent, method, card)
        intent["latest_charge"] = made["id"]
        fail(store, intent, method, card.charging, charge=made["id"])
    else:
        succeed(store, intent, method, charge(store, intent, method, card))
    for follow in AFTERWARDS:
        follow(store, intent)


def request_debit(store: Store, intent: Json) -> None:
    """Wait some days for the bank's answer (https://docs.stripe.com/payments/payment-methods#customer-actions)."""
    intent.update(status="processing", next_action=None)
    store.private[intent["id"]]["answered_at"] = store.now() + DEBIT_SECONDS
    store.emit("payment_intent.processing", intent)


def answer_debit(store: Store, intent: Json) -> None:
    attempt(store, intent, off_session=True)


def must_authenticate(store: Store, method: Json, *, off_session: bool) -> bool:
    card = payment_methods.card_of(store, method)
    if card.challenge == "until_set_up":
        return not store.private[method["id"]]["set_up"]
    return card.challenge == "always"


def challenge(store: Store, intent: Json) -> None:
    url = f"{store.public_url}/challenge/{intent['id']}"
    redirect = {"return_url": store.private[intent["id"]].get("return_url"), "url": url}
    intent.update(
        status="requires_action",
        next_action={"type": "redirect_to_url", "redirect_to_url": redirect}
        if redirect["return_url"]
        else {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url},
        },
    )
    store.emit("payment_intent.requires_action", intent)


def fail(store: Store, intent: Json, method: Json, code: str, **extra: Any) -> None:
    error = {
        "code": code if code in OWN_CODES else "card_declined",
        "decline_code": code,
        "message": MESSAGES[code],
        "payment_method": dict(method),
        "type": "card_error",
        **extra,
    }
    intent.update(
        status="requires_payment_method", last_payment_error=error, next_action=None, payment_method=None
    )
    store.emit("payment_intent.payment_failed", intent)


def succeed(store: Store, intent: Json, method: Json, made: Json) -> None:
    manual = intent["capture_method"] == "manual"
    intent.update(
        status="requires_capture" if manual else "succeeded",
        amount_capturable=intent["amount"] if manual else 0,
        amount_received=0 if manual else intent["amount"],
        last_payment_error=None,
        latest_charge=made["id"],
        next_action=None,
    )
    if intent["setup_future_usage"] and intent["customer"]:
        store.private[method["id"]]["set_up"] = True
        payment_methods.save(store, method, intent["customer"])
    store.emit("payment_intent.amount_capturable_updated" if manual else "payment_intent.succeeded", intent)


@route("POST", "/v1/payment_intents/{id}/capture", "PaymentIntentCaptureParams", "amount_to_capture")
def capture(store: Store, params: Json, identifier: str) -> Json:
    """Capture once, all or a part; the rest is released
    (https://docs.stripe.com/payments/place-a-hold-on-a-payment-method).
    """
    intent = store.get("payment_intent", identifier)
    if intent["status"] != "requires_capture":
        raise unexpected_state(intent, "capture")
    amount: int = params.get("amount_to_capture") or intent["amount_capturable"]
    if not 0 < amount <= intent["amount_capturable"]:
        raise Refusal("The amount to capture exceeds what is capturable.", param="amount_to_capture")
    made = store.get("charge", intent["latest_charge"])
    made.update(amount_captured=amount, captured=True)
    made["balance_transaction"] = book(store, made, amount, "charge")["id"]
    store.emit("charge.captured", made)
    intent.update(status="succeeded", amount_received=amount, amount_capturable=0)
    store.emit("payment_intent.succeeded", intent)
    return intent


def authenticate(store: Store, intent: Json, *, success: bool) -> None:
    """Answer the bank's 3-D Secure page for the customer."""
    if intent["status"] != "requires_action":
        raise unexpected_state(intent, "authenticate")
    if success:
        attempt(store, intent, off_session=False, authenticated=True)
        return
    method = store.get("payment_method", intent["payment_method"])
    message = (
        "We are unable to authenticate your payment method. Please choose a different one and try again."
    )
    error = {
        "code": "payment_intent_authentication_failure",
        "message": message,
        "payment_method": dict(method),
        "type": "invalid_request_error",
    }
    intent.update(
        status="requires_payment_method", last_payment_error=error, next_action=None, payment_method=None
    )
    store.emit("payment_intent.payment_failed", intent)
    for follow in AFTERWARDS:
        follow(store, intent)


def unexpected_state(intent: Json, verb: str) -> Refusal:
    return Refusal(
        f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
        payment_intent=intent,
    )


@route(
    "POST",
    "/v1/payment_intents",
    "PaymentIntentCreateParams",
    f"{FIELDS} {CONFIRMATION} confirm payment_method_types automatic_payment_methods",
)
def create(store: Store, params: Json) -> Json:
    if params.get("amount", 0) < SMALLEST:
        message = f"Amount must be at least {SMALLEST} of the currency's smallest unit."
        raise Refusal(message, param="amount", code="amount_too_small")
    if "customer" in params:
        store.get("customer", params["customer"], param="customer")
    values = {name: params[name] for name in FIELDS.split() if name in params and params[name] != ""}
    values["metadata"] = merged(None, params.get("metadata"))
    if "payment_method" in params:
        values["payment_method"] = usable(store, params["payment_method"], params.get("customer"))["id"]
    if params.get("automatic_payment_methods"):
        values["automatic_payment_methods"] = {
            "allow_redirects": "always",
            **params["automatic_payment_methods"],
        }
    intent = new(store, **values)
    return settle(store, intent, params) if params.get("confirm") else intent


def usable(store: Store, identifier: str, customer: str | None) -> Json:
    method = payment_methods.resolve(store, identifier, param="payment_method")
    if method["customer"] is not None and method["customer"] != customer:
        raise Refusal(
            "The provided PaymentMethod cannot be used with this PaymentIntent: it belongs to a Customer, who must "
            "be given.",
            param="payment_method",
        )
    return method


def settle(store: Store, intent: Json, params: Json) -> Json:
    """Make one attempt on request; a decline is a 402 that contains the intent."""
    if intent["payment_method"] is None:
        raise Refusal(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
            payment_intent=intent,
        )
    store.private[intent["id"]]["return_url"] = params.get("return_url")
    attempt(store, intent, off_session=params.get("off_session") in {True, "one_off", "recurring"})
    if intent["status"] == "requires_payment_method":
        raise refused(intent)
    return intent


def refused(intent: Json) -> Refusal:
    error = intent["last_payment_error"]
    return declined(error["decline_code"], payment_intent=intent, charge=error.get("charge"))


@route(
    "POST",
    "/v1/payment_intents/{id}/confirm",
    "PaymentIntentConfirmParams",
    f"payment_method setup_future_usage {CONFIRMATION}",
)
def confirm(store: Store, params: Json, identifier: str) -> Json:
    intent = store.get("payment_intent", identifier)
    if intent["status"] not in OPEN:
        raise unexpected_state(intent, "confirm")
    if "payment_method" in params:
        intent["payment_method"] = usable(store, params["payment_method"], intent["customer"])["id"]
    if "setup_future_usage" in params:
        intent["setup_future_usage"] = params["setup_future_usage"]
    return settle(store, intent, params)


@route("POST", "/v1/payment_intents/{id}/cancel", "PaymentIntentCancelParams", "cancellation_reason")
def cancel(store: Store, params: Json, identifier: str) -> Json:
    intent = store.get("payment_intent", identifier)
    if intent["status"] not in OPEN:
        raise unexpected_state(intent, "cancel")
    end(store, intent, params.get("cancellation_reason"))
    return intent


def end(store: Store, intent: Json, reason: str | None) -> None:
    intent.update(status="canceled", canceled_at=store.now(), cancellation_reason=reason, next_action=None)
    store.emit("payment_intent.canceled", intent)


@route("POST", "/v1/payment_intents/{id}", "PaymentIntentUpdateParams", FIELDS)
def update(store: Store, params: Json, identifier: str) -> Json:
    intent = store.get("payment_intent", identifier)
    if intent["status"] not in OPEN:
        raise unexpected_state(intent, "update")
    if "payment_method" in params:
        params["payment_method"] = usable(store, params["payment_method"], intent["customer"])["id"]
        intent["status"] = "requires_confirmation"
    if "metadata" in params:
        params["metadata"] = merged(intent["metadata"], params["metadata"])
    intent.update(params)
    return intent


@route("GET", "/v1/payment_intents", "PaymentIntentListParams", f"{PAGE} created customer")
def list_(store: Store, params: Json) -> Json:
    fields = {"customer": params["customer"]} if "customer" in params else {}
    return page(store.all("payment_intent", **fields), params, "/v1/payment_intents")


@route("GET", "/v1/payment_intents/search", "PaymentIntentSearchParams", "query limit page")
def search_(store: Store, params: Json) -> Json:
    return search(store, "payment_intent", params, "/v1/payment_intents/search")


@route("GET", "/v1/payment_intents/{id}", "PaymentIntentRetrieveParams", "client_secret")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.get("payment_intent", identifier)

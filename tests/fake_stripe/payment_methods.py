"""Customers' cards: created from Stripe's test tokens or test numbers, attached, listed, detached."""

import copy

from tests.fake_stripe.cards import BY_NUMBER, TOKENS, Card, declined
from tests.fake_stripe.listing import page
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, Refusal

EXPIRY_YEARS = 8


def resolve(store: Store, identifier: str, *, param: str) -> Json:
    """Return a stored method, or a new one for a test card: Stripe creates one each time such a token is used."""
    if identifier in TOKENS:
        return add(store, TOKENS[identifier])
    return store.get("payment_method", identifier, param=param)


def add(store: Store, card: Card, *, exp_month: int = 12, exp_year: int | None = None) -> Json:
    if card.is_debit:
        return add_debit(store, card)
    details = {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": card.brand,
        "exp_month": exp_month,
        "exp_year": exp_year or 2026 + EXPIRY_YEARS,
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }
    method = store.add(
        "payment_method",
        allow_redisplay="unspecified",
        billing_details=billing_details(),
        card=details,
        metadata={},
        type="card",
    )
    store.private[method["id"]] = {"card": card, "set_up": False}
    return method


def add_debit(store: Store, card: Card) -> Json:
    details = {
        "bank_code": card.number[4:9],
        "branch_code": "",
        "country": card.number[:2],
        "fingerprint": card.fingerprint,
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": card.last4,
    }
    method = store.add(
        "payment_method",
        allow_redisplay="unspecified",
        billing_details=billing_details(),
        metadata={},
        sepa_debit=details,
        type="sepa_debit",
    )
    store.private[method["id"]] = {"card": card, "set_up": False}
    return method


def billing_details() -> Json:
    blank = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    return {"address": blank, "email": None, "name": None, "phone": None, "tax_id": None}


def card_of(store: Store, method: Json) -> Card:
    card: Card = store.private[method["id"]]["card"]
    return card


def save(store: Store, method: Json, customer: str) -> None:
    """Attach it without asking the bank again: the card has just been charged or set up."""
    if method["customer"] is None:
        method["customer"] = customer
        store.emit("payment_method.attached", method)


@route("POST", "/v1/payment_methods", "PaymentMethodCreateParams", "type card metadata billing_details")
def create(store: Store, params: Json) -> Json:
    if params.get("type") != "card":
        raise Refusal("The fake Stripe has cards only.", param="type", code="fake_unsupported")
    given = params.get("card", {})
    card = TOKENS.get(given.get("token", "")) or BY_NUMBER.get(given.get("number", ""))
    if card is None:
        raise Refusal(
            "Your card number is incorrect.",
            status=402,
            type="card_error",
            code="incorrect_number",
            param="number",
        )
    method = add(store, card, exp_month=given.get("exp_month", 12), exp_year=given.get("exp_year"))
    method["metadata"] = merged(None, params.get("metadata"))
    method["billing_details"].update(params.get("billing_details", {}))
    return method


@route("GET", "/v1/payment_methods", "PaymentMethodListParams", f"{PAGE} customer type")
def list_(store: Store, params: Json) -> Json:
    fields = {name: params[name] for name in ("customer", "type") if name in params}
    return page(
        store.all("payment_method", **fields) if "customer" in fields else [], params, "/v1/payment_methods"
    )


@route("GET", "/v1/customers/{id}/payment_methods", "CustomerPaymentMethodListParams", f"{PAGE} type")
def list_of_customer(store: Store, params: Json, customer: str) -> Json:
    store.get("customer", customer)
    url = f"/v1/customers/{customer}/payment_methods"
    return page(store.all("payment_method", customer=customer), params, url)


@route("GET", "/v1/customers/{id}/payment_methods/{pm}", "CustomerPaymentMethodRetrieveParams")
def retrieve_of_customer(store: Store, params: Json, customer: str, identifier: str) -> Json:
    method = store.get("payment_method", identifier)
    if method["customer"] != customer:
        raise Refusal(
            f"No such PaymentMethod: '{identifier}'",
            status=404,
            code="resource_missing",
            param="payment_method",
        )
    return method


@route("GET", "/v1/payment_methods/{id}", "PaymentMethodRetrieveParams")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.get("payment_method", identifier)


@route("POST", "/v1/payment_methods/{id}", "PaymentMethodUpdateParams", "metadata billing_details card")
def update(store: Store, params: Json, identifier: str) -> Json:
    method = store.get("payment_method", identifier)
    changes = {
        "metadata": merged(method["metadata"], params.get("metadata")),
        "billing_details": {**method["billing_details"], **params.get("billing_details", {})},
        "card": {**method["card"], **params.get("card", {})},
    }
    store.change(method, "payment_method.updated", **changes)
    return method


@route("POST", "/v1/payment_methods/{id}/attach", "PaymentMethodAttachParams", "customer")
def attach(store: Store, params: Json, identifier: str) -> Json:
    """Attach a card. The bank is asked, so most declining cards are refused here; 4000 0000 0000 0341 is not."""
    method = resolve(store, identifier, param="id")
    customer = store.get("customer", params["customer"], param="customer")
    if method["customer"] not in {None, customer["id"]}:
        raise Refusal(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    if code := card_of(store, method).saving:
        raise declined(code)
    if store.private[method["id"]].get("detached"):
        raise Refusal(
            "This PaymentMethod was previously used without being attached to a Customer or was detached "
            "from a Customer, and may not be used again.",
            code="payment_method_unexpected_state",
        )
    save(store, method, customer["id"])
    return method


@route("POST", "/v1/payment_methods/{id}/detach", "PaymentMethodDetachParams")
def detach(store: Store, params: Json, identifier: str) -> Json:
    method = store.get("payment_method", identifier)
    customer = method["customer"]
    if customer is None:
        raise Refusal(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
            code="payment_method_unexpected_state",
        )
    method["customer"] = None
    store.private[identifier]["detached"] = True
    forget_default(store, customer, identifier)
    store.emit("payment_method.detached", method, {"customer": customer})
    return method


def forget_default(store: Store, customer: str, identifier: str) -> None:
    settings = copy.deepcopy(store.get("customer", customer)["invoice_settings"])
    if settings["default_payment_method"] == identifier:
        settings["default_payment_method"] = None
        store.change(store.get("customer", customer), "customer.updated", invoice_settings=settings)
    for subscription in store.all("subscription", customer=customer, default_payment_method=identifier):
        store.change(subscription, "customer.subscription.updated", default_payment_method=None)

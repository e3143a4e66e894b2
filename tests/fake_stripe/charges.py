"""Charges, their balance transactions, and the attempt to charge a card."""

from typing import Any

from tests.fake_stripe.cards import MESSAGES, Card
from tests.fake_stripe.expansion import includes
from tests.fake_stripe.kinds import listed
from tests.fake_stripe.listing import page, search
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json


def charge(store: Store, intent: Json, method: Json, card: Card) -> Json:
    """Add a charge that succeeded or failed, depending on the card."""
    failed = card.charging is not None
    waits = intent["capture_method"] == "manual" and not failed
    made = store.add(
        "charge",
        amount=intent["amount"],
        amount_captured=0 if failed or waits else intent["amount"],
        amount_refunded=0,
        billing_details=dict(method["billing_details"]),
        calculated_statement_descriptor="FAKE STRIPE",
        captured=not failed and not waits,
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        disputed=False,
        failure_code=failure_code(card.charging),
        failure_message=MESSAGES[card.charging] if card.charging else None,
        fraud_details={},
        metadata=dict(intent["metadata"]),
        outcome=outcome(card.charging),
        paid=not failed,
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details=details(method),
        receipt_url=f"{store.public_url}/receipts/{intent['id']}",
        refunded=False,
        status="failed" if failed else "succeeded",
    )
    if not failed and not waits:
        made["balance_transaction"] = book(store, made, made["amount"], "charge")["id"]
    store.emit("charge.failed" if failed else "charge.succeeded", made)
    return made


def failure_code(decline: str | None) -> str | None:
    from tests.fake_stripe.cards import OWN_CODES

    return decline if decline in OWN_CODES or decline is None else "card_declined"


def outcome(decline: str | None) -> Json:
    refused = decline is not None
    return {
        "advice_code": "try_again_later" if refused else None,
        "network_advice_code": None,
        "network_decline_code": "05" if refused else None,
        "network_status": "declined_by_network" if refused else "approved_by_network",
        "reason": decline,
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": "The bank declined the payment." if refused else "Payment complete.",
        "type": "issuer_declined" if refused else "authorized",
    }


def details(method: Json) -> Json:
    if method["type"] == "sepa_debit":
        return {"sepa_debit": {**method["sepa_debit"], "mandate": None}, "type": "sepa_debit"}
    card = method["card"]
    shown = (
        "brand",
        "checks",
        "country",
        "exp_month",
        "exp_year",
        "fingerprint",
        "funding",
        "last4",
        "wallet",
    )
    extra = {"network": card["brand"], "regulated_status": card["regulated_status"], "three_d_secure": None}
    return {"card": {**{name: card[name] for name in shown}, **extra}, "type": "card"}


def book(store: Store, source: Json, amount: int, kind: str) -> Json:
    """Add a balance transaction; the fee is Stripe's usual 1.5 % + 25 on incoming money."""
    fee = round(amount * 0.015) + 25 if kind == "charge" else 0
    fees = [
        {
            "amount": fee,
            "application": None,
            "currency": source["currency"],
            "description": "Stripe processing fees",
            "type": "stripe_fee",
        }
    ]
    return store.add(
        "balance_transaction",
        amount=amount,
        available_on=store.now() + 2 * 86_400,
        balance_type="payments",
        currency=source["currency"],
        fee=fee,
        fee_details=fees if fee else [],
        net=amount - fee,
        reporting_category="dispute" if kind == "adjustment" else kind,
        source=source["id"],
        status="pending",
        type=kind,
    )


@includes("charge", "refunds")
def refunds_of(store: Store, one: Json) -> Json:
    newest = list(reversed(store.all("refund", charge=one["id"])))
    return listed(newest, f"/v1/charges/{one['id']}/refunds")


@route("GET", "/v1/charges", "ChargeListParams", f"{PAGE} created customer payment_intent")
def list_(store: Store, params: Json) -> Json:
    fields: dict[str, Any] = {name: params[name] for name in ("customer", "payment_intent") if name in params}
    return page(store.all("charge", **fields), params, "/v1/charges")


@route("GET", "/v1/charges/search", "ChargeSearchParams", "query limit page")
def search_(store: Store, params: Json) -> Json:
    return search(store, "charge", params, "/v1/charges/search")


@route("GET", "/v1/charges/{id}", "ChargeRetrieveParams")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.get("charge", identifier)


@route("POST", "/v1/charges/{id}", "ChargeUpdateParams", "metadata description")
def update(store: Store, params: Json, identifier: str) -> Json:
    one = store.get("charge", identifier)
    changes = {**params, "metadata": merged(one["metadata"], params.get("metadata"))}
    store.change(one, "charge.updated", **changes)
    return one


@route(
    "GET", "/v1/balance_transactions", "BalanceTransactionListParams", f"{PAGE} created type source currency"
)
def list_booked(store: Store, params: Json) -> Json:
    fields = {name: params[name] for name in ("type", "source", "currency") if name in params}
    return page(store.all("balance_transaction", **fields), params, "/v1/balance_transactions")


@route("GET", "/v1/balance_transactions/{id}", "BalanceTransactionRetrieveParams")
def retrieve_booked(store: Store, params: Json, identifier: str) -> Json:
    return store.get("balance_transaction", identifier)

"""Refunds, whole and partial."""

from tests.fake_stripe.charges import book
from tests.fake_stripe.listing import page
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, Refusal


@route("POST", "/v1/refunds", "RefundCreateParams", "charge payment_intent amount reason metadata")
def create(store: Store, params: Json) -> Json:
    charge = charge_of(store, params)
    left = charge["amount_captured"] - charge["amount_refunded"]
    amount = params.get("amount", left)
    check(charge, amount, left)
    refund = store.add(
        "refund",
        amount=amount,
        charge=charge["id"],
        currency=charge["currency"],
        destination_details={
            "card": {
                "reference_status": "pending",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        metadata=merged(None, params.get("metadata")),
        payment_intent=charge["payment_intent"],
        reason=params.get("reason"),
        status="succeeded",
    )
    refund["balance_transaction"] = book(store, refund, -amount, "refund")["id"]
    store.emit("refund.created", refund)
    apply(store, charge, amount)
    return refund


def charge_of(store: Store, params: Json) -> Json:
    if "payment_intent" in params:
        intent = store.get("payment_intent", params["payment_intent"], param="payment_intent")
        if intent["status"] != "succeeded":
            message = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
            raise Refusal(message, param="payment_intent")
        return store.get("charge", intent["latest_charge"], param="payment_intent")
    if "charge" not in params:
        raise Refusal(
            "One of the following params should be provided for this request: payment_intent or charge.",
            code="parameter_missing",
        )
    return store.get("charge", params["charge"], param="charge")


def check(charge: Json, amount: int, left: int) -> None:
    if charge["disputed"]:
        raise Refusal(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    if left == 0:
        raise Refusal(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if amount < 1:
        raise Refusal("This value must be greater than or equal to 1.", param="amount")
    if amount > left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise Refusal(message, param="amount")


def apply(store: Store, charge: Json, amount: int) -> None:
    total = charge["amount_refunded"] + amount
    previous = {"amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"]}
    charge.update(amount_refunded=total, refunded=total == charge["amount_captured"])
    store.emit("charge.refunded", charge, previous)


def fail(store: Store, refund: Json) -> None:
    """Fail a refund that the customer's bank could not accept: the amount is ours again."""
    charge = store.get("charge", refund["charge"])
    undo = book(store, refund, refund["amount"], "refund_failure")
    changes = {
        "status": "failed",
        "failure_reason": "lost_or_stolen_card",
        "failure_balance_transaction": undo["id"],
    }
    store.change(refund, "refund.failed", **changes)
    store.emit("charge.refund.updated", refund)
    total = charge["amount_refunded"] - refund["amount"]
    store.change(charge, "charge.updated", amount_refunded=total, refunded=False)


@route("GET", "/v1/refunds", "RefundListParams", f"{PAGE} created charge payment_intent")
def list_(store: Store, params: Json) -> Json:
    fields = {name: params[name] for name in ("charge", "payment_intent") if name in params}
    return page(store.all("refund", **fields), params, "/v1/refunds")


@route("GET", "/v1/refunds/{id}", "RefundRetrieveParams")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.get("refund", identifier)


@route("POST", "/v1/refunds/{id}", "RefundUpdateParams", "metadata")
def update(store: Store, params: Json, identifier: str) -> Json:
    refund = store.get("refund", identifier)
    store.change(refund, "refund.updated", metadata=merged(refund["metadata"], params.get("metadata")))
    return refund

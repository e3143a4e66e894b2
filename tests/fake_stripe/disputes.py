"""Disputes: opened by the control API, then won, lost, or given up."""

import stripe

from tests.fake_stripe.charges import book
from tests.fake_stripe.kinds import annotations
from tests.fake_stripe.listing import page
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, Refusal

ANSWER_DAYS = 7
DISPUTE_FEE = 1500
OPEN = {"needs_response", "under_review", "warning_needs_response"}


def open_(
    store: Store,
    charge: Json,
    *,
    amount: int | None = None,
    reason: str = "fraudulent",
    inquiry: bool = False,
    currency: str | None = None,
) -> Json:
    """Open a dispute: the bank takes the money at once, and Stripe a fee. An inquiry only asks. The amount may differ
    from the charge's because of exchange rates (https://docs.stripe.com/api/disputes/object), and be in another
    currency.
    """
    if charge["disputed"]:
        raise Refusal("The charge is disputed already.")
    dispute = store.add(
        "dispute",
        amount=amount or charge["amount_captured"] - charge["amount_refunded"],
        balance_transactions=[],
        charge=charge["id"],
        currency=currency or charge["currency"],
        enhanced_eligibility_types=[],
        evidence=dict.fromkeys(annotations(stripe.Dispute.Evidence))
        | {"enhanced_evidence": {}, "customer_email_address": charge["billing_details"]["email"]},
        evidence_details={
            "due_by": store.now() + ANSWER_DAYS * 86_400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        is_charge_refundable=inquiry,
        metadata={},
        payment_intent=charge["payment_intent"],
        payment_method_details={
            "card": card_details(charge, "inquiry" if inquiry else "chargeback"),
            "type": "card",
        },
        reason=reason,
        status="warning_needs_response" if inquiry else "needs_response",
    )
    charge["disputed"] = True
    store.emit("charge.dispute.created", dispute)
    if not inquiry:
        move_funds(store, dispute, -dispute["amount"], "charge.dispute.funds_withdrawn")
    store.emit("charge.updated", charge, {"disputed": False})
    return dispute


def card_details(charge: Json, case_type: str) -> Json:
    brand = charge["payment_method_details"]["card"]["brand"]
    return {"brand": brand, "case_type": case_type, "network": brand, "network_reason_code": "10"}


def move_funds(store: Store, dispute: Json, amount: int, event: str) -> None:
    booked = book(store, dispute, amount, "adjustment")
    if amount < 0:
        fee = {"amount": DISPUTE_FEE, "application": None, "currency": dispute["currency"]}
        booked.update(fee=DISPUTE_FEE, net=amount - DISPUTE_FEE)
        booked["fee_details"] = [{**fee, "description": "Dispute fee", "type": "stripe_fee"}]
    dispute["balance_transactions"].append(booked)
    store.emit(event, dispute)


def close_as(store: Store, dispute: Json, status: str) -> Json:
    """Close it: `won` returns the money; `lost` leaves it where it is; an inquiry ends as `warning_closed`."""
    if dispute["status"] not in OPEN:
        raise Refusal("This dispute is already closed.")
    dispute["status"] = status
    store.emit("charge.dispute.closed", dispute)
    if status == "won":
        move_funds(store, dispute, dispute["amount"], "charge.dispute.funds_reinstated")
    return dispute


@route("GET", "/v1/disputes", "DisputeListParams", f"{PAGE} created charge payment_intent")
def list_(store: Store, params: Json) -> Json:
    fields = {name: params[name] for name in ("charge", "payment_intent") if name in params}
    return page(store.all("dispute", **fields), params, "/v1/disputes")


@route("GET", "/v1/disputes/{id}", "DisputeRetrieveParams")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.get("dispute", identifier)


@route("POST", "/v1/disputes/{id}", "DisputeUpdateParams", "metadata evidence submit")
def update(store: Store, params: Json, identifier: str) -> Json:
    dispute = store.get("dispute", identifier)
    changes: Json = {"metadata": merged(dispute["metadata"], params.get("metadata"))}
    if evidence := params.get("evidence"):
        changes["evidence"] = {**dispute["evidence"], **evidence}
        changes["evidence_details"] = {
            **dispute["evidence_details"],
            "has_evidence": True,
            "submission_count": 1,
        }
        changes["status"] = "under_review" if params.get("submit", True) else dispute["status"]
    store.change(dispute, "charge.dispute.updated", **changes)
    return dispute


@route("POST", "/v1/disputes/{id}/close", "DisputeCloseParams")
def close(store: Store, params: Json, identifier: str) -> Json:
    return close_as(store, store.get("dispute", identifier), "lost")

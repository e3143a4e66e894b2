"""Open invoices: how they are answered, and how one is paid on request."""

import uuid
from typing import Any

from billing import customers
from billing.errors import BillingObjectNotFound, BillingRejected, StripeObjectMissing
from billing.settlement import lifecycle, settle
from billing.shop import requests, standing
from billing.shop.requests import Attempt, Instruction, Made, Outcome
from billing.stripe import gateway, shapes
from billing.stripe.shapes import Object


def pay(instruction: Instruction, *, invoice_id: str, payment_method: str | None) -> Outcome:
    """Pay an unpaid invoice of the user's, with this card or the one it would be charged to.

    Raises BillingObjectNotFound, BillingRejected for one that is paid or void, PaymentFailed.
    """

    def perform(attempt: Attempt) -> Made:
        customers.require_active(instruction.user_id)
        found = _own(instruction.user_id, invoice_id)
        if found["status"] in shapes.UNPAID:
            found = collect(instruction.user_id, invoice_id, payment_method=payment_method, key=attempt.key)
        elif not (attempt.is_repeat and found["status"] == "paid"):
            raise BillingRejected("This invoice is not open.", reason="invoice_not_open")
        return standing.invoice_fields(found), invoice_id

    return requests.carry_out(instruction, perform, status=200)


def collect(
    user_id: uuid.UUID, invoice_id: str, *, payment_method: str | None = None, key: str | None = None
) -> Object:
    """Have Stripe collect the invoice, and settle it on the spot. Raises PaymentFailed."""
    paid = gateway.pay_invoice(invoice=invoice_id, payment_method=payment_method, key=key)
    settle.settle(invoice_id)
    lifecycle.follow(user_id)
    return paid


def _own(user_id: uuid.UUID, invoice_id: str) -> Object:
    try:
        found = gateway.retrieve_invoice(invoice_id)
    except StripeObjectMissing:
        raise BillingObjectNotFound from None
    if shapes.customer_of(found) not in customers.all_of(user_id):
        raise BillingObjectNotFound
    return found


def open_answer(found: Object) -> dict[str, Any]:
    return {"id": found["id"], "amount_due": int(found["amount_remaining"]), "currency": found["currency"]}

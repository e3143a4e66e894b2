"""The cards of a user: stored through a setup intent or Stripe's pages, read from the mirror."""

import uuid
from typing import Any

from billing import customers
from billing.errors import BillingObjectNotFound, StripeObjectMissing
from billing.shop import requests
from billing.shop.requests import Attempt, Instruction, Made, Outcome
from billing.stripe import gateway, mirror, sdk, shapes
from billing.stripe.shapes import Object


def begin_setup(instruction: Instruction) -> Outcome:
    """Make a setup intent: with its client secret a front end stores a card without charging it."""

    def perform(attempt: Attempt) -> Made:
        requests.require_active(instruction.user_id)
        customer = customers.ensure(instruction.user_id)
        intent = attempt.find(lambda: gateway.list_setup_intents(customer=customer))
        intent = intent or gateway.create_setup_intent(
            customer=customer, metadata=attempt.metadata, key=attempt.key
        )
        return {"id": intent["id"], "client_secret": intent["client_secret"]}, intent["id"]

    return requests.carry_out(instruction, perform)


def own(*, user_id: uuid.UUID, payment_method: str) -> Object:
    """Return one of the user's. The mirror answers if it can; what it does not know yet, Stripe does.

    Raises BillingObjectNotFound: also for what belongs to somebody else, or to nobody any more.
    """
    customer = customers.customer_of(user_id)
    if customer is None:
        raise BillingObjectNotFound
    known = mirror.payment_methods(customer).filter(id=payment_method).first()
    if known is not None:
        return dict(known.stripe_data)
    try:
        found = gateway.retrieve_payment_method(payment_method)
    except StripeObjectMissing:
        raise BillingObjectNotFound from None
    if shapes.customer_of(found) != customer:
        raise BillingObjectNotFound
    return found


def remove(*, user_id: uuid.UUID, payment_method: str) -> None:
    own(user_id=user_id, payment_method=payment_method)
    with sdk.within():
        mirror.store(gateway.detach_payment_method(payment_method))


def make_default(*, user_id: uuid.UUID, payment_method: str) -> dict[str, Any]:
    """Have invoices paid with it from now on, and return it."""
    found = own(user_id=user_id, payment_method=payment_method)
    customer = customers.customer_of(user_id) or ""
    with sdk.within():
        mirror.store(gateway.set_default_payment_method(customer=customer, payment_method=payment_method))
        mirror.store(found)
    return answer(found, default=payment_method)


def answer(found: Object, *, default: str) -> dict[str, Any]:
    """Return a payment method as it is answered. One that is not a card has none of a card's fields."""
    card = found.get("card") or {}
    return {
        "id": found["id"],
        "brand": card.get("brand"),
        "last4": card.get("last4"),
        "exp_month": card.get("exp_month"),
        "exp_year": card.get("exp_year"),
        "default": found["id"] == default,
    }

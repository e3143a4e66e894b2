"""A user's cards: stored through a setup intent or on Stripe's pages, read from the mirror."""

import uuid
from typing import Any

from billing import customers
from billing.errors import BillingObjectNotFound, LastPaymentMethod, StripeObjectMissing
from billing.settlement import lifecycle
from billing.shop import invoices, requests
from billing.shop.requests import Attempt, Instruction, Made, Outcome
from billing.stripe import ending, gateway, mirror, sdk, shapes
from billing.stripe.shapes import Object


def begin_setup(instruction: Instruction) -> Outcome:
    """Make a setup intent, whose client secret lets a front end store a card without charging it."""

    def perform(attempt: Attempt) -> Made:
        customers.require_active(instruction.user_id)
        customer = customers.ensure(instruction.user_id)
        intent = attempt.find(lambda: gateway.list_setup_intents(customer=customer))
        intent = intent or gateway.create_setup_intent(
            customer=customer, metadata=attempt.metadata, key=attempt.key
        )
        return {"id": intent["id"], "client_secret": intent["client_secret"]}, intent["id"]

    return requests.carry_out(instruction, perform)


def own(*, user_id: uuid.UUID, payment_method: str) -> Object:
    """Return one of the user's payment methods, from the mirror or, if it is not known there yet, from Stripe.

    Raises BillingObjectNotFound, also for one that belongs to someone else or no longer to anyone.
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


def remove(*, user_id: uuid.UUID, payment_method: str, cancel_at_period_end: bool = False) -> None:
    """Remove a card.

    Raises LastPaymentMethod if a subscription would be left to renew without any, unless `cancel_at_period_end` ends it
    with its period.
    """
    own(user_id=user_id, payment_method=payment_method)
    customer = customers.customer_of(user_id) or ""
    with sdk.within():
        kept = [
            found
            for found in gateway.list_payment_methods(customer=customer)
            if found["id"] != payment_method
        ]
        for subscription in [] if kept else _renewing(customer):
            if not cancel_at_period_end:
                raise LastPaymentMethod
            mirror.store(ending.with_period(subscription["id"]))
        mirror.store(gateway.detach_payment_method(payment_method))
        lifecycle.follow(user_id)


def _renewing(customer: str) -> list[Object]:
    return [found for found in _live(customer) if not shapes.ends(found)]


def _live(customer: str) -> list[Object]:
    return list(filter(lifecycle.is_alive, gateway.list_subscriptions(customer=customer)))


def make_default(*, user_id: uuid.UUID, payment_method: str, pay_open: bool = False) -> dict[str, Any]:
    """Make a card the default for future invoices, including subscriptions', and return it with the open invoices.

    Open invoices are paid with it only if the caller, who has seen the amounts, asks for that. Raises PaymentFailed;
    even then the card is the default.
    """
    found = own(user_id=user_id, payment_method=payment_method)
    customer = customers.customer_of(user_id) or ""
    with sdk.within():
        mirror.store(gateway.set_default_payment_method(customer=customer, payment_method=payment_method))
        mirror.store(found)
        for subscription in _live(customer):
            if shapes.id_of(subscription.get("default_payment_method")) != payment_method:
                gateway.set_subscription_card(subscription=subscription["id"], payment_method=payment_method)
        open_invoices = gateway.list_invoices(customer=customer, status="open")
        for invoice in open_invoices if pay_open else []:
            invoices.collect(user_id, invoice["id"], payment_method=payment_method)
    left = [] if pay_open else [invoices.open_answer(invoice) for invoice in open_invoices]
    return {**answer(found, default=payment_method), "open_invoices": left}


def answer(found: Object, *, default: str) -> dict[str, Any]:
    """Return a payment method as the API shows it. One that is not a card has no values for a card's fields."""
    card = found.get("card") or {}
    return {
        "id": found["id"],
        "brand": card.get("brand"),
        "last4": card.get("last4"),
        "exp_month": card.get("exp_month"),
        "exp_year": card.get("exp_year"),
        "default": found["id"] == default,
    }

"""Subscriptions: started with a stored card, ended with the period or at once, and resumed.

Changes of plan are in billing/shop/plan_changes.py. Stripe keeps the subscriptions; after each change the account's
status follows on the spot, and the event does the same again.
"""

import uuid
from typing import Any

import structlog

from accounts.kit.problems import Problem
from billing import customers
from billing.errors import (
    AlreadySubscribed,
    BillingObjectNotFound,
    BillingRejected,
    BillingUnavailable,
    PaymentFailed,
    PaymentMethodRequired,
    StripeObjectMissing,
    TrialUsed,
)
from billing.models import BillingAccount, Plan
from billing.models.catalogue import plan_named
from billing.settlement import lifecycle, settle, standing_plans, trial
from billing.shop import payment_methods, requests
from billing.shop.requests import Attempt, Instruction, Made, Outcome
from billing.stripe import ending, gateway, mirror, sdk, shapes
from billing.stripe.shapes import ENDED_SUBSCRIPTIONS, Object

log = structlog.get_logger("billing")


# ---------------------------------------------------------------- beginning


def create(
    instruction: Instruction, *, plan_code: str, payment_method: str | None, wants_trial: bool
) -> Outcome:
    """Start a subscription that is charged at once or starts with the plan's trial.

    Without a payment method, or if the bank asks the user, it is `incomplete` and has a client secret.
    Raises PlanNotFound, PaymentMethodRequired, TrialUsed, AlreadySubscribed, PaymentFailed, AccountSuspended.
    """

    def perform(attempt: Attempt) -> Made:
        customers.require_active(instruction.user_id)
        plan = _subscription_plan(plan_code)
        has_trial = wants_trial and plan.trial_days is not None
        fingerprint = _card(instruction.user_id, payment_method, needed=has_trial)
        customer = customers.ensure(instruction.user_id)
        begun = attempt.find(lambda: gateway.list_subscriptions(customer=customer))
        if begun is None:
            require_none(customer)
            if has_trial:
                _claim_trial(attempt, fingerprint)
            begun = _begin(attempt, plan, customer, payment_method, has_trial=has_trial)
        subscription = _require_paid(begun)
        follow(instruction.user_id, subscription)
        return answer(subscription, with_secret=True), subscription["id"]

    return requests.carry_out(instruction, perform, alone=True)


def _subscription_plan(code: str) -> Plan:
    return plan_named(code, kind=Plan.Kind.SUBSCRIPTION)


def _card(user_id: uuid.UUID, payment_method: str | None, *, needed: bool) -> str:
    """Return the card's fingerprint. Raises PaymentMethodRequired, BillingObjectNotFound."""
    if payment_method is None:
        if needed:
            raise PaymentMethodRequired
        return ""
    return shapes.fingerprint(payment_methods.own(user_id=user_id, payment_method=payment_method))


def require_none(customer: str) -> None:
    """Refuse a second subscription. Raises AlreadySubscribed.

    Anything that still waits for its first payment gives way, so that nobody pays for both: an incomplete subscription,
    and a Checkout page that is still open.
    """
    ending.close_pages(customer, mode="subscription")
    for found in gateway.list_subscriptions(customer=customer):
        if found["status"] == "incomplete":
            gateway.cancel_subscription(subscription=found["id"])
        elif found["status"] not in ENDED_SUBSCRIPTIONS:
            raise AlreadySubscribed


def _claim_trial(attempt: Attempt, fingerprint: str) -> None:
    """Claim the trial before Stripe is called, so that of several requests with one card only one gets there.

    Raises TrialUsed.
    """
    if trial.eligibility(attempt.user_id) != trial.ELIGIBLE:
        raise TrialUsed
    trial.claim(user_id=attempt.user_id, fingerprint=fingerprint, holder=str(attempt.request_id))


def _begin(
    attempt: Attempt, plan: Plan, customer: str, payment_method: str | None, *, has_trial: bool
) -> Object:
    holder = str(attempt.request_id)
    attempt.offer(plan)
    try:
        return gateway.create_subscription(
            customer=customer,
            price=plan.stripe_price,
            payment_method=payment_method,
            trial_days=plan.trial_days if has_trial else None,
            metadata={**attempt.metadata, **({"trial_holder": holder} if has_trial else {})},
            key=attempt.key,
        )
    except BillingUnavailable:
        raise
    except Problem:
        trial.release(holder=holder)
        raise


def _require_paid(begun: Object) -> Object:
    """Return the subscription as it is now, since a repeated call gets Stripe's first answer again.

    A declined card leaves nothing behind. Raises PaymentFailed.
    """
    subscription = gateway.retrieve_begun_subscription(begun["id"])
    if subscription["status"] in ENDED_SUBSCRIPTIONS:
        raise PaymentFailed
    if subscription["status"] == "incomplete" and (declined := lifecycle.decline(subscription)) is not None:
        gateway.cancel_subscription(subscription=subscription["id"])
        raise PaymentFailed(decline_code=declined)
    return subscription


# ---------------------------------------------------------------- afterwards


def end_trial(instruction: Instruction, *, subscription_id: str) -> Outcome:
    """Start the first paid period now, on the plan that was planned for it.

    Raises PaymentFailed; the trial then continues.
    """

    def perform(attempt: Attempt) -> Made:
        customers.require_active(instruction.user_id)
        found = own(user_id=instruction.user_id, subscription_id=subscription_id)
        require_alive(found)
        if found["status"] == "trialing":
            _take_what_is_planned(found)
            gateway.end_trial(subscription=subscription_id, key=attempt.key)
            found = gateway.retrieve_subscription(subscription_id)
        elif not attempt.is_repeat:
            raise BillingRejected("This subscription is not in a trial.", reason="not_in_trial")
        follow(instruction.user_id, found, paid_first=True)
        return answer(found), subscription_id

    return requests.carry_out(instruction, perform, status=200, alone=True)


def _take_what_is_planned(found: Object) -> None:
    """Move to the planned plan now, since the schedule would wait for the trial's original end."""
    price = standing_plans.next_price(found)
    ending.release(found)
    if price:
        item = standing_plans.item_of(found)["id"]
        gateway.set_price(subscription=found["id"], item=item, price=price)


def cancel(*, user_id: uuid.UUID, subscription_id: str, at_period_end: bool) -> dict[str, Any]:
    """End a subscription, and drop any change planned for it. One that has ended stays as it is."""
    with sdk.within():
        found = own(user_id=user_id, subscription_id=subscription_id)
        if found["status"] not in ENDED_SUBSCRIPTIONS:
            found = (ending.with_period if at_period_end else ending.at_once)(subscription_id)
            follow(user_id, found)
    return answer(found)


def resume(*, user_id: uuid.UUID, subscription_id: str) -> dict[str, Any]:
    """Undo a planned end. Raises BillingRejected for one that has ended: a new one has to be started instead."""
    customers.require_active(user_id)
    with sdk.within():
        found = own(user_id=user_id, subscription_id=subscription_id)
        require_alive(found)
        found = ending.take_back(found)
        follow(user_id, found)
    return answer(found)


def own(*, user_id: uuid.UUID, subscription_id: str) -> Object:
    """Return one of the user's subscriptions, as it is at Stripe now. Raises BillingObjectNotFound."""
    customer = customers.customer_of(user_id)
    if customer is None:
        raise BillingObjectNotFound
    try:
        found = gateway.retrieve_subscription(subscription_id)
    except StripeObjectMissing:
        raise BillingObjectNotFound from None
    if shapes.customer_of(found) != customer:
        raise BillingObjectNotFound
    return found


def require_alive(found: Object) -> None:
    if found["status"] in ENDED_SUBSCRIPTIONS:
        raise BillingRejected("This subscription has ended.", reason="subscription_ended")


def follow(user_id: uuid.UUID, subscription: Object, *, paid_first: bool = False) -> None:
    """Bring credits and status up to date without waiting for the event, which makes up for what fails here."""
    mirror.store(subscription)
    invoice = shapes.id_of(subscription.get("latest_invoice"))
    try:
        if invoice and paid_first:
            settle.settle(invoice)
        lifecycle.follow(user_id)
        if invoice and not paid_first:
            settle.settle(invoice)
    except Problem as error:
        log.info("subscription_followed_later", reason=type(error).__name__)


# ---------------------------------------------------------------- the answer


def answer(found: Object, *, with_secret: bool = False) -> dict[str, Any]:
    """Return a subscription, fetched with its schedule, as the API shows it."""
    secret = shapes.client_secret(found) if with_secret else ""
    trial_end = shapes.written(shapes.moment(found.get("trial_end")))
    cancel_at = shapes.written(shapes.moment(found.get("cancel_at")))
    return {
        "id": found["id"],
        "status": found["status"],
        "current_period_end": shapes.written(shapes.current_period_end(found)),
        "cancel_at_period_end": shapes.ends(found),
        **standing_plans.of(found).answer(),
        **({"cancel_at": cancel_at} if cancel_at else {}),
        **({"trial_end": trial_end} if trial_end else {}),
        **({"client_secret": secret} if secret else {}),
    }


def listed_answer(found: Object, account: BillingAccount | None) -> dict[str, Any]:
    """Return a mirrored subscription, which has no schedule: the current one's next plan comes from the account."""
    shown = answer(found)
    if account is not None and account.subscription == found["id"]:
        shown |= standing_plans.of_account(account).answer()
    return shown

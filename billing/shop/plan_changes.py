"""Changes of plan: now, with a whole new period paid in full, or at the end of the period already paid for.

Nothing is prorated (docs/decisions/0022-billing-settlement.md). Every step reads the state at Stripe first, so a
request that was cut off continues from there when it is repeated; two changes of one user never run concurrently.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from django.utils import timezone

from accounts.kit.problems import Problem, ValidationFailed
from billing import customers
from billing.errors import (
    BillingRejected,
    BillingUnavailable,
    CancellationPending,
    ChangePending,
    PaymentFailed,
    PaymentOverdue,
)
from billing.models import BillingAccount, Plan
from billing.models.catalogue import plan_named
from billing.settlement import lifecycle, settle, standing_plans
from billing.shop import requests, subscriptions
from billing.shop.requests import Attempt, Instruction, Made, Outcome
from billing.stripe import ending, gateway, sdk, shapes, snapshots
from billing.stripe.shapes import Object

DAYS = {"day": 1.0, "week": 7.0, "month": 30.4375, "year": 365.25}


class When(StrEnum):
    NOW = "now"
    PERIOD_END = "period_end"


def change(
    instruction: Instruction, *, subscription_id: str, plan_code: str, when: When | None, resume: bool
) -> Outcome:
    """Move to another plan. Naming the subscription's current plan undoes what was planned.

    Raises PlanNotFound, ChangePending, CancellationPending, PaymentOverdue, PaymentFailed, AccountSuspended.
    """

    def perform(attempt: Attempt) -> Made:
        customers.require_active(instruction.user_id)
        plan = plan_named(plan_code, kind=Plan.Kind.SUBSCRIPTION)
        found = subscriptions.own(user_id=instruction.user_id, subscription_id=subscription_id)
        _require_changeable(found)
        found = _with_nothing_pending(attempt, found, plan)
        if shapes.ends(found) and not resume:
            raise CancellationPending
        found = _move(attempt, found, plan, when)
        subscriptions.follow(instruction.user_id, found, paid_first=True)
        return subscriptions.answer(found, with_secret=True), _made(found)

    return requests.carry_out(instruction, perform, status=200, alone=True)


def keep(instruction: Instruction, *, subscription_id: str) -> Outcome:
    """Undo what was planned for the end of the period."""

    def perform(attempt: Attempt) -> Made:
        customers.require_active(instruction.user_id)
        found = subscriptions.own(user_id=instruction.user_id, subscription_id=subscription_id)
        subscriptions.require_alive(found)
        found = _released(found)
        subscriptions.follow(instruction.user_id, found)
        return subscriptions.answer(found), subscription_id

    return requests.carry_out(instruction, perform, status=200, alone=True)


def preview(*, user_id: uuid.UUID, subscription_id: str, plan_code: str, when: When | None) -> dict[str, Any]:
    """Return what a change would cost and give, and when. Raises whatever `change` would raise for it."""
    with sdk.within():
        plan = plan_named(plan_code, kind=Plan.Kind.SUBSCRIPTION)
        found = subscriptions.own(user_id=user_id, subscription_id=subscription_id)
        _require_changeable(found)
        moment = _moment(found, plan, when)
        with _saying_why(found, plan):
            invoice = gateway.preview_change(
                subscription=subscription_id,
                item=standing_plans.item_of(found)["id"],
                price=plan.stripe_price,
                now=moment == When.NOW,
            )
    at = timezone.now() if moment == When.NOW else shapes.current_period_end(found)
    return {
        "plan": plan.code,
        "when": moment.value,
        "date": shapes.written(at),
        "amount_due": int(invoice["amount_due"]),
        "currency": invoice["currency"],
        "credits": plan.credits * int(standing_plans.item_of(found).get("quantity") or 0),
    }


# ---------------------------------------------------------------- what can be changed, and when


def _require_changeable(found: Object) -> None:
    """Refuse a subscription that has ended, has not begun, or is paused."""
    subscriptions.require_alive(found)
    if found["status"] == "incomplete":
        raise BillingRejected("This subscription has not started yet.", reason="subscription_incomplete")
    if shapes.is_paused(found):
        raise BillingRejected("This subscription is paused.", reason="subscription_paused")


def _with_nothing_pending(attempt: Attempt, found: Object, plan: Plan) -> Object:
    """Drop an update left behind by a declined card.

    Raises ChangePending for one that waits for the user, unless this request began it and its answer was lost.
    """
    if not found.get("pending_update"):
        return found
    is_ours = attempt.is_repeat and standing_plans.pending_price(found) == plan.stripe_price
    if is_ours:
        return found
    until = shapes.pending_until(found)
    is_known = BillingAccount.objects.filter(subscription=found["id"], pending_expires_at=until).exists()
    if is_known or lifecycle.waits_for_user(gateway.retrieve_begun_subscription(found["id"])):
        raise ChangePending
    ending.drop_pending(found)
    return gateway.retrieve_subscription(found["id"])


def _moment(found: Object, plan: Plan, when: When | None) -> When:
    """Return when a change takes effect. Raises PaymentOverdue, and BillingRejected if `now` is impossible."""
    hindrance = _hindrance(found)
    wanted = when or (When.NOW if not hindrance and _is_upgrade(found, plan) else When.PERIOD_END)
    if wanted == When.NOW and hindrance:
        raise BillingRejected(
            "This subscription can only be changed at the end of its period.", reason=hindrance
        )
    if wanted == When.NOW and found["status"] in lifecycle.OVERDUE:
        raise PaymentOverdue("An invoice of this subscription is unpaid: pay it before a new period begins.")
    return wanted


def _hindrance(found: Object) -> str:
    """Return why no new period can begin now, or "".

    A trial runs until its end, and only cards are charged at once
    (https://docs.stripe.com/billing/subscriptions/pending-updates).
    """
    if found["status"] == "trialing":
        return "in_trial"
    if found.get("collection_method") == "send_invoice":
        return "invoices_are_sent"
    card = snapshots.card_of(found)
    return "not_a_card" if card and card.get("type") in shapes.DELAYED else ""


def _is_upgrade(found: Object, plan: Plan) -> bool:
    """Return whether a plan costs more, in the same currency, for a period at least as long."""
    price = standing_plans.item_of(found).get("price") or {}
    rhythm = price.get("recurring") or {}
    is_comparable = price.get("unit_amount") is not None and price.get("currency") == plan.currency
    length = DAYS.get(str(rhythm.get("interval")), 0.0) * int(rhythm.get("interval_count") or 1)
    is_as_long = DAYS[plan.interval] * plan.interval_count >= length
    return bool(is_comparable and is_as_long and plan.amount > int(price["unit_amount"]))


# ---------------------------------------------------------------- moving


def _move(attempt: Attempt, found: Object, plan: Plan, when: When | None) -> Object:
    if standing_plans.price_of(found) == plan.stripe_price:
        return _released(ending.take_back(found))
    if found.get("pending_update"):
        return _judged(found["id"], plan)
    carry_out = _now if _moment(found, plan, when) == When.NOW else _with_period
    going_on = ending.take_back(found)
    try:
        with _saying_why(found, plan):
            return carry_out(attempt, going_on, plan)
    except BillingUnavailable:
        raise
    except Problem:
        ending.plan_again(found)  # a refused change leaves everything as it was
        raise


@contextmanager
def _saying_why(found: Object, plan: Plan) -> Iterator[None]:
    """Name the currency where it is what Stripe refuses a plan for: that has no code. A price may have several."""
    try:
        yield
    except BillingRejected as refusal:
        if refusal.extra.get("reason") or found["currency"] == plan.currency:
            raise
        told = "This plan is in another currency. End the subscription and start another one."
        raise BillingRejected(told, reason="other_currency") from refusal


def _released(found: Object) -> Object:
    if not found.get("schedule"):
        return found
    ending.release(found)
    return gateway.retrieve_subscription(found["id"])


def _made(found: Object) -> str:
    """Return the id of the invoice that billed a change, by which the terms offered are found."""
    return shapes.id_of(found.get("latest_invoice")) or str(found["id"])


def _now(attempt: Attempt, found: Object, plan: Plan) -> Object:
    """Bill a whole period. The period that is already paid for gives its credits first, and keeps them."""
    if invoice := shapes.id_of(found.get("latest_invoice")):
        settle.settle(invoice)
    ending.release(found)
    attempt.offer(plan)
    gateway.change_now(
        subscription=found["id"],
        item=standing_plans.item_of(found)["id"],
        price=plan.stripe_price,
        key=attempt.key,
    )
    return _judged(found["id"], plan)


def _judged(subscription_id: str, plan: Plan) -> Object:
    """Return the subscription as it is now, changed or waiting for the user. A declined card leaves nothing behind.

    It is fetched, since a repeated call gets Stripe's first answer again. Raises PaymentFailed.
    """
    begun = gateway.retrieve_begun_subscription(subscription_id)
    if standing_plans.price_of(begun) == plan.stripe_price:
        return begun
    if standing_plans.pending_price(begun) != plan.stripe_price:
        raise PaymentFailed
    declined = lifecycle.decline(begun)
    if declined is None:
        return begun
    ending.drop_pending(begun)
    after = gateway.retrieve_begun_subscription(subscription_id)
    if standing_plans.price_of(after) == plan.stripe_price:
        return after  # paid in between
    raise PaymentFailed(decline_code=declined)


def _with_period(attempt: Attempt, found: Object, plan: Plan) -> Object:
    """Have a schedule change the plan with the period: one call makes the schedule, another sets its phases."""
    if standing_plans.next_price(found) != plan.stripe_price:
        schedule = _schedule(attempt, found)
        try:
            phases = _phases(schedule, plan)
            gateway.phase_schedule(schedule=schedule["id"], phases=phases, key=f"{attempt.key}-phases")
        except BillingRejected:
            ending.release({"schedule": schedule["id"]})
            raise
    fresh = gateway.retrieve_subscription(found["id"])
    if shapes.ends(fresh):
        ending.release(fresh)
        raise CancellationPending  # cancelled since this began
    if standing_plans.next_price(fresh) != plan.stripe_price:
        raise BillingUnavailable  # someone has released it since then
    return fresh


def _schedule(attempt: Attempt, found: Object) -> Object:
    """Return a schedule with only the running period: one that an earlier attempt left, or a new one."""
    known = shapes.active_schedule(found)
    if known is not None and _is_bare(known, found):
        return known
    ending.release(found)
    return gateway.create_schedule(subscription=found["id"], key=f"{attempt.key}-schedule")


def _is_bare(schedule: Object, found: Object) -> bool:
    end = shapes.moment(shapes.running_phase(schedule)["end_date"])
    return not shapes.following_phases(schedule) and end == shapes.current_period_end(found)


def _phases(schedule: Object, plan: Plan) -> list[Object]:
    """Return the running period unchanged, and one period of the new plan after it."""
    running = shapes.running_phase(schedule)
    items = [_item(item) for item in running["items"]]
    kept = _kept(running)
    dates = {name: running[name] for name in ("start_date", "end_date", "trial_end") if running.get(name)}
    main = standing_plans.main_item(items)
    following = [{**item, "price": plan.stripe_price} if item is main else item for item in items]
    length = {"interval": plan.interval, "interval_count": plan.interval_count}
    return [
        {**kept, **dates, "items": items, "proration_behavior": "none"},
        {**kept, "items": following, "duration": length, "proration_behavior": "none"},
    ]


def _item(item: Object) -> Object:
    return {"price": shapes.id_of(item["price"]), "quantity": item.get("quantity") or 1}


def _kept(phase: Object) -> Object:
    """Return what applies to both phases and Stripe must be told again: discounts and the card."""
    discounts = [
        {"discount": shapes.id_of(one["discount"])}
        if one.get("discount")
        else {"coupon": shapes.id_of(one["coupon"])}
        for one in phase.get("discounts") or []
    ]
    card = shapes.id_of(phase.get("default_payment_method"))
    return {
        **({"discounts": discounts} if discounts else {}),
        **({"default_payment_method": card} if card else {}),
    }


def require_one_wish(*, plan: str | None, undoes: bool) -> None:
    """Raise ValidationFailed unless either another plan is named or the planned one is undone."""
    if (plan is None) != undoes:
        raise ValidationFailed(("plan", "invalid", "Send either `plan`, or `next_plan` as null."))

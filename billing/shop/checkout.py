"""Checkout, where a user buys a pack or starts a subscription, and the portal, where they manage both.

Both are pages of Stripe's. What is paid there is settled like everything else (billing/settlement/settle.py).
"""

import time
import uuid
from collections.abc import Collection
from typing import Any

from django.db.models import Q

from accounts.kit.problems import ValidationFailed
from billing import customers
from billing.errors import BillingObjectNotFound, BillingUnavailable, StripeObjectMissing
from billing.models import Payment, PaymentLine, Plan
from billing.models.catalogue import plan_named
from billing.settlement import lifecycle, settle, trial
from billing.shop import requests, subscriptions
from billing.shop.requests import Attempt, Instruction, Made, Outcome
from billing.stripe import gateway, mirror, sdk, shapes
from billing.stripe.shapes import Object

DAY = 24 * 3600
RECENT = 2 * DAY  # how far back to look for what an earlier attempt made


def create(
    instruction: Instruction, *, plan_code: str, quantity: int, success_url: str, cancel_url: str
) -> Outcome:
    """Make a session at Stripe; the user is sent to its page.

    Raises PlanNotFound, AlreadySubscribed, PaymentOverdue, AccountSuspended, and ValidationFailed for more than one
    subscription.
    """

    def perform(attempt: Attempt) -> Made:
        customers.require_buyer(instruction.user_id)
        plan = plan_named(plan_code)
        if plan.kind == Plan.Kind.SUBSCRIPTION and quantity != 1:
            raise ValidationFailed(
                (
                    "quantity",
                    "invalid",
                    "A subscription cannot be bought more than once: the quantity must be 1.",
                )
            )
        customer = customers.ensure(instruction.user_id)
        session = attempt.find(lambda: _recent(customer))
        if session is not None:
            return answer(session, credited=False), session["id"]
        if plan.kind == Plan.Kind.SUBSCRIPTION:
            subscriptions.require_none(customer)
        attempt.offer(plan)
        session = gateway.create_checkout_session(
            customer=customer,
            mode="payment" if plan.kind == Plan.Kind.PACK else "subscription",
            price=plan.stripe_price,
            quantity=quantity,
            success_url=success_url,
            cancel_url=cancel_url,
            metadata=attempt.metadata,
            trial_days=_trial_days(plan, instruction.user_id),
            key=attempt.key,
        )
        return answer(session, credited=False), session["id"]

    begins = Plan.objects.filter(code=plan_code, kind=Plan.Kind.SUBSCRIPTION).exists()
    return requests.carry_out(instruction, perform, alone=begins)


def _recent(customer: str) -> list[Object]:
    return gateway.list_checkout_sessions(customer=customer, created={"gte": int(time.time()) - RECENT})


def _trial_days(plan: Plan, user_id: uuid.UUID) -> int | None:
    """Return the trial's days if the user may have one. The card is checked once it is known."""
    return plan.trial_days if trial.eligibility(user_id) == trial.ELIGIBLE else None


def look_up(*, user_id: uuid.UUID, session_id: str) -> dict[str, Any]:
    """Return the session as it is now, settled on the spot: for a user who has just paid and waits for the credits.

    If it cannot be settled now, `credited` is what is known, and its event settles it. Raises BillingObjectNotFound,
    and BillingUnavailable if neither Stripe nor the mirror knows the session.
    """
    known = customers.all_of(user_id)
    if not known:
        raise BillingObjectNotFound
    session: Object = {}
    with sdk.within():
        try:
            session = gateway.retrieve_checkout_session(session_id)
            _require_owner(session, known)
            _settle(session)
        except StripeObjectMissing:
            raise BillingObjectNotFound from None
        except BillingUnavailable:
            session = session or mirror.checkout_session(session_id) or {}
            if not session:
                raise
            _require_owner(session, known)
    return answer(session, credited=_is_credited(session, user_id))


def _require_owner(session: Object, known: Collection[str]) -> None:
    if shapes.customer_of(session) not in known:
        raise BillingObjectNotFound


def _settle(session: Object) -> None:
    if session.get("status") != "complete":
        return
    settle.settle_found(session)
    if session.get("mode") == "subscription":
        lifecycle.follow_customer(shapes.customer_of(session))


def _is_credited(session: Object, user_id: uuid.UUID) -> bool:
    ids = [session["id"], shapes.id_of(session.get("invoice"))]
    intent = shapes.id_of(session.get("payment_intent"))
    about = Q(pk__in=ids) | (Q(payment_intent=intent) if intent else Q(pk=""))
    payments = Payment.objects.filter(about, user=user_id).values("pk")
    return PaymentLine.objects.filter(payment__in=payments, granted_by__isnull=False).exists()


def answer(session: Object, *, credited: bool) -> dict[str, Any]:
    expires_at = shapes.moment(session.get("expires_at"))
    return {
        "id": session["id"],
        "url": session.get("url"),
        "expires_at": shapes.written(expires_at),
        "status": session.get("status"),
        "credited": credited,
    }


def open_portal(instruction: Instruction, *, return_url: str) -> Outcome:
    """Open Stripe's portal, where a user changes cards, sees invoices and cancels."""

    def perform(attempt: Attempt) -> Made:
        customers.require_active(instruction.user_id)
        customer = customers.ensure(instruction.user_id)
        made = gateway.create_portal_session(customer=customer, return_url=return_url, key=attempt.key)
        return {"url": made["url"]}, made["id"]

    return requests.carry_out(instruction, perform)

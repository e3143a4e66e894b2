"""Keep the account's status in line with the subscription, as Stripe has it when asked: no event decides.

As for a payment (billing/settlement/settle.py): read the version, ask Stripe, lock, and start over if the version
has changed since. Locks the account's row, then the balance row.
"""

import uuid
from collections.abc import Collection, Sequence
from contextlib import suppress
from copy import copy
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts import events
from accounts.errors import UserNotFound
from billing import customers
from billing.errors import BillingRejected, BillingUnavailable
from billing.models import BillingAccount, CustomerChange, Payment, Plan
from billing.settlement import notices, standing_plans
from billing.settlement.standing_plans import Plans
from billing.stripe import gateway, sdk, shapes
from billing.stripe.shapes import ENDED_SUBSCRIPTIONS, Object
from credits.ledger import states

TRIES = 5
BLOCKED_BY = "billing"
OVERDUE = ("past_due", "unpaid")
NEEDS_THE_USER = frozenset({"requires_action", "requires_confirmation"})
Status = BillingAccount.Status

STATUSES = {
    "trialing": Status.TRIALING,
    "active": Status.ACTIVE,
    "past_due": Status.PAST_DUE,
    "unpaid": Status.PAST_DUE,
    "paused": Status.PAST_DUE,
    "canceled": Status.CANCELED,
    # Never began: the first payment is missing.
    "incomplete": Status.NONE,
    "incomplete_expired": Status.NONE,
}


def follow_customer(customer: str) -> BillingAccount | None:
    """Bring the status of this customer's user up to date. Return None for an unknown customer."""
    user_id = customers.user_of(customer)
    return None if user_id is None else follow(user_id)


def follow(user_id: uuid.UUID) -> BillingAccount | None:
    """Bring the user's status up to date. Return None if they are not a customer. Raises what the gateway raises."""
    known = customers.all_of(user_id)
    if not known:
        return None
    for _ in range(TRIES):
        version = _version(user_id)
        with sdk.within():
            subscriptions = [
                found for customer in known for found in gateway.list_subscriptions(customer=customer)
            ]
            counts = _without_refused_change(user_id, current(subscriptions))
            is_paid = counts is not None and _is_just_paid(counts)
            owed = _owed(user_id, counts) if counts is not None else None
        account = _apply(user_id, version, counts, surplus(subscriptions), is_paid=is_paid, owed=owed)
        if account is not None:
            return account
    raise BillingUnavailable


def _without_refused_change(user_id: uuid.UUID, subscription: Object | None) -> Object | None:
    """Leave out a change whose card was just declined: its caller gets that answer, and the change is dropped.

    A change already known to wait for the user continues to wait, whatever they try.
    """
    if subscription is None or not subscription.get("pending_update"):
        return subscription
    known = BillingAccount.objects.filter(pk=user_id, pending_expires_at=shapes.pending_until(subscription))
    if known.exists() or waits_for_user(gateway.retrieve_begun_subscription(subscription["id"])):
        return subscription
    return {**subscription, "pending_update": None}


def _is_just_paid(subscription: Object) -> bool:
    """Return whether Stripe has been paid for a price that no payment here covers yet: its event may come later."""
    invoice_id = shapes.id_of(subscription.get("latest_invoice"))
    if not is_alive(subscription) or not invoice_id or standing_plans.is_paid_here(subscription):
        return False
    invoice = gateway.retrieve_invoice(invoice_id)
    prices = map(shapes.line_price, (invoice.get("lines") or {}).get("data") or [])
    return invoice["status"] == "paid" and standing_plans.price_of(subscription) in prices


def _owed(user_id: uuid.UUID, subscription: Object) -> int | None:
    """Return what a subscription, or its change that waits for payment, costs, where its user is not told yet."""
    invoice = shapes.id_of(subscription.get("latest_invoice"))
    known = BillingAccount.objects.filter(
        pk=user_id,
        stripe_status=subscription["status"],
        pending_expires_at=shapes.pending_until(subscription),
    )
    is_owed = subscription["status"] in OVERDUE or bool(subscription.get("pending_update"))
    if not is_owed or not invoice or known.exists():
        return None
    return int(gateway.retrieve_invoice(invoice)["amount_remaining"])


def waits_for_user(begun: Object) -> bool:
    """Return whether the payment that a subscription needs waits for its user, rather than for another card."""
    return decline(begun) is None


def decline(begun: Object) -> str | None:
    """Return why the payment that a subscription needs was declined; None if it waits for the user, or for a card."""
    intents = shapes.invoice_open_intents(begun.get("latest_invoice") or {})
    for intent in map(gateway.retrieve_payment_intent, intents):
        error = intent.get("last_payment_error") or {}
        if error and intent["status"] not in NEEDS_THE_USER:
            return str(error.get("decline_code") or error.get("code") or "declined")
    return None


def paid(payment: Payment, plans: Collection[Plan]) -> None:
    """Give the account the plan that awaited payment, in the caller's transaction, before Stripe is asked again."""
    account = (
        BillingAccount.objects.select_for_update(no_key=True, of=("self",))
        .filter(pk=payment.user_id, subscription=payment.subscription)
        .select_related("plan", "next_plan", "pending_plan")
        .first()
    )
    waiting = (account.next_plan, account.pending_plan) if account else ()
    plan = next((plan for plan in waiting if plan is not None and plan in plans), None)
    if account is None or plan is None:
        return
    before = copy(account)
    account.version += 1
    account.plan = plan
    account.next_plan = None if account.next_plan == plan else account.next_plan
    if account.pending_plan == plan:
        account.pending_plan, account.pending_expires_at = None, None
    account.save()
    notices.account_changed(account, before)


def trial_will_end(customer: str) -> None:
    """Notify the user, once, of the trial's end and what they will be charged: Stripe announces it days before."""
    account = follow_customer(customer)
    if account is None or account.status != Status.TRIALING:
        return
    amount = None
    with suppress(BillingRejected):  # it has ended since
        amount = int(gateway.preview_next_invoice(subscription=account.subscription)["amount_due"])
    with transaction.atomic():
        account = BillingAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
        notices.trial_ending(account, amount=amount)


def current(subscriptions: list[Object]) -> Object | None:
    """Return the subscription that counts.

    That is one that has begun and not ended, else the newest that waits for its first payment, else the newest that has
    ended. Of several that are alive, prefer a paid one, then one that does not end, then the oldest.
    """
    alive = sorted(filter(is_alive, subscriptions), key=_preference)
    if alive:
        return alive[0]
    ranked = sorted(subscriptions, key=lambda found: (_rank(found["status"]), found["created"], found["id"]))
    return ranked[-1] if ranked else None


def surplus(subscriptions: list[Object]) -> list[Object]:
    """Return the other subscriptions that renew: the user has paid for both, and should not pay for both again."""
    alive = sorted(filter(is_alive, subscriptions), key=_preference)
    return [found for found in alive[1:] if not shapes.ends(found)]


def is_alive(found: Object) -> bool:
    """Return whether a subscription has begun and not ended."""
    return found["status"] not in ENDED_SUBSCRIPTIONS and found["status"] != "incomplete"


def _preference(found: Object) -> tuple[Any, ...]:
    order = ("active", "trialing", "past_due", "unpaid", "paused")
    place = order.index(found["status"]) if found["status"] in order else len(order)
    return place, shapes.ends(found), found["created"], found["id"]


def _rank(status: str) -> int:
    if status in ENDED_SUBSCRIPTIONS:
        return 1 if status == "canceled" else 0
    return 2


def status_of(subscription: Object) -> Status:
    if subscription["status"] in settings.BILLING_FREEZE_ON:
        return Status.FROZEN
    return STATUSES.get(subscription["status"], Status.NONE)


def _version(user_id: uuid.UUID) -> int:
    return BillingAccount.objects.filter(pk=user_id).values_list("version", flat=True).first() or 0


@transaction.atomic
def _apply(
    user_id: uuid.UUID,
    version: int,
    subscription: Object | None,
    surplus: Sequence[Object] = (),
    *,
    is_paid: bool = False,
    owed: int | None = None,
) -> BillingAccount | None:
    """Apply what Stripe says. Return None if the account has changed since `version` was read."""
    BillingAccount.objects.bulk_create([BillingAccount(pk=user_id)], ignore_conflicts=True)
    account = BillingAccount.objects.select_for_update(no_key=True).get(pk=user_id)
    if account.version != version:
        return None
    account.version += 1
    before = copy(account)
    if subscription is not None:
        _copy(account, subscription, standing_plans.of(subscription, is_paid=is_paid))
    account.save()
    if account.status != before.status:
        _announce(account, before.status)
    notices.account_changed(account, before, owed=owed)
    for found in surplus:
        _end_surplus(account, found)
    return account


def _end_surplus(account: BillingAccount, found: Object) -> None:
    """Let a subscription end with the period that is paid for, whose credits stay; notify the user once."""
    customers.enqueue(CustomerChange.Kind.END_RENEWAL, user_id=account.pk, subscription=found["id"])
    notices.subscribed_twice(account, subscription=found["id"])


def _copy(account: BillingAccount, subscription: Object, plans: Plans) -> None:
    account.status = status_of(subscription)
    account.subscription, account.stripe_status = subscription["id"], subscription["status"]
    account.plan, account.next_plan = plans.paid, plans.following
    account.pending_plan, account.pending_expires_at = plans.pending, plans.pending_until
    account.current_period_end = shapes.current_period_end(subscription)
    account.trial_end = shapes.moment(subscription.get("trial_end"))
    account.cancel_at_period_end = shapes.ends(subscription)
    account.cancel_at = shapes.moment(subscription.get("cancel_at")) if account.cancel_at_period_end else None


def _announce(account: BillingAccount, before: str) -> None:
    """Carry out a change of status: block or unblock spending, and notify other services."""
    try:
        if account.status == Status.FROZEN:
            states.block(user_id=account.pk, reason=BLOCKED_BY)
            customers.enqueue(CustomerChange.Kind.STOP_BUYING, user_id=account.pk)
        elif before == Status.FROZEN:
            states.unblock(user_id=account.pk, reason=BLOCKED_BY)
    except UserNotFound:
        return  # erased since then: nothing can be spent
    events.emit("billing.status_changed", user_id=account.pk, data={"status": account.status})

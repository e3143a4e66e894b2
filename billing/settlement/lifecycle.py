"""The account's status follows the subscription, as Stripe has it at the moment it is asked: no event decides.

Like a payment (billing/settlement/settle.py): read the version, ask Stripe, lock, start over if somebody was here
meanwhile. Locks: the account's row, then the balance row.
"""

import uuid
from collections.abc import Sequence
from copy import copy
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts import events
from accounts.errors import UserNotFound
from billing import customers
from billing.errors import BillingUnavailable
from billing.models import BillingAccount, CustomerChange
from billing.models.catalogue import plan_of
from billing.settlement import notices
from billing.stripe import gateway, sdk, shapes
from billing.stripe.shapes import ENDED_SUBSCRIPTIONS, Object
from credits.ledger import states

TRIES = 5
BLOCKED_BY = "billing"
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
    """Brings the status up to date of whoever this customer is. None: nobody of ours."""
    user_id = customers.user_of(customer)
    return None if user_id is None else follow(user_id)


def follow(user_id: uuid.UUID) -> BillingAccount | None:
    """Raises what the gateway raises. None: the user is no customer."""
    known = customers.all_of(user_id)
    if not known:
        return None
    for _ in range(TRIES):
        version = _version(user_id)
        with sdk.within():
            subscriptions = [
                found for customer in known for found in gateway.list_subscriptions(customer=customer)
            ]
        account = _apply(user_id, version, current(subscriptions), surplus(subscriptions))
        if account is not None:
            return account
    raise BillingUnavailable


def trial_will_end(customer: str) -> None:
    """Stripe says so some days before: the user is told once."""
    account = follow_customer(customer)
    if account is not None:
        with transaction.atomic():
            notices.trial_ending(BillingAccount.objects.select_for_update(no_key=True).get(pk=account.pk))


def current(subscriptions: list[Object]) -> Object | None:
    """Return the one that counts: one that has begun and not ended, else the newest that waits for its first payment,
    else the newest that has ended. Of several that go on, a paid one, that does not end, and began first."""
    alive = sorted(filter(is_alive, subscriptions), key=_preference)
    if alive:
        return alive[0]
    ranked = sorted(subscriptions, key=lambda found: (_rank(found["status"]), found["created"], found["id"]))
    return ranked[-1] if ranked else None


def surplus(subscriptions: list[Object]) -> list[Object]:
    """Return those that renew beside the one that counts: two were paid, and nobody wants to pay both again."""
    alive = sorted(filter(is_alive, subscriptions), key=_preference)
    return [found for found in alive[1:] if not shapes.ends(found)]


def is_alive(found: Object) -> bool:
    """Tell whether a subscription has begun and not ended."""
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
    user_id: uuid.UUID, version: int, subscription: Object | None, surplus: Sequence[Object] = ()
) -> BillingAccount | None:
    """Apply what Stripe says. None: somebody else was here since `version` was read."""
    BillingAccount.objects.bulk_create([BillingAccount(pk=user_id)], ignore_conflicts=True)
    account = BillingAccount.objects.select_for_update(no_key=True).get(pk=user_id)
    if account.version != version:
        return None
    account.version += 1
    before = copy(account)
    if subscription is not None:
        _copy(account, subscription)
    account.save()
    if account.status != before.status:
        _announce(account, before.status)
    notices.account_changed(account, before)
    for found in surplus:
        _end_surplus(account, found)
    return account


def _end_surplus(account: BillingAccount, found: Object) -> None:
    """Let it end with the period that is paid for, whose credits stay; the user is told once."""
    customers.enqueue(CustomerChange.Kind.END_RENEWAL, user_id=account.pk, subscription=found["id"])
    notices.subscribed_twice(account, subscription=found["id"])


def _copy(account: BillingAccount, subscription: Object) -> None:
    account.status = status_of(subscription)
    account.subscription, account.stripe_status = subscription["id"], subscription["status"]
    price = shapes.subscription_price(subscription)
    account.plan = plan_of(price)
    account.current_period_end = shapes.current_period_end(subscription)
    account.trial_end = shapes.moment(subscription.get("trial_end"))
    account.cancel_at_period_end = shapes.ends(subscription)
    account.cancel_at = shapes.moment(subscription.get("cancel_at")) if account.cancel_at_period_end else None


def _announce(account: BillingAccount, before: str) -> None:
    """Carry out a change of status: spending stops or goes on, and other services read of it."""
    try:
        if account.status == Status.FROZEN:
            states.block(user_id=account.pk, reason=BLOCKED_BY)
        elif before == Status.FROZEN:
            states.unblock(user_id=account.pk, reason=BLOCKED_BY)
    except UserNotFound:
        return  # erased meanwhile: nobody spends
    events.emit("billing.status_changed", user_id=account.pk, data={"status": account.status})

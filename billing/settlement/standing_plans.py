"""Tell a subscription's plan, which is the one last paid for whatever its price says, and what follows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.models import BillingAccount, PaymentLine, Plan
from billing.models.catalogue import plan_of
from billing.stripe import shapes
from billing.stripe.shapes import ENDED_SUBSCRIPTIONS, Object

MOST_LINES = 20  # of one payment: only the first ones are read


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """`following` comes with the next period, or is to be paid; `pending` comes once it is paid, or expires."""

    paid: Plan | None = None
    following: Plan | None = None
    pending: Plan | None = None
    pending_until: datetime | None = None

    def answer(self) -> dict[str, Any]:
        """Return the plan fields of an answer about a subscription."""
        following = {"next_plan": self.following.code} if self.following else {}
        pending = {"pending_plan": self.pending.code} if self.pending else {}
        until = {"pending_expires_at": shapes.written(self.pending_until)} if self.pending else {}
        return {"plan": self.paid.code if self.paid else None, **following, **pending, **until}


def main_item(items: Sequence[Object]) -> Object:
    """Return the item that is the plan: the one that gives most credits, whatever is sold beside it; {} for none."""
    if len(items) <= 1:
        return items[0] if items else {}
    return max(items, key=_credits)


def _credits(item: Object) -> int:
    plan = plan_of(_price(item))
    return plan.credits if plan else -1


def _price(item: Object) -> str:
    return shapes.id_of(item.get("price"))


def item_of(subscription: Object) -> Object:
    return main_item(shapes.subscription_items(subscription))


def price_of(subscription: Object) -> str:
    return _price(item_of(subscription))


def pending_price(subscription: Object) -> str:
    """Return the price of a change that waits for its payment; "" for none."""
    return _price(main_item(shapes.pending_items(subscription)))


def next_price(subscription: Object) -> str:
    """Return the price that the schedule sets after this period; "" for none, or if it was not expanded."""
    return _price(main_item(shapes.next_items(subscription)))


def of(subscription: Object, *, is_paid: bool = False) -> Plans:
    """Return the plans of a subscription that was fetched with its schedule.

    `is_paid` means that its price is known to be paid for, even if no payment here says so yet.
    """
    priced = plan_of(price_of(subscription))
    paid = priced if is_paid else paid_plan(subscription["id"], priced=priced)
    if subscription["status"] in ENDED_SUBSCRIPTIONS:
        return Plans(paid=paid)
    scheduled = plan_of(next_price(subscription))
    following = None if shapes.ends(subscription) else scheduled or priced
    pending = plan_of(pending_price(subscription))
    return Plans(
        paid=paid,
        following=None if following == paid else following,
        pending=pending,
        pending_until=shapes.pending_until(subscription) if pending else None,
    )


def is_paid_here(subscription: Object) -> bool:
    """Return whether the plan of its price was the last one paid for, according to the payments here."""
    priced = plan_of(price_of(subscription))
    return paid_plan(subscription["id"], priced=priced) == priced


def of_account(account: BillingAccount) -> Plans:
    """Return the plans that an account had when Stripe was last asked."""
    return Plans(
        paid=account.plan,
        following=account.next_plan,
        pending=account.pending_plan,
        pending_until=account.pending_expires_at,
    )


def paid_plan(subscription: str, *, priced: Plan | None) -> Plan | None:
    """Return the plan last paid for: `priced`, if that payment included it or nothing was paid."""
    lines = PaymentLine.objects.filter(payment__subscription=subscription, plan__kind=Plan.Kind.SUBSCRIPTION)
    newest = lines.select_related("plan").order_by(
        "-payment__paid_at", "-payment__settled_at", "-credits", "pk"
    )
    rows = list(newest[:MOST_LINES]) if subscription else []
    plans = [row.plan for row in rows if row.plan and row.payment_id == rows[0].payment_id]
    return priced if priced in plans or not plans else plans[0]

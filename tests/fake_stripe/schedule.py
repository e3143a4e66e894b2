"""Does what falls due as time passes: trials and periods end, drafts become final, payments are retried, sessions
expire.
"""

import copy
from collections.abc import Callable, Iterator

from tests.fake_stripe import (
    cancellation,
    checkout,
    invoice_lines,
    invoices,
    payments,
    subscription_changes,
    subscription_schedules,
)
from tests.fake_stripe.periods import DAY, end_of
from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json

Step = tuple[int, Callable[[Store, Json], None], Json]
UPDATED = "customer.subscription.updated"
DRAFT_SECONDS = 3600
INCOMPLETE_SECONDS = 23 * 3600
WARNING_SECONDS = 3 * DAY


def advance(store: Store, target: int) -> int:
    """Move the clock to `target`, doing everything due on the way in order. Return the number of steps."""
    count = 0
    while step := next_step(store, target):
        moment, act, subject = step
        store.move_to(moment)
        act(store, subject)
        count += 1
    store.move_to(target)
    return count


def catch_up(store: Store) -> None:
    advance(store, store.now())


def next_step(store: Store, target: int) -> Step | None:
    due = [step for step in steps(store) if step[0] <= target]
    return min(due, key=lambda step: step[0], default=None)


def steps(store: Store) -> Iterator[Step]:
    for session in store.all("checkout.session", status="open"):
        yield session["expires_at"], checkout.expire, session
    for schedule in store.all("subscription_schedule", status="active"):  # before the renewal that it is for
        yield schedule["current_phase"]["end_date"], subscription_schedules.end_phase, schedule
    for subscription in store.all("subscription"):
        if subscription["status"] not in cancellation.DEAD:
            yield from steps_of_subscription(store, subscription)
    yield from steps_of_payments(store)


def steps_of_payments(store: Store) -> Iterator[Step]:
    for intent in store.all("payment_intent", status="processing"):
        yield store.private[intent["id"]]["answered_at"], payments.answer_debit, intent
    for invoice in store.all("invoice"):
        if invoice["status"] == "draft" and invoice["automatically_finalizes_at"]:
            yield invoice["automatically_finalizes_at"], finalize, invoice
        elif invoice["status"] == "open" and invoice["next_payment_attempt"]:
            yield invoice["next_payment_attempt"], invoices.attempt, invoice


def steps_of_subscription(store: Store, subscription: Json) -> Iterator[Step]:
    status = subscription["status"]
    if status == "incomplete":
        yield subscription["created"] + INCOMPLETE_SECONDS, expire, subscription
    if status == "trialing" and not store.private[subscription["id"]].get("warned"):
        yield max(subscription["created"], subscription["trial_end"] - WARNING_SECONDS), warn, subscription
    if subscription["pending_update"]:
        expiry = subscription["pending_update"]["expires_at"]
        yield expiry, subscription_changes.drop_pending_update, subscription
    if status in {"trialing", "active", "past_due", "unpaid"}:
        yield period_end(subscription), end_period, subscription


def period_end(subscription: Json) -> int:
    ends: list[int] = [item["current_period_end"] for item in subscription["items"]["data"]]
    return min(ends)


def warn(store: Store, subscription: Json) -> None:
    store.private[subscription["id"]]["warned"] = True
    store.emit("customer.subscription.trial_will_end", subscription)


def expire(store: Store, subscription: Json) -> None:
    """End a subscription whose first invoice has not been paid for 23 hours."""
    cancellation.end(store, subscription, reason="payment_failed", status="incomplete_expired")


def finalize(store: Store, invoice: Json) -> None:
    """Finalize and charge it at once; the invoice of an unpaid subscription stays a draft."""
    invoices.finalize(store, invoice)
    invoices.attempt(store, invoice)


def end_period(store: Store, subscription: Json) -> None:
    if subscription["cancel_at_period_end"] or is_over(store, subscription):
        cancellation.end(store, subscription, reason="cancellation_requested")
    elif subscription["status"] == "trialing" and lacks_card(store, subscription):
        end_trial_without_card(store, subscription)
    else:
        renew(store, subscription)


def is_over(store: Store, subscription: Json) -> bool:
    return subscription["cancel_at"] is not None and subscription["cancel_at"] <= store.now()


def lacks_card(store: Store, subscription: Json) -> bool:
    customer = store.get("customer", subscription["customer"])
    return not (
        subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    )


def end_trial_without_card(store: Store, subscription: Json) -> None:
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if behavior == "cancel":
        cancellation.end(store, subscription, reason="payment_failed")
    elif behavior == "pause":
        store.change(subscription, UPDATED, status="paused")
        store.emit("customer.subscription.paused", subscription)
    else:
        renew(store, subscription)


def renew(store: Store, subscription: Json) -> None:
    """Start the next period; its invoice is a draft for an hour, then final and charged."""
    items = copy.deepcopy(subscription["items"])
    for item in items["data"]:
        start = item["current_period_end"]
        following = end_of(start, item["price"]["recurring"], subscription["billing_cycle_anchor"])
        item.update(current_period_start=start, current_period_end=following)
    status = "active" if subscription["status"] == "trialing" else subscription["status"]
    store.change(subscription, UPDATED, items=items, status=status)
    waiting = store.private[subscription["id"]].pop("waiting_lines", [])
    # From the beginning of the period: the clock may have gone on by a second since, and who advances it to the end of
    # this hour would miss it.
    began = max(item["current_period_start"] for item in items["data"])
    later = None if status == "unpaid" else began + DRAFT_SECONDS
    invoice = invoices.draft(
        store,
        subscription,
        "subscription_cycle",
        [*waiting, *invoice_lines.full_period(store, subscription)],
        automatically_finalizes_at=later,
    )
    if subscription["pause_collection"]:  # it stays active, and its customer's balance is not touched
        pause(store, invoice, subscription["pause_collection"]["behavior"])


def pause(store: Store, invoice: Json, behavior: str) -> None:
    """Keep an invoice of a paused subscription as a draft, until staff finalize it, or give it up."""
    if behavior == "keep_as_draft":
        invoice.update(automatically_finalizes_at=None, auto_advance=False)
    else:
        invoices.void(store, invoice, "void" if behavior == "void" else "uncollectible")

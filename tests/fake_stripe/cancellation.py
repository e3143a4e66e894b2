"""The end of a subscription."""

from tests.fake_stripe import invoices
from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json

DEAD = {"canceled", "incomplete_expired"}


def end(store: Store, subscription: Json, *, reason: str, status: str = "canceled") -> None:
    """End it: open invoices are no longer collected automatically; those of an unfinished subscription are voided."""
    now = store.now()
    for invoice in store.all("invoice"):
        if invoice["parent"]["subscription_details"]["subscription"] == subscription["id"]:
            stop_collecting(store, invoice, unfinished=subscription["status"] == "incomplete")
    details = {**subscription["cancellation_details"], "reason": reason}
    end_schedule(store, subscription)
    subscription.update(
        pending_update=None,
        status=status,
        ended_at=now,
        canceled_at=subscription["canceled_at"] or now,
        cancellation_details=details,
        cancel_at_period_end=False,
    )
    store.emit("customer.subscription.deleted", subscription)


def end_schedule(store: Store, subscription: Json) -> None:
    """End the schedule with its subscription (https://docs.stripe.com/api/subscription_schedules/cancel)."""
    if subscription["schedule"]:
        schedule = store.get("subscription_schedule", subscription["schedule"])
        schedule.update(status="canceled", canceled_at=store.now(), current_phase=None, subscription=None)
        subscription["schedule"] = None
        store.emit("subscription_schedule.canceled", schedule)


def stop_collecting(store: Store, invoice: Json, *, unfinished: bool) -> None:
    if invoice["status"] == "open" and unfinished:
        invoices.void(store, invoice)
    elif invoice["status"] in {"open", "draft"}:
        invoice.update(auto_advance=False, next_payment_attempt=None, automatically_finalizes_at=None)


def schedule_end_in_portal(store: Store, subscription: Json) -> Json:
    """Return the fields for an end by flexible billing: a date, while `cancel_at_period_end` stays false
    (https://docs.stripe.com/billing/subscriptions/billing-mode/compare#scheduled-subscription-cancellation).
    """
    return {**schedule_end(store, subscription, at_period_end=True), "cancel_at_period_end": False}


def schedule_end(store: Store, subscription: Json, *, at_period_end: bool) -> Json:
    """Return the fields that change with `cancel_at_period_end`."""
    if not at_period_end:
        details = {**subscription["cancellation_details"], "reason": None}
        return {
            "cancel_at_period_end": False,
            "cancel_at": None,
            "canceled_at": None,
            "cancellation_details": details,
        }
    return {
        "cancel_at_period_end": True,
        "cancel_at": max(item["current_period_end"] for item in subscription["items"]["data"]),
        "canceled_at": store.now(),
        "cancellation_details": {**subscription["cancellation_details"], "reason": "cancellation_requested"},
    }

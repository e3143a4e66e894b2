"""End or pause subscriptions, and undo that; close pages on which one could begin or something be bought.

Whatever would change a subscription later is dropped first: Stripe refuses to end one that a schedule manages, and a
change that is paid for after all would begin a period that nobody wants. Each function can be repeated until it is
done.
"""

from contextlib import suppress

import structlog

from billing.errors import BillingRejected
from billing.stripe import gateway, shapes
from billing.stripe.shapes import ENDED_SUBSCRIPTIONS, Object

log = structlog.get_logger("billing")


def at_once(subscription: str) -> Object:
    """End a subscription now. One that has ended stays as it is."""
    found = gateway.retrieve_subscription(subscription)
    if found["status"] in ENDED_SUBSCRIPTIONS:
        return found
    free(found)
    return gateway.cancel_subscription(subscription=subscription)


def with_period(subscription: str) -> Object:
    """End a subscription with its period. One that has ended, or is planned to, stays as it is."""
    found = gateway.retrieve_subscription(subscription)
    if found["status"] in ENDED_SUBSCRIPTIONS or (
        shapes.ends(found) and shapes.active_schedule(found) is None
    ):
        return found
    free(found)
    try:
        return gateway.end_with_period(subscription=subscription)
    except BillingRejected:
        free(gateway.retrieve_subscription(subscription))  # scheduled again since then
        return gateway.end_with_period(subscription=subscription)


def take_back(found: Object) -> Object:
    """Undo a planned end, if there is one."""
    if not shapes.ends(found):
        return found
    release(found)
    fresh = gateway.retrieve_subscription(found["id"])
    return gateway.take_end_back(subscription=fresh) if shapes.ends(fresh) else fresh


def plan_again(before: Object) -> None:
    """Restore a planned end that was undone, as it was before; do nothing if there was none."""
    if before.get("cancel_at_period_end"):
        gateway.end_with_period(subscription=before["id"])
    elif before.get("cancel_at"):
        gateway.end_at(subscription=before["id"], moment=int(before["cancel_at"]))


def free(found: Object) -> None:
    """Drop everything that would change a subscription later."""
    release(found)
    drop_pending(found)


def release(found: Object) -> None:
    """Let a subscription continue without its schedule, ours or not. Releasing twice is harmless."""
    if schedule := shapes.id_of(found.get("schedule")):
        with suppress(BillingRejected):
            gateway.release_schedule(schedule)


def drop_pending(found: Object) -> None:
    """Void the invoice that a change waits for, so that Stripe forgets the change. One that is paid by now stays."""
    if found.get("pending_update") and (invoice := shapes.id_of(found.get("latest_invoice"))):
        with suppress(BillingRejected):
            gateway.void_invoice(invoice)


PAUSED = "paused_by"  # in a subscription's metadata, if it was paused by this service
US = "account"


def pause(found: Object) -> None:
    """Stop a live subscription from collecting. One that is already paused, as by staff in the Dashboard, stays so."""
    if not shapes.is_paused(found):
        gateway.pause_renewals(subscription=found["id"], metadata={PAUSED: US})


def go_on(found: Object) -> None:
    """Let a subscription collect again, if it was paused by this service."""
    if (found.get("metadata") or {}).get(PAUSED) == US:
        gateway.collect_renewals(subscription=found["id"], metadata={PAUSED: ""})


def close_pages(customer: str, *, mode: str | None = None) -> None:
    """Close the customer's open Checkout pages, of one mode or of all. One that is paid at that moment stays paid."""
    for session in gateway.list_checkout_sessions(customer=customer, status="open"):
        if mode in (None, session.get("mode")):
            _close_page(session["id"])


def _close_page(session: str) -> None:
    try:
        gateway.expire_checkout_session(session)
    except BillingRejected:
        log.info("checkout_was_completed", session=session)

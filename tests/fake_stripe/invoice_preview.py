"""Computes a would-be invoice without storing it.

https://docs.stripe.com/api/invoices/create_preview
"""

import copy

from tests.fake_stripe import invoice_items, invoice_lines, invoices, subscription_changes
from tests.fake_stripe.kinds import make
from tests.fake_stripe.periods import end_of
from tests.fake_stripe.routing import route
from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json, unsupported

CHANGES = {"items", "billing_cycle_anchor", "proration_behavior"}


@route(
    "POST", "/v1/invoices/create_preview", "InvoiceCreatePreviewParams", "subscription subscription_details"
)
def create(store: Store, params: Json) -> Json:
    """Preview the next renewal, or with `subscription_details` the invoice that such an update leads to."""
    subscription = store.get("subscription", params.get("subscription"), param="subscription")
    details = params.get("subscription_details", {})
    if others := sorted(details.keys() - CHANGES):
        raise unsupported(f"subscription_details[{others[0]}]", others[0])
    old = {item["id"]: item for item in subscription["items"]["data"]}
    new = subscription_changes.changed_items(store, subscription, details) or copy.deepcopy([*old.values()])
    behavior = details.get("proration_behavior", "create_prorations" if details else "none")
    if behavior != "none":
        raise unsupported("a preview with prorations", "subscription_details[proration_behavior]")
    rhythm = all(subscription_changes.same_rhythm(old[item["id"]], item) for item in new)
    if details.get("billing_cycle_anchor") == "now" or not rhythm:
        lines = subscription_changes.new_rhythm(store, subscription, old, new, behavior)
        return priced(store, subscription, "subscription_update", lines)
    for item in new:
        start = item["current_period_end"]
        end = end_of(start, item["price"]["recurring"], subscription["billing_cycle_anchor"])
        item.update(current_period_start=start, current_period_end=end)
    lines = [*copy.deepcopy(store.private[subscription["id"]].get("waiting_lines", []))]
    lines += invoice_lines.full_period(store, {**subscription, "items": {"data": new}})
    return priced(store, subscription, "upcoming", lines)


def priced(store: Store, subscription: Json, reason: str, lines: list[Json]) -> Json:
    waiting = store.all("invoiceitem", customer=subscription["customer"], invoice=None)
    lines += [invoice_items.line_of(store, item, subscription) for item in waiting]
    identifier = f"upcoming_{store.new_id('invoice')}"
    values = invoices.first_values(store, subscription, reason, lines, identifier)
    return make("invoice", created=store.now(), **values)

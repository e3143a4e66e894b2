"""Serves subscriptions."""

from typing import Any

from tests.fake_stripe import cancellation, discounts, subscription_changes, subscriptions
from tests.fake_stripe.listing import page, search
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, Refusal, unsupported

SHARED = (
    "items metadata default_payment_method payment_behavior description off_session trial_end trial_settings "
    "payment_settings proration_behavior cancel_at_period_end cancel_at collection_method days_until_due discounts "
    "automatic_tax"
)


def refuse_what_is_not_here(params: Json) -> None:
    settings = params.get("payment_settings", {})
    for name in settings:
        if name not in {"save_default_payment_method", "payment_method_types"}:
            raise unsupported(f"payment_settings[{name}]", f"payment_settings[{name}]")


@route("POST", "/v1/subscriptions", "SubscriptionCreateParams", f"{SHARED} customer trial_period_days")
def create(store: Store, params: Json) -> Json:
    refuse_what_is_not_here(params)
    if not params.get("items"):
        raise Refusal("Missing required param: items.", code="parameter_missing", param="items")
    if "customer" not in params:
        raise Refusal("Missing required param: customer.", code="parameter_missing", param="customer")
    ends = params.pop("cancel_at_period_end", False)
    subscription = subscriptions.start(store, params)
    if ends:
        subscription.update(cancellation.schedule_end(store, subscription, at_period_end=True))
    return subscription


@route(
    "POST",
    "/v1/subscriptions/{id}",
    "SubscriptionUpdateParams",
    f"{SHARED} cancellation_details billing_cycle_anchor pause_collection",
)
def update(store: Store, params: Json, identifier: str) -> Json:
    refuse_what_is_not_here(params)
    subscription = store.get("subscription", identifier)
    if subscription["status"] in cancellation.DEAD:
        only_metadata(params)
    changes = plain_changes(store, subscription, params)
    if "items" in params or params.get("trial_end") or params.get("billing_cycle_anchor") == "now":
        subscription_changes.change(store, subscription, params, changes)
    else:
        store.change(subscription, "customer.subscription.updated", **changes)
    return subscription


def only_metadata(params: Json) -> None:
    if params.keys() - {"metadata", "cancellation_details"}:
        raise Refusal(
            "A canceled subscription can only update its cancellation_details and metadata.",
            code="subscription_canceled",
        )


def plain_changes(store: Store, subscription: Json, params: Json) -> Json:
    changes: Json = {}
    if "metadata" in params:
        changes["metadata"] = merged(subscription["metadata"], params["metadata"])
    if "default_payment_method" in params:
        customer = store.get("customer", subscription["customer"])
        changes["default_payment_method"] = subscriptions.method_of(store, params, customer)
    if "pause_collection" in params:
        changes["pause_collection"] = paused(params["pause_collection"])
    if "description" in params:
        changes["description"] = params["description"] or None
    for name in ("payment_settings", "trial_settings", "cancellation_details"):
        if name in params:
            changes[name] = {**subscription[name], **params[name]}
    if (
        "discounts" in params
    ):  # from the next invoice on: https://docs.stripe.com/billing/subscriptions/coupons
        store.private[subscription["id"]]["coupon"] = discounts.chosen(store, params)
    changes.update(end_changes(store, subscription, params))
    return changes


def paused(given: Any) -> Json | None:
    """Return the pause (https://docs.stripe.com/billing/subscriptions/pause-payment): an empty one resumes. None ends
    by itself.
    """
    if not given:
        return None
    if given.get("behavior") not in {"void", "keep_as_draft", "mark_uncollectible"} or given.get(
        "resumes_at"
    ):
        raise unsupported("a pause that ends by itself", "pause_collection")
    return {"behavior": given["behavior"], "resumes_at": None}


def end_changes(store: Store, subscription: Json, params: Json) -> Json:
    """Return the changes of its end. A date set in the portal is cleared only by `cancel_at`: `cancel_at_period_end` is
    already false.

    While a schedule manages the subscription, only the schedule decides about its end
    (https://docs.stripe.com/billing/subscriptions/subscription-schedules).
    """
    if subscription["schedule"] and params.keys() & {"cancel_at", "cancel_at_period_end"}:
        message = (
            f"The subscription is managed by the subscription schedule `{subscription['schedule']}`, and updating any "
            "cancelation behavior directly is not allowed. Please update the schedule instead."
        )
        raise Refusal(message)
    if "cancel_at" in params and "cancel_at_period_end" in params:
        raise Refusal(
            "You may only specify one of `cancel_at` and `cancel_at_period_end`.", param="cancel_at"
        )
    if "cancel_at" in params:
        if isinstance(params["cancel_at"], int):
            return {
                "cancel_at": params["cancel_at"],
                "cancel_at_period_end": False,
                "canceled_at": store.now(),
            }
        if params["cancel_at"]:
            raise unsupported("a named date for the end", "cancel_at")
        return cancellation.schedule_end(store, subscription, at_period_end=False)
    ends: bool = params.get("cancel_at_period_end", subscription["cancel_at_period_end"]) is True
    if ends == subscription["cancel_at_period_end"]:
        return {}
    return cancellation.schedule_end(store, subscription, at_period_end=ends)


@route(
    "DELETE", "/v1/subscriptions/{id}", "SubscriptionCancelParams", "prorate invoice_now cancellation_details"
)
def cancel(store: Store, params: Json, identifier: str) -> Json:
    for name in ("prorate", "invoice_now"):
        if params.get(name):
            raise unsupported(f"{name} at a cancellation", name)
    subscription = store.tables["subscription"].get(identifier)
    if subscription is None or subscription["status"] in cancellation.DEAD:
        raise Refusal(
            f"No such subscription: '{identifier}'", status=404, code="resource_missing", param="id"
        )
    subscription["cancellation_details"].update(params.get("cancellation_details", {}))
    cancellation.end(store, subscription, reason="cancellation_requested")
    return subscription


@route(
    "POST",
    "/v1/subscriptions/{id}/resume",
    "SubscriptionResumeParams",
    "billing_cycle_anchor proration_behavior",
)
def resume(store: Store, params: Json, identifier: str) -> Json:
    """Resume a paused subscription. A planned cancellation is undone with `cancel_at_period_end=false`."""
    subscription = store.get("subscription", identifier)
    if subscription["status"] != "paused":
        raise Refusal(f"You cannot resume a subscription that is {subscription['status']}.")
    subscription_changes.resume(store, subscription)
    return subscription


@route("GET", "/v1/subscriptions", "SubscriptionListParams", f"{PAGE} created customer price status")
def list_(store: Store, params: Json) -> Json:
    """List subscriptions, by default without cancelled ones; `all` includes them, `ended` lists only them."""
    wanted = params.get("status")
    fields: dict[str, Any] = {"customer": params["customer"]} if "customer" in params else {}
    rows = [row for row in store.all("subscription", **fields) if is_wanted(row, wanted)]
    if "price" in params:
        rows = [
            row
            for row in rows
            if any(item["price"]["id"] == params["price"] for item in row["items"]["data"])
        ]
    return page(rows, params, "/v1/subscriptions")


def is_wanted(row: Json, status: str | None) -> bool:
    dead = row["status"] in cancellation.DEAD
    if status in {None, "all", "ended"}:
        return bool({None: row["status"] != "canceled", "all": True, "ended": dead}[status])
    return bool(row["status"] == status)


@route("GET", "/v1/subscriptions/search", "SubscriptionSearchParams", "query limit page")
def search_(store: Store, params: Json) -> Json:
    return search(store, "subscription", params, "/v1/subscriptions/search")


@route("GET", "/v1/subscriptions/{id}", "SubscriptionRetrieveParams")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.get("subscription", identifier)


@route("GET", "/v1/subscription_items", "SubscriptionItemListParams", f"{PAGE} subscription")
def list_items(store: Store, params: Json) -> Json:
    subscription = store.get("subscription", params["subscription"], param="subscription")
    return page(subscription["items"]["data"], params, "/v1/subscription_items")

"""Schedules: what happens to a subscription at the end of its period.

https://docs.stripe.com/billing/subscriptions/subscription-schedules
"""

import copy
from itertools import pairwise
from typing import Any

from tests.fake_stripe import cancellation, subscriptions
from tests.fake_stripe.catalogue import plan_of
from tests.fake_stripe.listing import page
from tests.fake_stripe.periods import end_of
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.subscription_changes import same_rhythm
from tests.fake_stripe.wire import Json, Refusal, unsupported

PATH = "/v1/subscription_schedules"
OF_A_PHASE = {
    "items", "start_date", "end_date", "duration", "proration_behavior", "trial_end", "discounts",
    "default_payment_method",
}  # fmt: skip


@route("POST", PATH, "SubscriptionScheduleCreateParams", "from_subscription")
def create(store: Store, params: Json) -> Json:
    """Create one from a subscription, with its current period as the only phase. Nothing else can be set in this
    request (https://docs.stripe.com/api/subscription_schedules/create#create_subscription_schedule-from_subscription).
    """
    if "from_subscription" not in params:
        raise unsupported("a schedule that begins a subscription", "from_subscription")
    subscription = store.get("subscription", params["from_subscription"], param="from_subscription")
    if subscription["schedule"]:
        message = "You cannot migrate a subscription that is already attached to a schedule."
        raise Refusal(message, param="from_subscription")
    if subscription["status"] not in {"active", "trialing", "past_due", "unpaid"}:
        raise Refusal(f"You cannot migrate a subscription that is {subscription['status']}.")
    phase = first_phase(subscription)
    schedule = store.add(
        "subscription_schedule",
        billing_mode={"type": "flexible"},
        current_phase={name: phase[name] for name in ("start_date", "end_date")},
        customer=subscription["customer"],
        default_settings=default_settings(subscription),
        end_behavior="cancel" if subscription["cancel_at"] else "release",
        metadata={},
        phases=[phase],
        status="active",
        subscription=subscription["id"],
    )
    subscription["schedule"] = schedule["id"]
    store.emit("subscription_schedule.created", schedule)
    store.emit("customer.subscription.updated", subscription, {"schedule": None})
    return schedule


def default_settings(subscription: Json) -> Json:
    return {
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": "automatic",
        "billing_thresholds": None,
        "collection_method": subscription["collection_method"],
        "default_payment_method": subscription["default_payment_method"],
        "description": None,
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "days_until_due": subscription["days_until_due"],
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "on_behalf_of": None,
        "transfer_data": None,
    }


def first_phase(subscription: Json) -> Json:
    items = subscription["items"]["data"]
    return {
        **blank_phase(subscription),
        "items": [phase_item(item["price"]["id"], item["quantity"]) for item in items],
        "start_date": min(item["current_period_start"] for item in items),
        "end_date": min(item["current_period_end"] for item in items),
        "trial_end": subscription["trial_end"] if subscription["status"] == "trialing" else None,
    }


def blank_phase(subscription: Json) -> Json:
    nothing = dict.fromkeys(
        (
            "application_fee_percent", "automatic_tax", "billing_cycle_anchor", "billing_thresholds",
            "collection_method", "default_payment_method", "default_tax_rates", "description", "invoice_settings",
            "on_behalf_of", "transfer_data", "trial", "trial_end",
        )
    )  # fmt: skip
    return {
        **nothing,
        "add_invoice_items": [],
        "currency": subscription["currency"],
        "discounts": [],
        "metadata": {},
        "proration_behavior": "create_prorations",
    }


def phase_item(price: str, quantity: int) -> Json:
    return {
        "billing_thresholds": None,
        "discounts": [],
        "metadata": {},
        "plan": price,
        "price": price,
        "quantity": quantity,
        "tax_rates": None,
    }


@route(
    "POST",
    f"{PATH}/{{id}}",
    "SubscriptionScheduleUpdateParams",
    "phases end_behavior metadata proration_behavior",
)
def update(store: Store, params: Json, identifier: str) -> Json:
    """Change the phases: each starts where the previous one ends, and the running one keeps its start
    (https://docs.stripe.com/api/subscription_schedules/update).
    """
    schedule = must_be_active(store.get("subscription_schedule", identifier), "update")
    subscription = store.get("subscription", schedule["subscription"])
    changes: Json = {name: params[name] for name in ("end_behavior",) if name in params}
    if "metadata" in params:
        changes["metadata"] = merged(schedule["metadata"], params["metadata"])
    if "phases" in params:
        changes["phases"] = phases_of(store, schedule, subscription, params["phases"])
        current = changes["phases"][0]
        changes["current_phase"] = {name: current[name] for name in ("start_date", "end_date")}
    store.change(schedule, "subscription_schedule.updated", **changes)
    return schedule


def phases_of(store: Store, schedule: Json, subscription: Json, given: list[Json]) -> list[Json]:
    phases: list[Json] = []
    for number, one in enumerate(given):
        if others := sorted(one.keys() - OF_A_PHASE):
            raise unsupported(f"phases[{number}][{others[0]}]", others[0])
        start = one.get("start_date") or (phases[-1]["end_date"] if phases else None)
        phases.append(phase_of(store, subscription, one, start))
    if phases[0]["start_date"] != schedule["current_phase"]["start_date"]:
        raise Refusal(
            "You can not modify the start date of the current phase.", param="phases[0][start_date]"
        )
    if [item["price"] for item in phases[0]["items"]] != prices_of(subscription):
        raise unsupported("another price in the running phase", "phases[0][items]")
    if any(one["end_date"] != following["start_date"] for one, following in pairwise(phases)):
        raise Refusal("The start date of a phase must be the end date of the one before it.", param="phases")
    return phases


def prices_of(subscription: Json) -> list[str]:
    return [item["price"]["id"] for item in subscription["items"]["data"]]


def phase_of(store: Store, subscription: Json, given: Json, start: Any) -> Json:
    if start is None:
        raise Refusal(
            "The first phase needs a start date.", code="parameter_missing", param="phases[0][start_date]"
        )
    prices = [subscriptions.chosen_price(store, {"price": item.get("price")}) for item in given["items"]]
    if any(price["currency"] != subscription["currency"] for price in prices):
        raise Refusal(
            "The price's currency differs from the subscription's.", param="phases[0][items][0][price]"
        )
    return {
        **blank_phase(subscription),
        "items": [
            phase_item(price["id"], item.get("quantity", 1))
            for price, item in zip(prices, given["items"], strict=True)
        ],
        "discounts": [
            {"coupon": one.get("coupon"), "discount": one.get("discount"), "promotion_code": None}
            for one in given.get("discounts") or []
        ],
        "default_payment_method": given.get("default_payment_method"),
        "proration_behavior": given.get("proration_behavior", "create_prorations"),
        "start_date": start,
        "end_date": given.get("end_date")
        or end_of(start, {"interval_count": 1, **(given.get("duration") or prices[0]["recurring"])}, start),
        "trial_end": given.get("trial_end"),
    }


@route("POST", f"{PATH}/{{id}}/release", "SubscriptionScheduleReleaseParams", "preserve_cancel_date")
def release(store: Store, params: Json, identifier: str) -> Json:
    """Let the subscription continue unchanged without the schedule
    (https://docs.stripe.com/api/subscription_schedules/release).
    """
    schedule = must_be_active(store.get("subscription_schedule", identifier), "release")
    subscription = store.get("subscription", schedule["subscription"])
    if subscription["cancel_at"] and not params.get("preserve_cancel_date"):
        subscription.update(cancellation.schedule_end(store, subscription, at_period_end=False))
    let_go(store, schedule)
    return schedule


def must_be_active(schedule: Json, verb: str) -> Json:
    if schedule["status"] != "active":
        raise Refusal(
            f"You cannot {verb} a subscription schedule that is currently in the `{schedule['status']}` status. It "
            "must be in `not_started`, `active` status to be updated."
        )
    return schedule


def let_go(store: Store, schedule: Json) -> None:
    subscription = store.get("subscription", schedule["subscription"])
    schedule.update(
        status="released",
        released_at=store.now(),
        released_subscription=subscription["id"],
        subscription=None,
        current_phase=None,
    )
    subscription["schedule"] = None
    store.emit("subscription_schedule.released", schedule)
    store.emit("customer.subscription.updated", subscription, {"schedule": schedule["id"]})


def end_phase(store: Store, schedule: Json) -> None:
    """Start the next phase with its items, or release the subscription after the last."""
    following = [
        phase for phase in schedule["phases"] if phase["start_date"] >= schedule["current_phase"]["end_date"]
    ]
    if not following:
        let_go(store, schedule)
        return
    phase = following[0]
    schedule["current_phase"] = {name: phase[name] for name in ("start_date", "end_date")}
    store.emit("subscription_schedule.updated", schedule)
    put_phase(store, store.get("subscription", schedule["subscription"]), phase)


def put_phase(store: Store, subscription: Json, phase: Json) -> None:
    """Apply the new prices to the period that is about to start; another interval moves the anchor."""
    items, anchor = copy.deepcopy(subscription["items"]), subscription["billing_cycle_anchor"]
    for item, wanted in zip(items["data"], phase["items"], strict=True):
        price = store.get("price", wanted["price"])
        if not same_rhythm(item, {"price": price}):
            anchor = phase["start_date"]
        item.update(price=price, plan=plan_of(price), quantity=wanted["quantity"])
    store.change(subscription, "customer.subscription.updated", items=items, billing_cycle_anchor=anchor)


@route("GET", PATH, "SubscriptionScheduleListParams", f"{PAGE} customer")
def list_(store: Store, params: Json) -> Json:
    fields = {"customer": params["customer"]} if "customer" in params else {}
    return page(store.all("subscription_schedule", **fields), params, PATH)


@route("GET", f"{PATH}/{{id}}", "SubscriptionScheduleRetrieveParams")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.get("subscription_schedule", identifier)

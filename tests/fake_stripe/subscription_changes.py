"""Another price, another quantity, the end of a trial: what changes and what is invoiced for it."""

import copy

from tests.fake_stripe import invoice_lines, invoice_routes, invoices, subscriptions
from tests.fake_stripe.catalogue import plan_of
from tests.fake_stripe.periods import end_of
from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json, Refusal, unsupported

UPDATED = "customer.subscription.updated"
PENDING_SECONDS = 23 * 3600


def change(store: Store, subscription: Json, params: Json, plain: Json) -> None:
    """New items with their proration, or `trial_end`; `plain` are the other fields that change."""
    if trial_end := params.get("trial_end"):
        if "items" in params:
            raise unsupported("items and trial_end in one request", "trial_end")
        store.change(subscription, UPDATED, **plain)
        if trial_end == "now":
            check_payable(store, subscription, params)
        move_trial_end(store, subscription, trial_end)
        return
    old = copy.deepcopy(subscription["items"]["data"])
    new = [changed_item(store, subscription, given) for given in params["items"]]
    check_payable(store, subscription, params)
    lines = settlement(store, subscription, old, new, params.get("proration_behavior", "create_prorations"))
    behavior = params.get("payment_behavior", "allow_incomplete")
    if behavior == "pending_if_incomplete" and lines:
        wait_for_payment(store, subscription, new, lines)
        return
    put_items(store, subscription, new, plain)
    if lines:
        invoice = invoices.draft(store, subscription, "subscription_update", lines)
        invoices.finalize(store, invoice)
        if behavior != "default_incomplete":
            invoices.attempt(store, invoice)


def changed_item(store: Store, subscription: Json, given: Json) -> Json:
    for name in given:
        if name not in {"id", "price", "quantity", "metadata"}:
            raise unsupported(f"items[{name}]", f"items[{name}]")
    found = [item for item in subscription["items"]["data"] if item["id"] == given.get("id")]
    if not found:
        raise unsupported("an update that adds items: name the item to change by its id", "items[0][id]")
    item: Json = copy.deepcopy(found[0])
    if "price" in given:
        price = subscriptions.chosen_price(store, {"price": given["price"]})
        if price["currency"] != subscription["currency"]:
            raise Refusal("The price's currency differs from the subscription's.", param="items[0][price]")
        item.update(price=price, plan=plan_of(price))
    item["quantity"] = given.get("quantity", item["quantity"])
    return item


def check_payable(store: Store, subscription: Json, params: Json) -> None:
    if params.get("payment_behavior") == "error_if_incomplete":
        customer = store.get("customer", subscription["customer"])
        method = subscription["default_payment_method"]
        subscriptions.check_payable(store, customer, method, "error_if_incomplete")


def settlement(
    store: Store, subscription: Json, old: list[Json], new: list[Json], behavior: str
) -> list[Json]:
    """The lines to invoice now. Prorations that wait for the next invoice are kept aside."""
    if subscription["status"] == "trialing":
        return []
    now = store.now()
    before = {item["id"]: item for item in old}
    lines = []
    for item in new:
        previous = before[item["id"]]
        if same_rhythm(previous, item):
            lines += [] if behavior == "none" else invoice_lines.proration(store, previous, item, at=now)
        else:
            return new_rhythm(store, subscription, previous, item, behavior)
    if behavior == "create_prorations":
        store.private[subscription["id"]].setdefault("waiting_lines", []).extend(lines)
        return []
    return lines


def same_rhythm(one: Json, other: Json) -> bool:
    return all(
        one["price"]["recurring"][name] == other["price"]["recurring"][name]
        for name in ("interval", "interval_count")
    )


def new_rhythm(store: Store, subscription: Json, old: Json, item: Json, behavior: str) -> list[Json]:
    """Another interval begins a new period, which is invoiced at once."""
    now = store.now()
    credit = [] if behavior == "none" else invoice_lines.proration(store, old, item, at=now)[:1]
    item["current_period_start"] = now
    item["current_period_end"] = end_of(now, item["price"]["recurring"], now)
    subscription["billing_cycle_anchor"] = now
    return credit + invoice_lines.full_period(store, {**subscription, "items": {"data": [item]}})


def put_items(store: Store, subscription: Json, new: list[Json], plain: Json) -> None:
    replaced = {item["id"]: item for item in new}
    data = [replaced.get(item["id"], item) for item in subscription["items"]["data"]]
    items = {**subscription["items"], "data": data}
    store.change(subscription, UPDATED, items=items, **plain)


def wait_for_payment(store: Store, subscription: Json, new: list[Json], lines: list[Json]) -> None:
    """`pending_if_incomplete`: the new items come with the payment, or not at all."""
    pending = {
        "billing_cycle_anchor": None,
        "discount": None,
        "discounts": None,
        "expires_at": store.now() + PENDING_SECONDS,
        "metadata": None,
        "subscription_items": copy.deepcopy(new),
        "trial_end": None,
        "trial_from_plan": None,
    }
    invoice = invoices.draft(store, subscription, "subscription_update", lines)
    store.private[invoice["id"]]["pending_update"] = True
    subscription["pending_update"] = pending
    invoices.finalize(store, invoice)
    invoices.attempt(store, invoice)
    if invoice["status"] == "open":
        store.emit(UPDATED, subscription, {"pending_update": None})


def after_invoice(store: Store, invoice: Json, result: str) -> None:
    if result != "paid" or not store.private[invoice["id"]].get("pending_update"):
        return
    subscription = invoices.subscription_of(store, invoice)
    if pending := subscription["pending_update"]:
        subscription["pending_update"] = None
        put_items(store, subscription, pending["subscription_items"], {})
        store.emit("customer.subscription.pending_update_applied", subscription)


invoices.AFTERWARDS.append(after_invoice)


def expire_pending_update(store: Store, subscription: Json) -> None:
    subscription["pending_update"] = None
    invoices.void(store, store.get("invoice", subscription["latest_invoice"]))
    store.emit("customer.subscription.pending_update_expired", subscription)


def move_trial_end(store: Store, subscription: Json, trial_end: int | str) -> None:
    if trial_end == "now":
        end_trial(store, subscription)
        return
    is_new = subscription["status"] != "trialing"
    items = copy.deepcopy(subscription["items"])
    for item in items["data"]:
        item["current_period_end"] = trial_end
        if is_new:
            item["current_period_start"] = store.now()
    store.private[subscription["id"]].pop("warned", None)
    store.change(
        subscription,
        UPDATED,
        items=items,
        trial_start=store.now() if is_new else subscription["trial_start"],
        trial_end=trial_end,
        billing_cycle_anchor=trial_end,
        status="trialing",
    )
    if is_new:
        invoice_the_trial(store, subscription)


def invoice_the_trial(store: Store, subscription: Json) -> None:
    """A trial that is added to a subscription that pays begins with an invoice of nothing
    (https://docs.stripe.com/billing/subscriptions/trials#add-a-trial-to-an-existing-subscription).
    """
    lines = invoice_lines.trial_period(store, subscription)
    invoice = invoices.draft(store, subscription, "subscription_update", lines)
    invoices.finalize(store, invoice)
    invoices.attempt(store, invoice)


def end_trial(store: Store, subscription: Json) -> None:
    """By request: the first paid period begins now and is charged at once."""
    if subscription["status"] != "trialing":
        return
    items = periods_from(subscription, store.now())
    store.change(
        subscription,
        UPDATED,
        items=items,
        trial_end=store.now(),
        billing_cycle_anchor=store.now(),
        status="active",
    )
    invoice = invoices.draft(
        store, subscription, "subscription_update", invoice_lines.full_period(store, subscription)
    )
    invoices.finalize(store, invoice)
    if invoices.default_method(store, invoice) is None and invoice["status"] == "open":
        raise invoice_routes.no_method()
    invoices.attempt(store, invoice)


def resume(store: Store, subscription: Json) -> None:
    items = periods_from(subscription, store.now())
    store.change(subscription, UPDATED, items=items, billing_cycle_anchor=store.now(), status="active")
    lines = invoice_lines.full_period(store, subscription)
    invoice = invoices.draft(store, subscription, "subscription_update", lines)
    invoices.finalize(store, invoice)
    invoices.attempt(store, invoice)
    store.emit("customer.subscription.resumed", subscription)


def periods_from(subscription: Json, start: int) -> Json:
    items: Json = copy.deepcopy(subscription["items"])
    for item in items["data"]:
        item["current_period_start"] = start
        item["current_period_end"] = end_of(start, item["price"]["recurring"], start)
    return items

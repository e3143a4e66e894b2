"""Changes of a subscription: price, quantity, end of the trial, and what is invoiced for them."""

import copy

from tests.fake_stripe import invoice_lines, invoice_routes, invoices, subscriptions
from tests.fake_stripe.catalogue import plan_of
from tests.fake_stripe.periods import end_of
from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json, Refusal, unsupported

UPDATED = "customer.subscription.updated"
PENDING_SECONDS = 23 * 3600


# https://docs.stripe.com/billing/subscriptions/pending-updates-reference; metadata since 2026-05-27.dahlia
MAY_PEND = frozenset(
    {
        "payment_behavior", "proration_behavior", "proration_date", "billing_cycle_anchor", "items", "trial_end",
        "trial_from_plan", "add_invoice_items", "metadata",
    }
)  # fmt: skip


def change(store: Store, subscription: Json, params: Json, plain: Json) -> None:
    """Apply new items with their proration, a new anchor, or `trial_end`; `plain` are the other changed fields."""
    if params.get("payment_behavior") == "pending_if_incomplete":
        check_pending(subscription, params)
    drop_pending_update(store, subscription)
    if trial_end := params.get("trial_end"):
        if params.keys() & {"items", "billing_cycle_anchor"}:
            raise unsupported("items and trial_end in one request", "trial_end")
        store.change(subscription, UPDATED, **plain)
        if trial_end == "now":
            check_payable(store, subscription, params)
        move_trial_end(store, subscription, trial_end)
    else:
        change_items(store, subscription, params, plain)


def change_items(store: Store, subscription: Json, params: Json, plain: Json) -> None:
    old = copy.deepcopy(subscription["items"]["data"])
    new = changed_items(store, subscription, params)
    check_payable(store, subscription, params)
    resets = params.get("billing_cycle_anchor") == "now"
    behavior = params.get("proration_behavior", "create_prorations")
    lines, anchor = settlement(store, subscription, old, new, behavior, resets=resets)
    if lines and params.get("payment_behavior") == "pending_if_incomplete":
        wait_for_payment(store, subscription, new, lines, anchor)
        return
    put_items(store, subscription, new, {**plain, **({"billing_cycle_anchor": anchor} if anchor else {})})
    if lines:
        invoice = invoices.draft(store, subscription, "subscription_update", lines)
        invoices.finalize(store, invoice)
        if params.get("payment_behavior") != "default_incomplete":
            invoices.attempt(store, invoice)


def check_pending(subscription: Json, params: Json) -> None:
    """Refuse what a pending update cannot contain (https://docs.stripe.com/billing/subscriptions/pending-updates)."""
    if others := sorted(params.keys() - MAY_PEND):
        message = (
            f"{others[0]} cannot be updated in this request if payment_behavior is pending_if_incomplete."
        )
        raise Refusal(message, param=others[0])
    if subscription["collection_method"] == "send_invoice":
        message = (
            "`pending_if_incomplete` is only supported for subscriptions that are charged automatically."
        )
        raise Refusal(message, param="payment_behavior")
    if params.get("metadata"):
        raise unsupported("metadata in a pending update", "metadata")


def changed_items(store: Store, subscription: Json, params: Json) -> list[Json]:
    """Return the named items; with a new anchor all items, since each starts a new period."""
    new = [changed_item(store, subscription, given) for given in params.get("items", [])]
    if params.get("billing_cycle_anchor") != "now":
        return new
    named = {item["id"]: item for item in new}
    return [named.get(item["id"], copy.deepcopy(item)) for item in subscription["items"]["data"]]


def changed_item(store: Store, subscription: Json, given: Json) -> Json:
    for name in given:
        if name not in {"id", "price", "quantity", "metadata", "deleted"}:
            raise unsupported(f"items[{name}]", f"items[{name}]")
    if "id" not in given:
        return added_item(store, subscription, given)
    found = [item for item in subscription["items"]["data"] if item["id"] == given["id"]]
    if not found:
        raise Refusal(f"Invalid subscription item: '{given['id']}'", param="items[0][id]")
    item: Json = copy.deepcopy(found[0])
    if given.get("deleted"):
        return {**item, "quantity": 0, "deleted": True}
    if "price" in given:
        price = subscriptions.chosen_price(store, {"price": given["price"]})
        if price["currency"] != subscription["currency"]:
            raise Refusal("The price's currency differs from the subscription's.", param="items[0][price]")
        item.update(price=price, plan=plan_of(price))
    item["quantity"] = given.get("quantity", item["quantity"])
    return item


def added_item(store: Store, subscription: Json, given: Json) -> Json:
    """Return another item, for the rest of the period (https://docs.stripe.com/billing/subscriptions/quantities)."""
    first = subscription["items"]["data"][0]
    period = (first["current_period_start"], first["current_period_end"])
    price = subscriptions.chosen_price(store, given)
    return subscriptions.item_of(store, subscription["id"], price, given, period)


def check_payable(store: Store, subscription: Json, params: Json) -> None:
    if params.get("payment_behavior") == "error_if_incomplete":
        customer = store.get("customer", subscription["customer"])
        method = subscription["default_payment_method"]
        subscriptions.check_payable(store, customer, method, "error_if_incomplete")


def settlement(
    store: Store, subscription: Json, old: list[Json], new: list[Json], behavior: str, *, resets: bool
) -> tuple[list[Json], int | None]:
    """Return the lines to invoice now, and the new anchor if a new period starts. Prorations that wait for the next
    invoice are kept aside.

    A new anchor invoices a whole period at once (https://docs.stripe.com/billing/subscriptions/billing-cycle); so does
    another interval (https://docs.stripe.com/billing/subscriptions/change-price). Without proration, the rest of the
    old period is not refunded.
    """
    if subscription["status"] == "trialing":
        if resets:
            raise unsupported("billing_cycle_anchor=now in a trial", "billing_cycle_anchor")
        return [], None
    before = {item["id"]: {**item, "quantity": 0} for item in new} | {item["id"]: item for item in old}
    if resets or not all(same_rhythm(before[item["id"]], item) for item in new):
        lines = new_rhythm(store, subscription, before, new, behavior)
        return lines, new[0]["current_period_start"]
    lines = []
    for item in new:
        if behavior != "none":
            parts = invoice_lines.proration(store, before[item["id"]], item, at=store.now())
            lines += [line for line in parts if line["amount"]]
    if behavior == "create_prorations":
        store.private[subscription["id"]].setdefault("waiting_lines", []).extend(lines)
        return [], None
    return lines, None


def same_rhythm(one: Json, other: Json) -> bool:
    return all(
        one["price"]["recurring"][name] == other["price"]["recurring"][name]
        for name in ("interval", "interval_count")
    )


def new_rhythm(
    store: Store, subscription: Json, before: dict[str, Json], new: list[Json], behavior: str
) -> list[Json]:
    """Start a new period of each item, and return the lines that are invoiced at once."""
    now, credit = store.now(), []
    for item in new:
        if behavior != "none":
            credit += invoice_lines.proration(store, before[item["id"]], item, at=now)[:1]
        item["current_period_start"] = now
        item["current_period_end"] = end_of(now, item["price"]["recurring"], now)
    return credit + invoice_lines.full_period(store, {**subscription, "items": {"data": new}})


def put_items(store: Store, subscription: Json, new: list[Json], plain: Json) -> None:
    replaced = {item["id"]: item for item in new}
    data = [replaced.pop(item["id"], item) for item in subscription["items"]["data"]]
    data = [item for item in [*data, *replaced.values()] if not item.pop("deleted", False)]
    items = {**subscription["items"], "data": data}
    store.change(subscription, UPDATED, items=items, **plain)


def wait_for_payment(
    store: Store, subscription: Json, new: list[Json], lines: list[Json], anchor: int | None
) -> None:
    """Implement `pending_if_incomplete`: the new items come with the payment, or not at all. Until then nothing else
    changes.

    The update expires with the period or the trial, after 23 hours at most
    (https://docs.stripe.com/billing/subscriptions/pending-updates-reference).
    """
    ends = [item["current_period_end"] for item in subscription["items"]["data"]]
    pending = {
        "billing_cycle_anchor": anchor,
        "discount": None,
        "discounts": None,
        "expires_at": min(store.now() + PENDING_SECONDS, *ends),
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
    if result not in {"paid", "void"} or not store.private[invoice["id"]].get("pending_update"):
        return
    subscription = invoices.subscription_of(store, invoice)
    pending = subscription["pending_update"]
    if not pending or store.private[invoice["id"]].pop("pending_update") is not True:
        return
    subscription["pending_update"] = None
    if result == "void":
        store.emit("customer.subscription.pending_update_expired", subscription)
        return
    anchor = pending["billing_cycle_anchor"]
    plain = {"billing_cycle_anchor": anchor} if anchor else {}
    put_items(store, subscription, pending["subscription_items"], plain)
    store.emit("customer.subscription.pending_update_applied", subscription)


invoices.AFTERWARDS.append(after_invoice)


def drop_pending_update(store: Store, subscription: Json) -> None:
    """Void the pending update's invoice and drop the update: when it expires, and when another update or a renewal
    conflicts with it (https://docs.stripe.com/billing/subscriptions/pending-updates-reference).
    """
    if not subscription["pending_update"]:
        return
    for invoice in store.all("invoice", status="open"):
        is_its = store.private[invoice["id"]].get("pending_update")
        if is_its and invoices.subscription_of(store, invoice) is subscription:
            invoices.void(store, invoice)
    if subscription["pending_update"]:  # its invoice was given up before
        subscription["pending_update"] = None
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
    """Invoice nothing at the start of a trial that is added to a paying subscription
    (https://docs.stripe.com/billing/subscriptions/trials#add-a-trial-to-an-existing-subscription).
    """
    lines = invoice_lines.trial_period(store, subscription)
    invoice = invoices.draft(store, subscription, "subscription_update", lines)
    invoices.finalize(store, invoice)
    invoices.attempt(store, invoice)


def end_trial(store: Store, subscription: Json) -> None:
    """End the trial on request: the first paid period starts now and is charged at once."""
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

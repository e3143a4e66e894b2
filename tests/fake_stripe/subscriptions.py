"""Subscriptions: how they start, and what happens when an invoice is paid or not."""

from tests.fake_stripe import (
    discounts,
    invoice_lines,
    invoice_routes,
    invoices,
    payment_methods,
    payments,
    setup_intents,
)
from tests.fake_stripe.cancellation import DEAD, end
from tests.fake_stripe.cards import declined
from tests.fake_stripe.catalogue import plan_of
from tests.fake_stripe.kinds import listed
from tests.fake_stripe.periods import DAY, end_of
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, Refusal, unsupported


def start(store: Store, params: Json) -> Json:
    """Create a subscription with its first invoice; the caller has checked `params`."""
    customer = store.get("customer", params["customer"], param="customer")
    now = store.now()
    trial_end = trial_end_of(params, now)
    behavior = params.get("payment_behavior", "allow_incomplete")
    method = method_of(store, params, customer)
    prices = [chosen_price(store, one) for one in params["items"]]
    due = sum(
        price["unit_amount"] * one.get("quantity", 1)
        for price, one in zip(prices, params["items"], strict=True)
    )
    sends = params.get("collection_method") == "send_invoice"
    if sends and "days_until_due" not in params:
        raise Refusal("Missing required param: days_until_due.", code="parameter_missing")
    if not trial_end and due and not sends:
        check_payable(store, customer, method, behavior)
    subscription = store.add("subscription", **first_values(store, params, prices, now, trial_end))
    subscription["default_payment_method"] = method
    if coupon := discounts.chosen(store, params):
        store.private[subscription["id"]]["coupon"] = coupon
    store.emit("customer.subscription.created", subscription)
    begin(store, subscription, behavior)
    return subscription


def trial_end_of(params: Json, now: int) -> int | None:
    if "trial_period_days" in params:
        return now + int(params["trial_period_days"]) * DAY if params["trial_period_days"] else None
    given = params.get("trial_end")
    if given in {None, "now"}:
        return None
    if given <= now:
        raise Refusal(
            "Invalid timestamp: must be an integer Unix timestamp in the future.", param="trial_end"
        )
    return int(given)


def method_of(store: Store, params: Json, customer: Json) -> str | None:
    given = params.get("default_payment_method")
    if not given:
        return None
    method = payment_methods.resolve(store, given, param="default_payment_method")
    if method["customer"] != customer["id"]:
        message = f"The customer does not have a payment method with the ID {given}. The payment method must be attached to the customer."  # noqa: E501
        raise Refusal(message, param="default_payment_method", code="resource_missing")
    identifier: str = method["id"]
    return identifier


def chosen_price(store: Store, item: Json) -> Json:
    for name in item:
        if name not in {"price", "quantity", "metadata"}:
            raise unsupported(f"items[{name}] of a new subscription", f"items[{name}]")
    price = store.get("price", item.get("price"), param="items[0][price]")
    if not price["active"]:
        message = "The price specified is inactive. This field only accepts active prices."
        raise Refusal(message, param="items[0][price]", code="price_inactive")
    if price["type"] != "recurring":
        message = (
            "The price specified is set to `type=one_time` but this field only accepts recurring prices."
        )
        raise Refusal(message, param="items[0][price]")
    return price


def check_payable(store: Store, customer: Json, method: str | None, behavior: str) -> None:
    """Raise what Stripe refuses before anything is created."""
    method = method or customer["invoice_settings"]["default_payment_method"]
    if method is None and behavior != "default_incomplete":
        raise invoice_routes.no_method()
    if method is None or behavior != "error_if_incomplete":
        return
    found = store.get("payment_method", method)
    if code := payment_methods.card_of(store, found).charging:
        raise declined(code)
    if payments.must_authenticate(store, found, off_session=False):
        message = "Payment for this subscription requires additional user action before it can be completed."
        code = "subscription_payment_intent_requires_action"
        raise Refusal(message, status=402, type="card_error", code=code)


def first_values(store: Store, params: Json, prices: list[Json], now: int, trial_end: int | None) -> Json:
    identifier = store.new_id("subscription")
    anchor = trial_end or now
    items = [
        item_of(store, identifier, price, given, (now, trial_end or end_of(now, price["recurring"], now)))
        for price, given in zip(prices, params["items"], strict=True)
    ]
    end_behavior = params.get("trial_settings", {}).get(
        "end_behavior", {"missing_payment_method": "create_invoice"}
    )
    return {
        "id": identifier,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": params.get("automatic_tax", {}).get("enabled", False),
            "liability": None,
        },
        "billing_cycle_anchor": anchor,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "billing_schedules": [],
        "cancel_at_period_end": False,
        "cancellation_details": dict.fromkeys(("comment", "feedback", "feedback_option", "reason")),
        "collection_method": params.get("collection_method", "charge_automatically"),
        "days_until_due": params.get("days_until_due"),
        "currency": prices[0]["currency"],
        "customer": params["customer"],
        "default_tax_rates": [],
        "description": params.get("description"),
        "discounts": [],
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "items": listed(items, f"/v1/subscription_items?subscription={identifier}", total_count=len(items)),
        "metadata": merged(None, params.get("metadata")),
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
            **params.get("payment_settings", {}),
        },
        "start_date": now,
        "status": "trialing" if trial_end else "active" if params.get("days_until_due") else "incomplete",
        "trial_end": trial_end,
        "trial_settings": {"end_behavior": end_behavior},
        "trial_start": now if trial_end else None,
    }


def item_of(store: Store, subscription: str, price: Json, given: Json, period: tuple[int, int]) -> Json:
    item = store.add(
        "subscription_item",
        current_period_end=period[1],
        current_period_start=period[0],
        discounts=[],
        metadata=merged(None, given.get("metadata")),
        plan=plan_of(price),
        price=price,
        quantity=given.get("quantity", 1),
        subscription=subscription,
        tax_rates=[],
    )
    del store.tables["subscription_item"][item["id"]]  # it lives in its subscription
    return item


def begin(store: Store, subscription: Json, behavior: str) -> None:
    """Make the first invoice: of zero for a trial, otherwise charged at once unless the customer is to confirm."""
    trial = subscription["status"] == "trialing"
    lines = (
        invoice_lines.trial_period(store, subscription)
        if trial
        else invoice_lines.full_period(store, subscription)
    )
    invoice = invoices.draft(store, subscription, "subscription_create", lines)
    invoices.finalize(store, invoice)
    if trial and invoices.default_method(store, invoice) is None:
        pending = setup_intents.new(store, customer=subscription["customer"], usage="off_session")
        store.private[pending["id"]]["subscription"] = subscription["id"]
        subscription["pending_setup_intent"] = pending["id"]
    if invoice["status"] == "open" and behavior != "default_incomplete":
        invoices.attempt(store, invoice)


def after_invoice(store: Store, invoice: Json, result: str) -> None:
    subscription = invoices.subscription_of(store, invoice)
    if subscription["status"] in DEAD or result == "void":
        return
    if result == "paid":
        on_paid(store, subscription, invoice)
    elif (
        result == "processing"
    ):  # a debit is trusted (https://docs.stripe.com/billing/subscriptions/sepa-debit)
        if subscription["status"] == "incomplete":
            store.change(subscription, "customer.subscription.updated", status="active")
    elif subscription["status"] in {"active", "trialing"} and not store.private[invoice["id"]].get(
        "pending_update"
    ):
        store.change(subscription, "customer.subscription.updated", status="past_due")
    elif subscription["status"] == "past_due" and invoice["next_payment_attempt"] is None:
        give_up(store, subscription)


invoices.AFTERWARDS.append(after_invoice)


def after_setup(store: Store, intent: Json) -> None:
    """Use the card for a trial that started without one."""
    identifier = store.private[intent["id"]].get("subscription")
    if identifier is not None:
        changes = {"default_payment_method": intent["payment_method"], "pending_setup_intent": None}
        subscription = store.get("subscription", identifier)
        store.change(subscription, "customer.subscription.updated", **changes)


setup_intents.AFTERWARDS.append(after_setup)


def on_paid(store: Store, subscription: Json, invoice: Json) -> None:
    """Make the subscription active again, but only if its latest invoice was paid."""
    changes: Json = {}
    if (
        subscription["status"] in {"incomplete", "past_due", "unpaid"}
        and subscription["latest_invoice"] == invoice["id"]
    ):
        changes["status"] = "active"
    intent = invoices.intent_of(store, invoice)
    saves = (subscription["payment_settings"] or {}).get("save_default_payment_method") == "on_subscription"
    if intent and saves and not subscription["default_payment_method"]:
        changes["default_payment_method"] = intent["payment_method"]
    if changes:
        store.change(subscription, "customer.subscription.updated", **changes)


def give_up(store: Store, subscription: Json) -> None:
    """After the last attempt, cancel it, mark it unpaid or leave it past due, depending on the settings."""
    ending = store.settings["dunning_end"]
    if ending == "cancel":
        end(store, subscription, reason="payment_failed")
    elif ending == "unpaid":
        store.change(subscription, "customer.subscription.updated", status="unpaid")

"""The lines of subscription invoices, in their current shape: `parent`, `pricing.price_details`."""

from typing import Any

from tests.fake_stripe.kinds import make
from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json


def line(
    store: Store,
    item: Json,
    *,
    amount: int,
    period: tuple[int, int],
    description: str,
    proration: bool = False,
    price: Json | None = None,
) -> Json:
    price = price or item["price"]
    return make(
        "line_item",
        id=store.new_id("line_item"),
        amount=amount,
        currency=price["currency"],
        description=description,
        discountable=not proration,
        discounts=[],
        metadata=dict(item["metadata"]),
        parent=parent(item, proration=proration),
        period={"end": period[1], "start": period[0]},
        pretax_credit_amounts=[],
        pricing={
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        quantity=item["quantity"],
        subscription=item["subscription"],
        subtotal=amount,
        taxes=[],
    )


def parent(item: Json, *, proration: bool) -> Json:
    details: Json = {
        "invoice_item": None,
        "proration": proration,
        "proration_details": {"credited_items": None},
        "subscription": item["subscription"],
        "subscription_item": item["id"],
    }
    return {
        "invoice_item_details": None,
        "subscription_item_details": details,
        "type": "subscription_item_details",
    }


def full_period(store: Store, subscription: Json) -> list[Json]:
    lines = []
    for item in subscription["items"]["data"]:
        amount = item["price"]["unit_amount"] * item["quantity"]
        period = (item["current_period_start"], item["current_period_end"])
        name = store.get("product", item["price"]["product"])["name"]
        lines.append(
            line(store, item, amount=amount, period=period, description=f"{item['quantity']} x {name}")
        )
    return lines


def trial_period(store: Store, subscription: Json) -> list[Json]:
    period = (subscription["trial_start"], subscription["trial_end"])
    return [
        line(store, item, amount=0, period=period, description="Trial period")
        for item in subscription["items"]["data"]
    ]


def proration(store: Store, old: Json, new: Json, *, at: int) -> list[Json]:
    """Return two lines per item: a credit for the unused time at the old price, and the remaining time at the new
    one.
    """
    start, end = old["current_period_start"], old["current_period_end"]
    share = (end - at) / (end - start)
    lines = []
    parts: list[tuple[Any, int, str]] = [(old, -1, "Unused time"), (new, 1, "Remaining time")]
    for item, sign, words in parts:
        amount = sign * round(item["price"]["unit_amount"] * item["quantity"] * share)
        lines.append(
            line(
                store,
                {**item, "id": new["id"]},
                amount=amount,
                period=(at, end),
                description=f"{words} on {item['price']['id']}",
                proration=True,
            )
        )
    return lines

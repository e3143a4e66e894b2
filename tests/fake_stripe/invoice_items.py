"""One-off items, which go on the customer's next invoice, whatever else is on it.

https://docs.stripe.com/billing/invoices/subscription#adding-upcoming-invoice-items
"""

from tests.fake_stripe.kinds import make
from tests.fake_stripe.routing import route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, Refusal


@route(
    "POST",
    "/v1/invoiceitems",
    "InvoiceItemCreateParams",
    "customer amount currency description metadata quantity pricing subscription",
)
def create(store: Store, params: Json) -> Json:
    """Create an item with a price, or with an arbitrary amount and no price. A negative amount is a discount."""
    store.get("customer", params.get("customer"), param="customer")
    quantity, now = params.get("quantity", 1), store.now()
    pricing, amount = None, params.get("amount")
    if "pricing" in params:
        price = store.get("price", params["pricing"]["price"], param="pricing[price]")
        amount = price["unit_amount"] * quantity
        pricing = {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        }
    if amount is None:
        raise Refusal("You must pass either `amount` or `pricing`.", code="parameter_missing")
    item = store.add(
        "invoiceitem",
        amount=amount,
        currency=params.get("currency", "eur"),
        customer=params["customer"],
        date=now,
        description=params.get("description"),
        discountable=amount > 0,
        discounts=[],
        metadata=merged(None, params.get("metadata")),
        period={"end": now, "start": now},
        pricing=pricing,
        proration=False,
        quantity=quantity,
        quantity_decimal=str(quantity),
        tax_rates=[],
    )
    store.emit("invoiceitem.created", item)
    return item


def waiting(store: Store, customer: str, subscription: Json, invoice: str) -> list[Json]:
    """Return the lines of waiting items, and put these items on this invoice."""
    found = store.all("invoiceitem", customer=customer, invoice=None)
    for item in found:
        item["invoice"] = invoice
    return [line_of(store, item, subscription) for item in found]


def line_of(store: Store, item: Json, subscription: Json) -> Json:
    details = {
        "invoice_item": item["id"],
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": subscription["id"],
    }
    return make(
        "line_item",
        id=store.new_id("line_item"),
        amount=item["amount"],
        currency=item["currency"],
        description=item["description"],
        discountable=item["discountable"],
        discounts=[],
        metadata=dict(item["metadata"]),
        parent={
            "invoice_item_details": details,
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
        period=dict(item["period"]),
        pretax_credit_amounts=[],
        pricing=item["pricing"],
        quantity=item["quantity"],
        subscription=subscription["id"],
        subtotal=item["amount"],
        taxes=[],
    )


@route("GET", "/v1/invoiceitems/{id}", "InvoiceItemRetrieveParams")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.get("invoiceitem", identifier)

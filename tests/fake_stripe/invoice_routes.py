"""Serves invoices and their payments."""

from tests.fake_stripe import invoices, payment_methods, payments
from tests.fake_stripe.listing import page, search
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, Refusal, unsupported


@route(
    "GET",
    "/v1/invoices",
    "InvoiceListParams",
    f"{PAGE} created customer status subscription collection_method",
)
def list_(store: Store, params: Json) -> Json:
    fields = {name: params[name] for name in ("customer", "status", "collection_method") if name in params}
    rows = store.all("invoice", **fields)
    if wanted := params.get("subscription"):
        rows = [row for row in rows if row["parent"]["subscription_details"]["subscription"] == wanted]
    return page(rows, params, "/v1/invoices")


@route("GET", "/v1/invoices/search", "InvoiceSearchParams", "query limit page")
def search_(store: Store, params: Json) -> Json:
    return search(store, "invoice", params, "/v1/invoices/search")


@route("GET", "/v1/invoices/{id}", "InvoiceRetrieveParams")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.get("invoice", identifier)


@route("GET", "/v1/invoices/{id}/lines", "InvoiceLineItemListParams", PAGE)
def lines(store: Store, params: Json, identifier: str) -> Json:
    """Return the lines in the invoice's order, not newest first."""
    rows = store.get("invoice", identifier)["lines"]["data"]
    return page(list(reversed(rows)), params, f"/v1/invoices/{identifier}/lines")


@route("POST", "/v1/invoices/{id}", "InvoiceUpdateParams", "metadata description auto_advance")
def update(store: Store, params: Json, identifier: str) -> Json:
    invoice = store.get("invoice", identifier)
    if "metadata" in params:
        params["metadata"] = merged(invoice["metadata"], params["metadata"])
    store.change(invoice, "invoice.updated", **params)
    return invoice


@route("POST", "/v1/invoices/{id}/finalize", "InvoiceFinalizeInvoiceParams")
def finalize(store: Store, params: Json, identifier: str) -> Json:
    invoice = store.get("invoice", identifier)
    if invoice["status"] != "draft":
        raise Refusal("This invoice is already finalized.", code="invoice_not_editable")
    invoices.finalize(store, invoice)
    return invoice


@route("POST", "/v1/invoices/{id}/pay", "InvoicePayParams", "payment_method off_session paid_out_of_band")
def pay(store: Store, params: Json, identifier: str) -> Json:
    """Pay an invoice; a decline is a 402, and the invoice stays open."""
    invoice = store.get("invoice", identifier)
    if invoice["status"] == "draft":
        invoices.finalize(store, invoice)
    if invoice["status"] not in invoices.UNPAID:
        raise Refusal("Invoice is already paid", code="invoice_already_paid")
    if params.get("paid_out_of_band"):
        invoices.pay_outside(store, invoice)
        return invoice
    method = chosen_method(store, params)
    if method is None and invoices.default_method(store, invoice) is None:
        raise no_method()
    invoices.attempt(store, invoice, payment_method=method)
    intent = invoices.intent_of(store, invoice)
    is_waiting = intent is not None and intent["status"] == "processing"
    if invoice["status"] in invoices.UNPAID and not is_waiting:
        raise unpaid(store, invoice)
    return invoice


def chosen_method(store: Store, params: Json) -> str | None:
    if "payment_method" not in params:
        return None
    identifier: str = payment_methods.resolve(store, params["payment_method"], param="payment_method")["id"]
    return identifier


def no_method() -> Refusal:
    return Refusal(
        "This customer has no attached payment source or default payment method. Please consider adding a default "
        "payment method.",
        code="resource_missing",
    )


def unpaid(store: Store, invoice: Json) -> Refusal:
    intent = invoices.intent_of(store, invoice)
    assert intent is not None
    if intent["status"] == "requires_action":
        return requires_action(intent)
    return payments.refused(intent)


def requires_action(intent: Json) -> Refusal:
    return Refusal(
        "Payment for this subscription requires additional user action before it can be completed successfully.",
        status=402,
        type="card_error",
        code="invoice_payment_intent_requires_action",
        payment_intent=intent,
    )


@route("POST", "/v1/invoices/{id}/attach_payment", "InvoiceAttachPaymentParams", "payment_intent")
def attach_payment(store: Store, params: Json, identifier: str) -> Json:
    """Count a payment intent towards an open invoice, which is paid once nothing remains
    (https://docs.stripe.com/invoicing/partial-payments).
    """
    invoice = store.get("invoice", identifier)
    if invoice["status"] != "open":
        raise Refusal("You can only attach a payment to an open invoice.", param="invoice")
    intent = store.get("payment_intent", params["payment_intent"], param="payment_intent")
    if intent["status"] != "succeeded" or intent["amount"] > invoice["amount_remaining"]:
        raise unsupported("attaching what is not paid yet, or more than remains", "payment_intent")
    invoices.attach(store, invoice, intent)
    return invoice


@route("POST", "/v1/invoices/{id}/void", "InvoiceVoidInvoiceParams")
def void(store: Store, params: Json, identifier: str) -> Json:
    return close(store, identifier, "void")


@route("POST", "/v1/invoices/{id}/mark_uncollectible", "InvoiceMarkUncollectibleParams")
def mark_uncollectible(store: Store, params: Json, identifier: str) -> Json:
    return close(store, identifier, "uncollectible")


def close(store: Store, identifier: str, status: str) -> Json:
    invoice = store.get("invoice", identifier)
    if invoice["status"] not in invoices.UNPAID:
        raise Refusal(f"You can only do this with an open invoice; it is {invoice['status']}.")
    invoices.void(store, invoice, status)
    return invoice


@route("GET", "/v1/invoice_payments", "InvoicePaymentListParams", f"{PAGE} created invoice payment status")
def list_payments(store: Store, params: Json) -> Json:
    fields = {name: params[name] for name in ("invoice", "status") if name in params}
    rows = store.all("invoice_payment", **fields)
    if wanted := params.get("payment", {}).get("payment_intent"):
        rows = [row for row in rows if row["payment"]["payment_intent"] == wanted]
    return page(rows, params, "/v1/invoice_payments")


@route("GET", "/v1/invoice_payments/{id}", "InvoicePaymentRetrieveParams")
def retrieve_payment(store: Store, params: Json, identifier: str) -> Json:
    return store.get("invoice_payment", identifier)

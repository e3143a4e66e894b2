"""Customers."""

from tests.fake_stripe.expansion import includes
from tests.fake_stripe.kinds import listed
from tests.fake_stripe.listing import page, search
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, missing

FIELDS = "email name description phone metadata invoice_settings address preferred_locales"


@route("POST", "/v1/customers", "CustomerCreateParams", FIELDS + " payment_method")
def create(store: Store, params: Json) -> Json:
    from tests.fake_stripe import payment_methods

    payment_method = params.pop("payment_method", None)
    customer = store.add(
        "customer",
        **starting_values(),
        **{
            name: value or None
            for name, value in params.items()
            if name not in {"metadata", "invoice_settings"}
        },
        metadata=merged(None, params.get("metadata")),
    )
    customer["invoice_prefix"] = customer["id"][-8:].upper()
    try:
        if payment_method:
            payment_methods.attach(store, {"customer": customer["id"]}, payment_method)
        apply_invoice_settings(store, customer, params.get("invoice_settings"))
    except Exception:
        del store.tables["customer"][customer["id"]]
        raise
    store.emit("customer.created", customer)
    return customer


def starting_values() -> Json:
    settings = {
        "custom_fields": None,
        "default_payment_method": None,
        "footer": None,
        "rendering_options": None,
    }
    return {
        "balance": 0,
        "delinquent": False,
        "invoice_settings": settings,
        "next_invoice_sequence": 1,
        "preferred_locales": [],
        "tax_exempt": "none",
    }


def apply_invoice_settings(store: Store, customer: Json, given: Json | None) -> None:
    if not given:
        return
    if default := given.get("default_payment_method"):
        method = store.get("payment_method", default, param="invoice_settings[default_payment_method]")
        if method["customer"] != customer["id"]:
            raise missing(
                "payment_method", default, param="invoice_settings[default_payment_method]", status=400
            )
    customer["invoice_settings"] = {
        **customer["invoice_settings"],
        **{name: value or None for name, value in given.items()},
    }


@route("GET", "/v1/customers", "CustomerListParams", PAGE + " created email")
def list_(store: Store, params: Json) -> Json:
    fields = {"email": params["email"]} if "email" in params else {}
    return page(store.all("customer", **fields), params, "/v1/customers")


@route("GET", "/v1/customers/search", "CustomerSearchParams", "query limit page")
def search_(store: Store, params: Json) -> Json:
    return search(store, "customer", params, "/v1/customers/search")


@route("GET", "/v1/customers/{id}", "CustomerRetrieveParams")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.deleted.get(identifier) or store.get("customer", identifier)


@route("POST", "/v1/customers/{id}", "CustomerUpdateParams", FIELDS + " balance")
def update(store: Store, params: Json, identifier: str) -> Json:
    customer = store.get("customer", identifier)
    before = dict(customer)
    apply_invoice_settings(store, customer, params.pop("invoice_settings", None))
    if "metadata" in params:
        customer["metadata"] = merged(customer["metadata"], params.pop("metadata"))
    customer.update({name: None if value == "" else value for name, value in params.items()})
    previous = {name: value for name, value in before.items() if customer[name] != value}
    if previous:
        store.emit("customer.updated", customer, previous)
    return customer


@route("DELETE", "/v1/customers/{id}", "CustomerDeleteParams")
def delete(store: Store, params: Json, identifier: str) -> Json:
    """Cancel the subscriptions and detach the cards, as Stripe does; the payments remain."""
    from tests.fake_stripe import cancellation, payment_methods

    customer = store.get("customer", identifier)
    for subscription in store.all("subscription", customer=identifier):
        if subscription["status"] not in {"canceled", "incomplete_expired"}:
            cancellation.end(store, subscription, reason="cancellation_requested")
    for method in store.all("payment_method", customer=identifier):
        payment_methods.detach(store, {}, method["id"])
    del store.tables["customer"][identifier]
    store.deleted[identifier] = {"id": identifier, "object": "customer", "deleted": True}
    store.emit("customer.deleted", customer)
    return store.deleted[identifier]


@includes("customer", "subscriptions")
def subscriptions_of(store: Store, customer: Json) -> Json:
    live = [one for one in store.all("subscription", customer=customer["id"]) if one["status"] != "canceled"]
    return listed(live, f"/v1/customers/{customer['id']}/subscriptions", total_count=len(live))


@includes("customer", "sources")
def sources_of(store: Store, customer: Json) -> Json:
    """Return an empty list: cards are payment methods."""
    return listed([], f"/v1/customers/{customer['id']}/sources", total_count=0)


@includes("customer", "tax_ids")
def tax_ids_of(store: Store, customer: Json) -> Json:
    return listed([], f"/v1/customers/{customer['id']}/tax_ids", total_count=0)

"""Products and prices, and the catalogue that development starts with."""

from decimal import Decimal
from typing import Any

from tests.fake_stripe.listing import page, search
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, Refusal

PRODUCT_FIELDS = "name active description metadata images url unit_label statement_descriptor shippable"

# (look-up key, product name, cents, interval, what `manage.py sync_plans` reads in the metadata)
SEEDED: list[tuple[str, str, int, str | None, dict[str, str]]] = [
    ("pack_small", "Small pack of credits", 500, None, {"credits": "500"}),
    ("pack_large", "Large pack of credits", 2000, None, {"credits": "2200"}),
    ("sub_basic", "Basic subscription", 900, "month", {"credits": "1000"}),
    (
        "sub_pro",
        "Pro subscription",
        2900,
        "month",
        {"credits": "4000", "trial_days": "14", "trial_credits": "100"},
    ),
]


def seed(store: Store) -> None:
    """Add the catalogue with fixed ids (`price_pack_small`, ...) that plans can name; without events, as if made long
    ago.
    """
    for code, name, amount, interval, metadata in SEEDED:
        product = add_product(store, id=f"prod_{code}", name=name)
        recurring = recurring_values({"interval": interval}) if interval else None
        price = add_price(
            store,
            product,
            id=f"price_{code}",
            unit_amount=amount,
            currency="eur",
            recurring=recurring,
            lookup_key=code,
            metadata=dict(metadata),
        )
        product["default_price"] = price["id"]


def add_product(store: Store, **values: Any) -> Json:
    defaults = {
        "active": True,
        "images": [],
        "marketing_features": [],
        "metadata": {},
        "type": "service",
        "updated": store.now(),
    }
    return store.add("product", **{**defaults, **values})


def add_price(store: Store, product: Json, *, unit_amount: int | None, **values: Any) -> Json:
    kind = "recurring" if values.get("recurring") else "one_time"
    defaults = {"active": True, "billing_scheme": "per_unit", "metadata": {}, "tax_behavior": "unspecified"}
    amounts = {
        "unit_amount": unit_amount,
        "unit_amount_decimal": None if unit_amount is None else str(unit_amount),
    }
    return store.add("price", **{**defaults, **amounts, **values}, product=product["id"], type=kind)


def recurring_values(given: Json) -> Json:
    defaults = {"interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed"}
    return {**defaults, **given}


def plan_of(price: Json) -> Json:
    """Return the price in its older form, which subscription items still carry as well."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": dict(price["metadata"]),
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": recurring["trial_period_days"],
        "usage_type": recurring["usage_type"],
    }


@route("POST", "/v1/products", "ProductCreateParams", f"id {PRODUCT_FIELDS}")
def create_product(store: Store, params: Json) -> Json:
    if params.get("id") in store.tables["product"]:
        raise Refusal("Product already exists.", code="resource_already_exists", param="id")
    product = add_product(store, **{**params, "metadata": merged(None, params.get("metadata"))})
    store.emit("product.created", product)
    return product


@route("POST", "/v1/products/{id}", "ProductUpdateParams", f"{PRODUCT_FIELDS} default_price")
def update_product(store: Store, params: Json, identifier: str) -> Json:
    product = store.get("product", identifier)
    if "default_price" in params:
        store.get("price", params["default_price"], param="default_price")
    if "metadata" in params:
        params["metadata"] = merged(product["metadata"], params["metadata"])
    store.change(product, "product.updated", **params)
    return product


@route("GET", "/v1/products", "ProductListParams", f"{PAGE} active created")
def list_products(store: Store, params: Json) -> Json:
    fields = {"active": params["active"]} if "active" in params else {}
    return page(store.all("product", **fields), params, "/v1/products")


@route("GET", "/v1/products/search", "ProductSearchParams", "query limit page")
def search_products(store: Store, params: Json) -> Json:
    return search(store, "product", params, "/v1/products/search")


@route("GET", "/v1/products/{id}", "ProductRetrieveParams")
def retrieve_product(store: Store, params: Json, identifier: str) -> Json:
    return store.get("product", identifier)


@route("GET", "/v1/products/{id}/features", "ProductListFeaturesParams", PAGE)
def list_features(store: Store, params: Json, identifier: str) -> Json:
    """Return an empty list: entitlements are not implemented. dj-stripe requests them with each product."""
    store.get("product", identifier)
    return page([], params, f"/v1/products/{identifier}/features")


@route(
    "POST",
    "/v1/prices",
    "PriceCreateParams",
    "currency unit_amount unit_amount_decimal recurring product product_data metadata nickname lookup_key "
    "active tax_behavior",
)
def create_price(store: Store, params: Json) -> Json:
    if "product_data" in params:
        product = add_product(store, **params.pop("product_data"))
        store.emit("product.created", product)
    elif "product" in params:
        product = store.get("product", params["product"], param="product")
    else:
        raise Refusal("You must specify either `product` or `product_data`.", code="parameter_missing")
    params.pop("product", None)
    price = add_price(
        store,
        product,
        unit_amount=amount_of(params),
        recurring=recurring_values(params.pop("recurring")) if "recurring" in params else None,
        **{**params, "metadata": merged(None, params.get("metadata"))},
    )
    store.emit("price.created", price)
    return price


def amount_of(params: Json) -> int:
    exact: Decimal | None = params.pop("unit_amount_decimal", None)
    amount = params.pop("unit_amount", exact)
    if amount is None or amount != int(amount) or amount < 0:
        raise Refusal("Invalid unit_amount.", param="unit_amount", code="parameter_missing")
    return int(amount)


@route("POST", "/v1/prices/{id}", "PriceUpdateParams", "active metadata nickname lookup_key tax_behavior")
def update_price(store: Store, params: Json, identifier: str) -> Json:
    """Change a price, but never its amount: that takes another price."""
    price = store.get("price", identifier)
    if "metadata" in params:
        params["metadata"] = merged(price["metadata"], params["metadata"])
    store.change(price, "price.updated", **params)
    return price


@route("GET", "/v1/prices", "PriceListParams", f"{PAGE} active created product type lookup_keys currency")
def list_prices(store: Store, params: Json) -> Json:
    wanted = {name: params[name] for name in ("active", "product", "type", "currency") if name in params}
    rows = store.all("price", **wanted)
    if "lookup_keys" in params:
        rows = [row for row in rows if row["lookup_key"] in params["lookup_keys"]]
    return page(rows, params, "/v1/prices")


@route("GET", "/v1/prices/search", "PriceSearchParams", "query limit page")
def search_prices(store: Store, params: Json) -> Json:
    return search(store, "price", params, "/v1/prices/search")


@route("GET", "/v1/prices/{id}", "PriceRetrieveParams")
def retrieve_price(store: Store, params: Json, identifier: str) -> Json:
    return store.get("price", identifier)

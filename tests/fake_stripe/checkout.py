"""Checkout sessions: created by the API, paid on the hosted page or by the control API, expired by time."""

import secrets

from tests.fake_stripe import discounts
from tests.fake_stripe.expansion import includes
from tests.fake_stripe.kinds import listed, make
from tests.fake_stripe.listing import page
from tests.fake_stripe.routing import PAGE, route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, Refusal, unsupported

LIFETIME = 24 * 3600
SHORTEST = 30 * 60


@route(
    "POST",
    "/v1/checkout/sessions",
    "checkout.SessionCreateParams",
    "mode customer customer_email customer_creation client_reference_id line_items success_url cancel_url metadata "
    "expires_at payment_intent_data subscription_data setup_intent_data payment_method_collection "
    "payment_method_types currency locale discounts automatic_tax",
)
def create(store: Store, params: Json) -> Json:
    check(store, params)
    identifier = store.new_id("checkout.session")
    lines = [line_item(store, one) for one in params.get("line_items", [])]
    coupon = discounts.chosen(store, params)
    reprice(store, lines, coupon, taxed=params.get("automatic_tax", {}).get("enabled", False))
    total = sum(line["amount_total"] for line in lines) if lines else None
    mode = params["mode"]
    trial = bool(params.get("subscription_data", {}).get("trial_period_days"))
    due = 0 if trial else total
    session = store.add(
        "checkout.session",
        id=identifier,
        **blank_values(),
        amount_subtotal=due,
        amount_total=due,
        cancel_url=params.get("cancel_url"),
        client_reference_id=params.get("client_reference_id"),
        currency=lines[0]["currency"] if lines else params.get("currency"),
        customer=params.get("customer"),
        customer_creation=None if params.get("customer") else params.get("customer_creation", "if_required"),
        customer_email=params.get("customer_email"),
        expires_at=params.get("expires_at", store.now() + LIFETIME),
        locale=params.get("locale"),
        metadata=merged(None, params.get("metadata")),
        mode=mode,
        payment_method_collection="always" if mode == "subscription" else "if_required",
        payment_status="no_payment_required" if mode == "setup" else "unpaid",
        success_url=params["success_url"],
        url=f"{store.public_url}/c/pay/{identifier}#{secrets.token_urlsafe(12)}",
    )
    store.private[identifier] = {"params": params, "lines": lines, "coupon": coupon}
    return session


def blank_values() -> Json:
    return {
        "adaptive_pricing": {"enabled": False},
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "custom_fields": [],
        "custom_text": dict.fromkeys(
            ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
        ),
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "status": "open",
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
    }


def check(store: Store, params: Json) -> None:
    required = ["mode", "success_url", *([] if params.get("mode") == "setup" else ["line_items"])]
    for name in required:
        if not params.get(name):
            raise Refusal(f"Missing required param: {name}.", code="parameter_missing", param=name)
    for name in ("success_url", "cancel_url"):
        if not params.get(name, "https:").startswith(("https:", "http:")):
            raise Refusal("Not a valid URL", param=name, code="url_invalid")
    if "customer" in params:
        store.get("customer", params["customer"], param="customer")
    check_data(params)
    check_expiry(params.get("expires_at", store.now() + LIFETIME) - store.now())


def check_expiry(seconds: int) -> None:
    if not SHORTEST <= seconds + 5 <= LIFETIME + 10:
        raise Refusal(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
            param="expires_at",
        )


def check_data(params: Json) -> None:
    """Refuse `..._data` of another mode, and fields in it that the fake does not implement."""
    known = {
        "payment_intent_data": (
            "payment",
            {"metadata", "setup_future_usage", "description", "capture_method"},
        ),
        "subscription_data": (
            "subscription",
            {"metadata", "trial_period_days", "trial_settings", "description"},
        ),
        "setup_intent_data": ("setup", {"metadata", "description"}),
    }
    if params.get("payment_method_collection", "always") != "always":
        raise unsupported("a checkout without a card", "payment_method_collection")
    for name, (mode, supported) in known.items():
        if name in params and params["mode"] != mode:
            raise Refusal(f"You can not pass `{name}` in `{params['mode']}` mode.", param=name)
        for field in params.get(name, {}):
            if field not in supported:
                raise unsupported(f"{name}[{field}]", f"{name}[{field}]")


def line_item(store: Store, given: Json) -> Json:
    for name in given:
        if name not in {"price", "quantity"}:
            raise unsupported(f"line_items[{name}]", f"line_items[{name}]")
    price = store.get("price", given.get("price"), param="line_items[0][price]")
    if not price["active"]:
        message = "The price specified is inactive. This field only accepts active prices."
        raise Refusal(message, param="line_items[0][price]", code="price_inactive")
    total = price["unit_amount"] * given.get("quantity", 1)
    return make(
        "item",
        id=store.new_id("item"),
        amount_discount=0,
        amount_subtotal=total,
        amount_tax=0,
        amount_total=total,
        currency=price["currency"],
        description=store.get("product", price["product"])["name"],
        metadata={},
        price=price,
        quantity=given.get("quantity", 1),
    )


def reprice(store: Store, lines: list[Json], coupon: Json | None, *, taxed: bool) -> None:
    taken = discounts.off(coupon, [line["amount_subtotal"] for line in lines])
    for line, off in zip(lines, taken, strict=True):
        added = discounts.tax(store, line["amount_subtotal"] - off, enabled=taxed)
        line.update(amount_discount=off, amount_tax=added)
        line["amount_total"] = line["amount_subtotal"] - off + added


@includes("checkout.session", "line_items")
def line_items_of(store: Store, session: Json) -> Json:
    return listed(store.private[session["id"]]["lines"], f"/v1/checkout/sessions/{session['id']}/line_items")


@includes("", "breakdown")
def breakdown(store: Store, total_details: Json) -> Json:
    """Return the breakdown of a session's `total_details`, which is not a separate object."""
    return {"discounts": [], "taxes": []}


@route("GET", "/v1/checkout/sessions/{id}/line_items", "checkout.SessionLineItemListParams", PAGE)
def list_line_items(store: Store, params: Json, identifier: str) -> Json:
    session = store.get("checkout.session", identifier)
    return page(
        line_items_of(store, session)["data"], params, f"/v1/checkout/sessions/{identifier}/line_items"
    )


@route(
    "GET",
    "/v1/checkout/sessions",
    "checkout.SessionListParams",
    f"{PAGE} created customer payment_intent subscription status",
)
def list_(store: Store, params: Json) -> Json:
    names = ("customer", "payment_intent", "subscription", "status")
    fields = {name: params[name] for name in names if name in params}
    return page(store.all("checkout.session", **fields), params, "/v1/checkout/sessions")


@route("GET", "/v1/checkout/sessions/{id}", "checkout.SessionRetrieveParams")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.get("checkout.session", identifier)


@route("POST", "/v1/checkout/sessions/{id}/expire", "checkout.SessionExpireParams")
def expire_now(store: Store, params: Json, identifier: str) -> Json:
    session = store.get("checkout.session", identifier)
    if session["status"] != "open":
        message = (
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status '
            f"of {session['status']}."
        )
        raise Refusal(message)
    expire(store, session)
    return session


def expire(store: Store, session: Json) -> None:
    session.update(status="expired", url=None)
    store.emit("checkout.session.expired", session)

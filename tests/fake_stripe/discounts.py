"""Coupons, and the tax on top: both change a line's price.

A coupon takes its share of each line it applies to, before tax (https://docs.stripe.com/billing/subscriptions/coupons);
tax is exclusive, at the rate of the setting `tax_percent`.
"""

from tests.fake_stripe.expansion import includes
from tests.fake_stripe.routing import route
from tests.fake_stripe.store import Store, merged
from tests.fake_stripe.wire import Json, unsupported


@route(
    "POST",
    "/v1/coupons",
    "CouponCreateParams",
    "id percent_off amount_off currency duration duration_in_months name metadata",
)
def create(store: Store, params: Json) -> Json:
    """Create a coupon; `once`, the default, applies to one invoice."""
    values = {"duration": "once", **params, "metadata": merged(None, params.get("metadata"))}
    coupon = store.add("coupon", times_redeemed=0, valid=True, **values)
    store.emit("coupon.created", coupon)
    return coupon


def chosen(store: Store, params: Json) -> Json | None:
    """Return the request's only coupon, or None."""
    given = params.get("discounts") or []
    if not given:
        return None
    if len(given) > 1 or given[0].keys() != {"coupon"}:
        raise unsupported("more than one coupon, or another kind of discount", "discounts")
    found: Json = store.get("coupon", given[0]["coupon"], param="discounts[0][coupon]")
    found["times_redeemed"] += 1
    return found


def off(coupon: Json | None, amounts: list[int]) -> list[int]:
    """Return the discount on each amount."""
    if coupon is None:
        return [0] * len(amounts)
    if coupon["percent_off"]:
        return [round(max(0, amount) * coupon["percent_off"] / 100) for amount in amounts]
    left, taken = coupon["amount_off"], []
    for amount in amounts:
        taken.append(min(left, max(0, amount)))
        left -= taken[-1]
    return taken


def tax(store: Store, amount: int, *, enabled: bool) -> int:
    return round(amount * store.settings["tax_percent"] / 100) if enabled else 0


def apply(store: Store, lines: list[Json], coupon: Json | None, *, taxed: bool) -> None:
    discountable = [line["amount"] if line["discountable"] else 0 for line in lines]
    for line, taken in zip(lines, off(coupon, discountable), strict=True):
        if coupon is not None:
            line["discount_amounts"] = [{"amount": taken, "discount": f"di_{coupon['id']}"}]
        if added := tax(store, line["amount"] - taken, enabled=taxed):
            line["taxes"] = [
                {
                    "amount": added,
                    "tax_behavior": "exclusive",
                    "tax_rate_details": {"tax_rate": "txr_1FakeStripe"},
                    "taxability_reason": "standard_rated",
                    "taxable_amount": line["amount"] - taken,
                    "type": "tax_rate_details",
                }
            ]


def total(line: Json) -> int:
    taken = sum(one["amount"] for one in line.get("discount_amounts") or [])
    whole: int = line["amount"] - taken + sum(one["amount"] for one in line["taxes"] or [])
    return whole


@includes("coupon", "applies_to")
def restriction(store: Store, coupon: Json) -> None:
    """Return None: coupons here apply to everything that is sold."""


@route("GET", "/v1/coupons/{id}", "CouponRetrieveParams")
def retrieve(store: Store, params: Json, identifier: str) -> Json:
    return store.get("coupon", identifier)

"""Set up at Stripe what it has to know about this service: the endpoint for events, the portal, products.

Can be run any number of times: what exists is brought up to date, and nothing is made twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings

from billing.stripe import gateway
from billing.stripe_sync import inbox

WEBHOOK = "/v1/billing/webhook"
# Needed only for the copies of Stripe's objects.
MIRRORED = (
    "customer.created",
    "customer.updated",
    "invoice.created",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.updated",
    "invoice.voided",
    "payment_method.attached",
    "payment_method.automatically_updated",
    "payment_method.detached",
    "payment_method.updated",
)
EVENTS = sorted({*inbox.HANDLERS, *MIRRORED})
# No changes of plan: Stripe would prorate them (docs/decisions/0022-billing-settlement.md).
PORTAL = {
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
    "subscription_update": {"enabled": False},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A product with one price. `interval` is empty for a pack."""

    code: str
    name: str
    credits: int
    amount: int
    currency: str
    interval: str = ""
    interval_count: int = 1


def set_up(*, host: str, products: list[Wanted]) -> Iterator[str]:
    """Yield what was done, and what has to be configured here. Raises what the gateway raises."""
    yield _endpoint(f"https://{host}{WEBHOOK}")
    yield _portal(f"https://{host}/")
    known = {price.get("lookup_key") for price in gateway.list_prices()}
    for product in products:
        if product.code in known:
            yield f"price     {product.code} already exists"
        else:
            yield f"price     {product.code} created: {_make(product)}"


def _endpoint(url: str) -> str:
    found = next((row for row in gateway.list_webhook_endpoints() if row["url"] == url), None)
    if found is not None:
        gateway.update_webhook_endpoint(endpoint=found["id"], events=EVENTS)
        return f"endpoint  {url} receives {len(EVENTS)} types of event; its secret is in the Dashboard"
    made = gateway.create_webhook_endpoint(url=url, events=EVENTS, version=settings.STRIPE_API_VERSION)
    return f"endpoint  {url} created: STRIPE_WEBHOOK_SECRETS={made['secret']}"


def _portal(return_url: str) -> str:
    found = next(iter(gateway.list_portal_configurations()), None)
    if found is not None:
        gateway.update_portal_configuration(configuration=found["id"], features=PORTAL)
        return f"portal    STRIPE_PORTAL_CONFIGURATION={found['id']} is up to date"
    made = gateway.create_portal_configuration(return_url=return_url, features=PORTAL)
    return f"portal    created: STRIPE_PORTAL_CONFIGURATION={made['id']}"


def _make(product: Wanted) -> str:
    recurring = {"interval": product.interval, "interval_count": product.interval_count}
    made = gateway.create_price(
        name=product.name,
        amount=product.amount,
        currency=product.currency,
        recurring=recurring if product.interval else None,
        lookup_key=product.code,
        metadata={"plan": product.code, "credits": str(product.credits)},
    )
    return str(made["id"])

"""dj-stripe's tables: copies of Stripe's objects, kept by its own event handlers. They decide nothing.

dj-stripe gets an event once it is settled. If it fails, it gets the event again later.
"""

import json
from collections.abc import Collection
from typing import Any

import structlog
from django.db.models import QuerySet
from djstripe.models import Customer, Event, Invoice, PaymentMethod, Session, Subscription
from djstripe.models.base import StripeModel

from billing.stripe import sdk, shapes
from billing.stripe.shapes import Object

log = structlog.get_logger("billing")
MODELS: dict[str, type[StripeModel]] = {
    "customer": Customer,
    "payment_method": PaymentMethod,
    "subscription": Subscription,
}

# For these, its handlers do worse than keep a stale copy: a price takes its subscriptions along (CASCADE), and a
# customer is deleted at Stripe once more.
DESTRUCTIVE = frozenset(
    {"price.deleted", "product.deleted", "plan.deleted", "customer.deleted", "coupon.deleted"}
)

UNREAD = (
    "subscription_schedule."  # copies of these are never read: a subscription is fetched with its schedule
)


def mirror(event: dict[str, Any]) -> None:
    """Let dj-stripe follow an event: it fetches the object again and stores it. Raises whatever dj-stripe raises."""
    if event["type"] in DESTRUCTIVE or event["type"].startswith(UNREAD):
        return
    if not Event.objects.filter(id=event["id"]).exists():
        # As its own `process`, but for the transaction around it: that would stay open while Stripe is asked.
        row = Event._create_from_stripe_object(event, save=False)  # noqa: SLF001
        row.invoke_webhook_handlers()
        row.save()
    if event["type"] == "payment_method.detached":  # it has its holder's name, and no customer to find it by
        PaymentMethod.objects.filter(id=event["data"]["object"]["id"]).update(stripe_data={}, metadata=None)


def keep_the_key_out_of_the_database() -> None:
    """Stop dj-stripe from looking up an object's owner account, for which it stores the API key in plain text.

    We have one account, and the column may be null.
    """
    StripeModel._find_owner_account = classmethod(_no_owner)  # noqa: SLF001


def keep_client_secrets_out_of_the_database() -> None:
    """Drop client secrets from dj-stripe's copies of what Stripe sent: they let anyone confirm someone's payment."""
    record = StripeModel._stripe_object_to_record.__func__  # noqa: SLF001

    def without_secrets(cls: type[StripeModel], data: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        plain = (
            json.loads(str(data)) if hasattr(data, "to_dict") else data
        )  # as dj-stripe itself does with the SDK's objects
        made: dict[str, Any] = record(cls, shapes.without_client_secrets(plain), *arguments, **options)
        return made

    StripeModel._stripe_object_to_record = classmethod(without_secrets)  # noqa: SLF001


def _no_owner(cls: type[StripeModel], data: Any, api_key: Any = None, livemode: Any = None) -> None:
    return None


# ---------------------------------------------------------------- what our own calls have returned


def store(item: Object) -> None:
    """Store what a call of ours has changed before its event arrives, so that the next read shows it.

    Never fails: the event does the same again.
    """
    try:
        MODELS[item["object"]].sync_from_stripe_data(sdk.as_sdk_has_it(_without_secrets(item)))
    except Exception as error:  # noqa: BLE001 -- whatever dj-stripe stumbles over, Stripe has done what was asked
        log.warning("mirror_not_fresh", object=item.get("object"), reason=type(error).__name__)


def _without_secrets(item: Object) -> Object:
    """Drop secrets, which are for the payer only, and reduce expanded objects to their ids."""
    kept = {name: value for name, value in item.items() if name != "client_secret"}
    for name in ("latest_invoice", "pending_setup_intent", "default_payment_method", "schedule"):
        if isinstance(kept.get(name), dict):
            kept[name] = kept[name]["id"]
    return kept


# ---------------------------------------------------------------- reading, also while Stripe is down


def payment_methods(customer: str) -> QuerySet[PaymentMethod]:
    rows: QuerySet[PaymentMethod] = PaymentMethod.objects.filter(customer__id=customer)
    return rows


def default_payment_method(customer: str) -> str:
    """Return the id of the customer's default payment method; a subscription may have one of its own."""
    found = Customer.objects.filter(id=customer).values_list("stripe_data", flat=True).first()
    settings = (found or {}).get("invoice_settings") or {}
    return shapes.id_of(settings.get("default_payment_method"))


def subscriptions(customer: str) -> QuerySet[Subscription]:
    rows: QuerySet[Subscription] = Subscription.objects.filter(customer__id=customer)
    return rows


def invoices(customers: Collection[str]) -> QuerySet[Invoice]:
    rows: QuerySet[Invoice] = Invoice.objects.filter(customer__id__in=customers)
    return rows


def checkout_session(session: str) -> Object | None:
    found: Object | None = Session.objects.filter(id=session).values_list("stripe_data", flat=True).first()
    return found

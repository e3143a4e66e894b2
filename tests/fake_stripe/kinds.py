"""The objects that Stripe returns, as the SDK's resource classes describe them."""

import typing
from functools import cache
from typing import Any

import stripe

from tests.fake_stripe.wire import Json

# The one that dj-stripe 2.11 names. The SDK is of the same release, whose versions only add to one another.
API_VERSION = "2026-05-27.dahlia"

KINDS: dict[str, type[stripe.StripeObject]] = {
    "account": stripe.Account,
    "balance_transaction": stripe.BalanceTransaction,
    "billing_portal.configuration": stripe.billing_portal.Configuration,
    "billing_portal.session": stripe.billing_portal.Session,
    "charge": stripe.Charge,
    "checkout.session": stripe.checkout.Session,
    "coupon": stripe.Coupon,
    "credit_note": stripe.CreditNote,
    "credit_note_line_item": stripe.CreditNoteLineItem,
    "customer": stripe.Customer,
    "customer_balance_transaction": stripe.CustomerBalanceTransaction,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "invoice": stripe.Invoice,
    "invoice_payment": stripe.InvoicePayment,
    "invoiceitem": stripe.InvoiceItem,
    "item": stripe.LineItem,
    "line_item": stripe.InvoiceLineItem,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "plan": stripe.Plan,
    "price": stripe.Price,
    "product": stripe.Product,
    "refund": stripe.Refund,
    "setup_intent": stripe.SetupIntent,
    "subscription": stripe.Subscription,
    "subscription_item": stripe.SubscriptionItem,
    "subscription_schedule": stripe.SubscriptionSchedule,
    "webhook_endpoint": stripe.WebhookEndpoint,
}

# Stripe sends these only when they are asked for by `expand`, or in situations the fake has none of.
LEFT_OUT: dict[str, set[str]] = {
    "account": {
        "external_accounts",
        "company",
        "individual",
        "future_requirements",
        "requirements",
        "groups",
    },
    "charge": {"refunds", "level3", "presentment_details", "authorization_code", "source"},
    "checkout.session": {"line_items", "optional_items", "presentment_details", "name_collection"},
    "coupon": {"applies_to", "currency_options"},
    "customer": {"sources", "subscriptions", "tax", "tax_ids", "cash_balance", "invoice_credit_balance"},
    "event": {"account", "context"},
    "invoice": {"payments", "confirmation_secret", "amount_paid_off_stripe"},
    "line_item": {"discount_amounts"},
    "payment_intent": {"presentment_details", "source", "hooks", "managed_payments"},
    "price": {"currency_options", "tiers"},
    "subscription": {"presentment_details", "managed_payments"},
    "webhook_endpoint": {"secret"},
}
SENT_OF_PAYMENT_METHODS = {"allow_redisplay", "customer", "customer_account", "metadata", "card"}


def annotations(resource: type) -> dict[str, Any]:
    """Return the types of an SDK class's fields by name."""
    return {
        name: kind
        for name, kind in resource.__annotations__.items()
        if not name.startswith("_") and "ClassVar" not in str(kind)
    }


def is_optional(kind: Any) -> bool:
    return typing.get_origin(kind) is typing.Union and type(None) in typing.get_args(kind)


@cache
def nullable(kind: str) -> frozenset[str]:
    """Return the fields that are null rather than absent in a fresh object."""
    optional = {name for name, type_ in annotations(KINDS[kind]).items() if is_optional(type_)}
    if kind == "payment_method":
        return frozenset(optional & SENT_OF_PAYMENT_METHODS)
    return frozenset(optional - LEFT_OUT.get(kind, set()) - {"deleted"})


def make(kind: str, **values: Any) -> Json:
    """Return a complete object. Unknown or missing fields are bugs of the fake, and raise TypeError at once."""
    known = annotations(KINDS[kind])
    built = dict.fromkeys(sorted(nullable(kind))) | {"object": kind, **values}
    unknown = built.keys() - known.keys()
    lacking = {name for name, type_ in known.items() if not is_optional(type_)} - built.keys()
    if "livemode" in lacking:
        built["livemode"] = False
    if unknown or lacking - {"livemode"}:
        raise TypeError(f"{kind}: unknown {sorted(unknown)}, missing {sorted(lacking - {'livemode'})}")
    return {"id": built.pop("id", None), **built}


def listed(data: list[Json], url: str, *, has_more: bool = False, **extra: Any) -> Json:
    return {"object": "list", "data": data, "has_more": has_more, "url": url, **extra}

"""A little of everything, so that there is one object of each kind to inspect."""

from typing import Any

import stripe

from tests.fake_stripe.control import Control
from tests.fake_stripe.kinds import API_VERSION


def client(fake_stripe: Control, **options: Any) -> stripe.StripeClient:
    """Return a client without retries, since tests count requests."""
    return stripe.StripeClient(
        "sk_test_1",
        stripe_version=API_VERSION,
        base_addresses={"api": fake_stripe.url},
        **{"max_network_retries": 0, **options},
    )


def everything(fake_stripe: Control) -> stripe.StripeClient:
    sdk = client(fake_stripe)
    customer = person(sdk)
    a_pack(sdk, fake_stripe, customer)
    subscriptions(sdk, fake_stripe, customer)
    rest(sdk, fake_stripe, customer)
    return sdk


def person(sdk: stripe.StripeClient) -> str:
    """Create a customer whose default card works, and return the id."""
    api = sdk.v1
    customer = api.customers.create({"email": "ada@example.com", "metadata": {"user_id": "7"}})
    card = api.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    api.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})
    return customer.id


def a_pack(sdk: stripe.StripeClient, fake_stripe: Control, customer: str) -> None:
    """Buy a pack: declined, paid, partly refunded; dispute another one."""
    api = sdk.v1
    for _ in range(2):
        session = api.checkout.sessions.create(
            {
                "mode": "payment",
                "customer": customer,
                "line_items": [{"price": "price_pack_large", "quantity": 1}],
                "success_url": "https://shop.test/",
            }
        )
        fake_stripe.pay_checkout(session.id, "pm_card_chargeDeclined")
        fake_stripe.pay_checkout(session.id)
    disputed, refunded = api.charges.list({"customer": customer, "limit": 3}).data[::2]
    api.refunds.create({"charge": refunded.id, "amount": 500, "reason": "requested_by_customer"})
    fake_stripe.close_dispute(fake_stripe.dispute(disputed.id)["id"], "won")


def subscriptions(sdk: stripe.StripeClient, fake_stripe: Control, customer: str) -> None:
    """Go through a trial that becomes paid, a change of price, a failing renewal, and a customer who has to confirm."""
    api = sdk.v1
    trial = api.subscriptions.create(
        {"customer": customer, "items": [{"price": "price_sub_pro"}], "trial_period_days": 14}
    )
    fake_stripe.advance(days=15)
    item = api.subscriptions.retrieve(trial.id)["items"].data[0]
    api.subscriptions.update(
        trial.id,
        {
            "items": [{"id": item.id, "price": "price_sub_basic"}],
            "proration_behavior": "always_invoice",
        },
    )
    api.subscriptions.update(trial.id, {"cancel_at_period_end": True})
    failing = api.subscriptions.create({"customer": customer, "items": [{"price": "price_sub_pro"}]})
    default = api.customers.retrieve(customer).invoice_settings
    assert default is not None
    fake_stripe.break_card(str(default.default_payment_method))
    fake_stripe.renew(failing.id)
    api.subscription_schedules.create({"from_subscription": failing.id})
    api.subscriptions.create(
        {
            "customer": customer,
            "items": [{"price": "price_sub_basic"}],
            "payment_behavior": "default_incomplete",
        }
    )


def rest(sdk: stripe.StripeClient, fake_stripe: Control, customer: str) -> None:
    api = sdk.v1
    an_invoice_with_everything(sdk, fake_stripe, customer)
    api.setup_intents.create({"customer": customer, "usage": "off_session"})
    api.setup_intents.create(
        {"customer": customer, "payment_method": "pm_card_threeDSecure2Required", "confirm": True}
    )
    api.billing_portal.sessions.create({"customer": customer, "return_url": "https://shop.test/"})
    api.webhook_endpoints.create({"url": "http://127.0.0.1:9/", "enabled_events": ["invoice.paid"]})


def an_invoice_with_everything(sdk: stripe.StripeClient, fake_stripe: Control, customer: str) -> None:
    """Make an invoice with a coupon, tax and a one-off item, sent and paid late, then partly credited to the
    balance.
    """
    api = sdk.v1
    fake_stripe.settings(tax_percent=20)
    coupon = api.coupons.create({"percent_off": 10, "duration": "once"})
    api.invoice_items.create(
        {"customer": customer, "amount": 700, "currency": "eur", "description": "Set-up"}
    )
    subscription = api.subscriptions.create(
        {
            "customer": customer,
            "items": [{"price": "price_sub_basic"}],
            "collection_method": "send_invoice",
            "days_until_due": 30,
            "discounts": [{"coupon": coupon.id}],
            "automatic_tax": {"enabled": True},
        }
    )
    card = api.payment_methods.attach("pm_card_mastercard", {"customer": customer})
    invoice = str(subscription.latest_invoice)
    api.invoices.pay(invoice, {"payment_method": card.id})
    api.credit_notes.create({"invoice": invoice, "amount": 300, "credit_amount": 100, "refund_amount": 200})
    fake_stripe.portal_end(subscription.id)

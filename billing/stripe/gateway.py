"""Every call that is made to Stripe, one function each.

Each takes and returns plain values, and raises as billing/stripe/sdk.py says. A function that creates something takes
an idempotency key: under the same key Stripe creates it once, however often the call is repeated.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from django.conf import settings

from billing.stripe.sdk import PAGE, ask, ask_all, ask_each, client
from billing.stripe.shapes import Object

Metadata = Mapping[str, str]


# ---------------------------------------------------------------- customers


def create_customer(*, email: str | None, metadata: Metadata, key: str) -> Object:
    return ask(client().v1.customers.create, email=email, metadata=metadata, key=key)


def update_customer_email(*, customer: str, email: str, metadata: Metadata | None = None) -> Object:
    return ask(client().v1.customers.update, customer, email=email, metadata=metadata)


def delete_customer(*, customer: str) -> Object:
    """Delete the customer, which also ends its subscriptions at once."""
    return ask(client().v1.customers.delete, customer)


def find_customers(*, user_id: str) -> list[Object]:
    """Find the user's customers by our metadata, for a creation whose answer was lost over a day ago."""
    query = f"metadata['user_id']:'{user_id}'"
    return list(ask(client().v1.customers.search, query=query)["data"])


def list_customers(*, email: str) -> list[Object]:
    """List customers by address: lists have at once what search finds after a minute."""
    return ask_all(client().v1.customers.list, email=email)


def retrieve_customer(customer: str) -> Object:
    return ask(client().v1.customers.retrieve, customer)


# ---------------------------------------------------------------- checkout, portal, cards


def create_checkout_session(
    *,
    customer: str,
    mode: str,
    price: str,
    quantity: int,
    success_url: str,
    cancel_url: str,
    metadata: Metadata,
    key: str,
    trial_days: int | None = None,
) -> Object:
    """Create a session; `mode` is payment or subscription. A trial asks for a card."""
    trial = {"trial_period_days": trial_days} if trial_days else {}
    return ask(
        client().v1.checkout.sessions.create,
        customer=customer,
        mode=mode,
        line_items=[{"price": price, "quantity": quantity}],
        success_url=success_url,
        cancel_url=cancel_url,
        metadata=metadata,
        payment_method_collection="always" if trial else None,
        subscription_data={"metadata": metadata, **trial} if mode == "subscription" else None,
        payment_intent_data={"metadata": metadata} if mode == "payment" else None,
        key=key,
    )


def retrieve_checkout_session(session: str) -> Object:
    """Retrieve a session with its line items."""
    return ask(client().v1.checkout.sessions.retrieve, session, expand=["line_items"])


def expire_checkout_session(session: str) -> Object:
    return ask(client().v1.checkout.sessions.expire, session)


def list_checkout_sessions(
    *,
    payment_intent: str | None = None,
    customer: str | None = None,
    status: str | None = None,
    created: Mapping[str, int] | None = None,
    most: int | None = PAGE,
) -> list[Object]:
    call = client().v1.checkout.sessions.list
    return ask_all(
        call, payment_intent=payment_intent, customer=customer, status=status, created=created, most=most
    )


def create_portal_session(*, customer: str, return_url: str, key: str) -> Object:
    return ask(
        client().v1.billing_portal.sessions.create,
        customer=customer,
        return_url=return_url,
        configuration=settings.STRIPE_PORTAL_CONFIGURATION or None,
        key=key,
    )


def create_setup_intent(*, customer: str, metadata: Metadata, key: str) -> Object:
    return ask(
        client().v1.setup_intents.create,
        customer=customer,
        usage="off_session",
        automatic_payment_methods={"enabled": True},
        metadata=metadata,
        key=key,
    )


def list_setup_intents(*, customer: str) -> list[Object]:
    """List setup intents, newest first."""
    return ask_all(client().v1.setup_intents.list, customer=customer)


def list_payment_methods(*, customer: str) -> list[Object]:
    return ask_all(client().v1.payment_methods.list, customer=customer)


def retrieve_payment_method(payment_method: str) -> Object:
    return ask(client().v1.payment_methods.retrieve, payment_method)


def detach_payment_method(payment_method: str) -> Object:
    return ask(client().v1.payment_methods.detach, payment_method)


def set_default_payment_method(*, customer: str, payment_method: str) -> Object:
    return ask(
        client().v1.customers.update, customer, invoice_settings={"default_payment_method": payment_method}
    )


def set_subscription_card(*, subscription: str, payment_method: str) -> Object:
    return ask(client().v1.subscriptions.update, subscription, default_payment_method=payment_method)


# ---------------------------------------------------------------- subscriptions


def create_subscription(
    *,
    customer: str,
    price: str,
    metadata: Metadata,
    key: str,
    payment_method: str | None = None,
    trial_days: int | None = None,
) -> Object:
    """Create a subscription. Its invoice has a confirmation secret if the first payment needs the user (3-D Secure)."""
    return ask(
        client().v1.subscriptions.create,
        customer=customer,
        items=[{"price": price}],
        metadata=metadata,
        default_payment_method=payment_method,
        trial_period_days=trial_days,
        payment_behavior="default_incomplete" if payment_method is None else "allow_incomplete",
        payment_settings={"save_default_payment_method": "on_subscription"},
        expand=["latest_invoice.confirmation_secret", "pending_setup_intent"],
        key=key,
    )


def retrieve_subscription(subscription: str) -> Object:
    return ask(
        client().v1.subscriptions.retrieve, subscription, expand=["default_payment_method", "schedule"]
    )


def retrieve_begun_subscription(subscription: str) -> Object:
    """Retrieve a subscription with what its outstanding payment still needs."""
    return ask(
        client().v1.subscriptions.retrieve,
        subscription,
        expand=[
            "latest_invoice.confirmation_secret",
            "latest_invoice.payments",
            "pending_setup_intent",
            "schedule",
        ],
    )


def list_subscriptions(*, customer: str) -> list[Object]:
    """List all subscriptions with their schedules, ended ones included, newest first."""
    call = client().v1.subscriptions.list
    return ask_all(call, customer=customer, status="all", expand=["data.schedule"])


def change_now(*, subscription: str, item: str, price: str, key: str) -> Object:
    """Begin a whole period at another price now, billed in full: the change comes with its payment, or not at all.

    Nothing is prorated (docs/decisions/0022-billing-settlement.md).
    """
    return ask(
        client().v1.subscriptions.update,
        subscription,
        items=[{"id": item, "price": price}],
        billing_cycle_anchor="now",
        proration_behavior="none",
        payment_behavior="pending_if_incomplete",
        key=key,
    )


def preview_change(*, subscription: str, item: str, price: str, now: bool) -> Object:
    """Return the invoice that a change would lead to, without making the change."""
    details = {"items": [{"id": item, "price": price}], "proration_behavior": "none"}
    anchor = {"billing_cycle_anchor": "now"} if now else {}
    call = client().v1.invoices.create_preview
    return ask(call, subscription=subscription, subscription_details={**details, **anchor})


def preview_next_invoice(*, subscription: str) -> Object:
    """Return what it will be charged next, with discounts, tax and balance."""
    return ask(client().v1.invoices.create_preview, subscription=subscription)


def create_schedule(*, subscription: str, key: str) -> Object:
    """Put a subscription under a schedule, whose only phase is the running period. Others take a second call."""
    return ask(client().v1.subscription_schedules.create, from_subscription=subscription, key=key)


def phase_schedule(*, schedule: str, phases: Sequence[Object], key: str) -> Object:
    """Set the phases, after which the schedule releases the subscription."""
    call = client().v1.subscription_schedules.update
    return ask(call, schedule, phases=list(phases), end_behavior="release", key=key)


def release_schedule(schedule: str) -> Object:
    """Release a subscription from its schedule; it continues as it is, with any planned end."""
    return ask(client().v1.subscription_schedules.release, schedule, preserve_cancel_date=True)


def set_price(*, subscription: str, item: str, price: str) -> Object:
    """Set another price, from the next invoice on. Nothing is prorated."""
    items = [{"id": item, "price": price}]
    return ask(client().v1.subscriptions.update, subscription, items=items, proration_behavior="none")


def end_trial(*, subscription: str, key: str) -> Object:
    """Begin the first paid period now. If its payment fails, nothing changes."""
    return ask(
        client().v1.subscriptions.update,
        subscription,
        trial_end="now",
        payment_behavior="error_if_incomplete",
        proration_behavior="none",
        key=key,
    )


def cancel_subscription(*, subscription: str) -> Object:
    """End a subscription at once."""
    return ask(client().v1.subscriptions.cancel, subscription)


def end_with_period(*, subscription: str) -> Object:
    return ask(client().v1.subscriptions.update, subscription, cancel_at_period_end=True)


def end_at(*, subscription: str, moment: int) -> Object:
    return ask(client().v1.subscriptions.update, subscription, cancel_at=moment)


def take_end_back(*, subscription: Object) -> Object:
    """Clear a planned end by the field that planned it: Stripe takes only one of the two in a request."""
    by_flag = subscription.get("cancel_at_period_end")
    planned = {"cancel_at_period_end": False} if by_flag else {"cancel_at": ""}
    return ask(client().v1.subscriptions.update, subscription["id"], **planned)


def pause_renewals(*, subscription: str, metadata: Metadata) -> Object:
    """Void whatever a subscription would collect from now on; its periods continue."""
    behavior = {"behavior": "void"}
    return ask(client().v1.subscriptions.update, subscription, pause_collection=behavior, metadata=metadata)


def collect_renewals(*, subscription: str, metadata: Metadata) -> Object:
    """Let a subscription collect again, from the next period on."""
    return ask(client().v1.subscriptions.update, subscription, pause_collection="", metadata=metadata)


# ---------------------------------------------------------------- what was paid


def retrieve_invoice(invoice: str) -> Object:
    """Retrieve an invoice with its payments."""
    return ask(client().v1.invoices.retrieve, invoice, expand=["payments"])


def pay_invoice(*, invoice: str, payment_method: str | None = None, key: str | None = None) -> Object:
    """Try to collect an open invoice, with this card or with the one that it would be charged to."""
    return ask(client().v1.invoices.pay, invoice, payment_method=payment_method, key=key)


def void_invoice(invoice: str) -> Object:
    return ask(client().v1.invoices.void_invoice, invoice)


def list_invoice_lines(invoice: str) -> list[Object]:
    """List all lines of an invoice, which itself carries only the first few."""
    return ask_all(partial(client().v1.invoices.line_items.list, invoice), most=None)


def list_invoices(
    *,
    customer: str | None = None,
    status: str | None = None,
    created: Mapping[str, int] | None = None,
    most: int | None = PAGE,
) -> list[Object]:
    call = client().v1.invoices.list
    return ask_all(call, customer=customer, status=status, created=created, most=most)


def invoices_paid_by(*, payment_intent: str) -> list[str]:
    """Return the ids of the invoices that a payment intent pays: usually at most one."""
    payment = {"type": "payment_intent", "payment_intent": payment_intent}
    return [row["invoice"] for row in ask_all(client().v1.invoice_payments.list, payment=payment)]


def list_credit_notes(*, invoice: str) -> list[Object]:
    return ask_all(client().v1.credit_notes.list, invoice=invoice)


def note_paid_back(*, invoice: str, amount: int, metadata: Metadata, key: str) -> Object:
    """Record on a paid invoice that this amount was given back outside Stripe."""
    call = client().v1.credit_notes.create
    return ask(call, invoice=invoice, amount=amount, out_of_band_amount=amount, metadata=metadata, key=key)


def list_balance_transactions(*, customer: str) -> list[Object]:
    """List the changes to the balance that pays a customer's next invoices, newest first."""
    call = partial(client().v1.customers.balance_transactions.list, customer)
    return ask_all(call, most=1000)


def retrieve_payment_intent(payment_intent: str) -> Object:
    """Retrieve a payment intent with its latest charge, which is the successful one if any succeeded."""
    return ask(client().v1.payment_intents.retrieve, payment_intent, expand=["latest_charge"])


def retrieve_charge(charge: str) -> Object:
    return ask(client().v1.charges.retrieve, charge)


def create_refund(*, payment_intent: str, amount: int | None, metadata: Metadata, key: str) -> Object:
    """Refund this amount of a payment, or all that is left of it."""
    return ask(
        client().v1.refunds.create,
        payment_intent=payment_intent,
        amount=amount,
        metadata=metadata,
        key=key,
    )


def list_refunds(*, payment_intent: str) -> list[Object]:
    return ask_all(client().v1.refunds.list, payment_intent=payment_intent)


def list_disputes(*, payment_intent: str) -> list[Object]:
    return ask_all(client().v1.disputes.list, payment_intent=payment_intent)


# ---------------------------------------------------------------- events and prices


def each_event(*, created: Mapping[str, int], types: Sequence[str] | None = None) -> Iterator[Object]:
    """Yield events, newest first; Stripe keeps them for 30 days."""
    return ask_each(client().v1.events.list, limit=PAGE, created=created, types=types)


def each_balance_transaction(*, created: Mapping[str, int]) -> Iterator[Object]:
    """Yield all movements of money, newest first, with what caused them: a charge, a refund, a dispute, a payout."""
    call = client().v1.balance_transactions.list
    return ask_each(call, limit=PAGE, created=created, expand=["data.source"])


def retrieve_price(price: str) -> Object:
    return ask(client().v1.prices.retrieve, price)


def list_prices() -> list[Object]:
    """List the active prices, with their products."""
    return ask_all(client().v1.prices.list, active=True, expand=["data.product"], most=1000)


# ---------------------------------------------------------------- setting Stripe up


def list_webhook_endpoints() -> list[Object]:
    return ask_all(client().v1.webhook_endpoints.list)


def create_webhook_endpoint(*, url: str, events: Sequence[str], version: str) -> Object:
    """Create an endpoint; only this answer has its secret."""
    call = client().v1.webhook_endpoints.create
    return ask(call, url=url, enabled_events=list(events), api_version=version)


def update_webhook_endpoint(*, endpoint: str, events: Sequence[str]) -> Object:
    return ask(client().v1.webhook_endpoints.update, endpoint, enabled_events=list(events))


def list_portal_configurations() -> list[Object]:
    return ask_all(client().v1.billing_portal.configurations.list, active=True)


def create_portal_configuration(*, return_url: str, features: Mapping[str, object]) -> Object:
    call = client().v1.billing_portal.configurations.create
    return ask(call, default_return_url=return_url, features=dict(features))


def update_portal_configuration(*, configuration: str, features: Mapping[str, object]) -> Object:
    return ask(client().v1.billing_portal.configurations.update, configuration, features=dict(features))


def create_price(
    *,
    name: str,
    amount: int,
    currency: str,
    recurring: Mapping[str, object] | None,
    lookup_key: str,
    metadata: Metadata,
) -> Object:
    """Create a price with a product of its own."""
    return ask(
        client().v1.prices.create,
        product_data={"name": name},
        unit_amount=amount,
        currency=currency,
        recurring=recurring,
        lookup_key=lookup_key,
        metadata=metadata,
    )

"""The only module that talks to Stripe, and the only one that knows its SDK.

Each function is one call (two where Stripe needs two), takes and gives plain values, and raises BillingUnavailable,
PaymentFailed, BillingRejected or StripeObjectMissing, with Stripe's error as the cause. What creates something takes an
idempotency key: under the same key Stripe makes it once, however often the call is repeated.

Calls inside `within(seconds)` share that time; a call alone has CALL_SECONDS. Nothing is retried here: the caller has
the key, and repeats.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import islice
from typing import Any, NoReturn

import stripe
import structlog
from django.conf import settings

from billing.errors import (
    BillingFailed,
    BillingRejected,
    BillingUnavailable,
    PaymentFailed,
    StripeObjectMissing,
)

CALL_SECONDS = 8.0  # a caller is to have its 503 within ten
CONNECT_SECONDS = 2.0
PAGE = 100

Object = dict[str, Any]
Metadata = Mapping[str, str]

log = structlog.get_logger("billing")
_deadline: ContextVar[float | None] = ContextVar("stripe_deadline", default=None)


# ---------------------------------------------------------------- time


@contextmanager
def within(seconds: float = CALL_SECONDS) -> Iterator[None]:
    """All calls inside take no longer than this together. Inside another `within` the nearer end counts."""
    outer = _deadline.get()
    end = time.monotonic() + seconds
    token = _deadline.set(end if outer is None else min(end, outer))
    try:
        yield
    finally:
        _deadline.reset(token)


def _seconds_left() -> float:
    end = _deadline.get()
    left = CALL_SECONDS if end is None else end - time.monotonic()
    if left <= 0:
        raise stripe.APIConnectionError("no time is left")  # type: ignore[no-untyped-call]
    return left


class BoundedClient(stripe.RequestsClient):
    """Stripe's HTTP client with an end: the time-out of a socket starts again with each byte, the deadline does not."""

    @property
    def _timeout(self) -> tuple[float, float]:
        left = _seconds_left()
        return min(CONNECT_SECONDS, left), left

    @_timeout.setter
    def _timeout(self, value: object) -> None:
        """What the base class sets once is asked for at each request instead."""

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Mapping[str, str]]:
        with within():
            raw, status, answered = self.request_stream(method, url, headers, post_data)
            try:
                body = b"".join(_pieces(raw))
            except stripe.StripeError:
                raise
            except Exception as error:
                raise stripe.APIConnectionError("cut off") from error  # type: ignore[no-untyped-call]
            return body, status, answered


def _pieces(raw: Any) -> Iterator[bytes]:
    while piece := raw.read1(65536, decode_content=True):
        _seconds_left()
        yield piece


# ---------------------------------------------------------------- the client


def is_configured() -> bool:
    return bool(settings.STRIPE_SECRET_KEY)


def configure() -> None:
    """The SDK's globals, which dj-stripe uses for what it fetches: same address, same version, same end."""
    stripe.default_http_client = _http_client()
    stripe.api_key = settings.STRIPE_SECRET_KEY or None
    stripe.api_version = settings.STRIPE_API_VERSION
    stripe.api_base = settings.STRIPE_API_BASE or stripe.DEFAULT_API_BASE
    stripe.max_network_retries = 0
    stripe.enable_telemetry = False
    _client_for.cache_clear()


@cache
def _http_client() -> BoundedClient:
    return BoundedClient()


def _after_fork() -> None:
    """A child must not talk over the connections of its parent."""
    if stripe.default_http_client is not None:
        _http_client.cache_clear()
        configure()


os.register_at_fork(after_in_child=_after_fork)


@cache
def _client_for(key: str, base: str, version: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        stripe_version=version,
        base_addresses={"api": base} if base else {},
        max_network_retries=0,
        http_client=_http_client(),
    )


def client() -> stripe.StripeClient:
    """Raises BillingUnavailable where no key is configured."""
    if not is_configured():
        raise BillingUnavailable("No payment provider is configured.")
    return _client_for(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, settings.STRIPE_API_VERSION)


@contextmanager
def _refusals() -> Iterator[None]:
    """Stripe's errors as ours (https://docs.stripe.com/api/errors)."""
    try:
        yield
    except stripe.StripeError as error:
        _refuse(error)


def _refuse(error: stripe.StripeError) -> NoReturn:
    log.info("stripe_error", kind=type(error).__name__, code=error.code, status=error.http_status)
    if isinstance(error, stripe.CardError):
        reason = getattr(error.error, "decline_code", None) or error.code
        raise PaymentFailed(decline_code=reason) from error
    if isinstance(error, stripe.IdempotencyError) and error.http_status == 409:
        raise BillingUnavailable from error  # the first try is still being carried out
    if isinstance(error, stripe.InvalidRequestError) and error.http_status == 402:
        raise PaymentFailed(decline_code=error.code) from error
    if isinstance(error, stripe.InvalidRequestError) and error.http_status == 404:
        raise StripeObjectMissing(reason=error.code) from error
    if isinstance(error, stripe.InvalidRequestError | stripe.IdempotencyError):
        raise BillingRejected(reason=error.code) from error
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        log.error("stripe_refuses_our_key", kind=type(error).__name__)
    if (error.http_status or 0) >= 500:
        raise BillingFailed from error
    raise BillingUnavailable from error


def _ask(call: Callable[..., Any], *path: str, key: str | None = None, **params: Any) -> Object:
    """One call. What is None is not sent. Gives Stripe's answer as plain values."""
    options = {"idempotency_key": key} if key is not None else {}
    sent = {name: value for name, value in params.items() if value is not None}
    with _refusals():
        return _plain(call(*path, params=sent, options=options))


def _ask_all(call: Callable[..., Any], *, most: int | None = PAGE, **params: Any) -> list[Object]:
    """A list, all pages of it up to `most`."""
    return list(islice(_ask_each(call, limit=min(PAGE, most or PAGE), **params), most))


def _ask_each(call: Callable[..., Any], **params: Any) -> Iterator[Object]:
    """All pages of a list, each asked for when the one before it was read."""
    sent = {name: value for name, value in params.items() if value is not None}
    while True:
        with _refusals():
            page = _plain(call(params=sent))
        yield from page["data"]
        if not page["has_more"] or not page["data"]:
            return
        sent["starting_after"] = page["data"][-1]["id"]


def _plain(answer: Any) -> Object:
    plain: Object = json.loads(str(answer))
    return plain


def as_sdk_has_it(item: Object) -> Any:
    """An object of the SDK's own, which is what dj-stripe takes."""
    return stripe.convert_to_stripe_object(item, api_key=stripe.api_key)


# ---------------------------------------------------------------- customers


def create_customer(*, email: str | None, metadata: Metadata, key: str) -> Object:
    return _ask(client().v1.customers.create, email=email, metadata=metadata, key=key)


def update_customer_email(*, customer: str, email: str) -> Object:
    return _ask(client().v1.customers.update, customer, email=email)


def delete_customer(*, customer: str) -> Object:
    """Also ends its subscriptions, at once."""
    return _ask(client().v1.customers.delete, customer)


def find_customers(*, user_id: str) -> list[Object]:
    """Those that we made for this user, by our metadata: for a creation whose answer was lost more than a day ago."""
    query = f"metadata['user_id']:'{user_id}'"
    return list(_ask(client().v1.customers.search, query=query)["data"])


def list_customers(*, email: str) -> list[Object]:
    """What search will know in a minute, lists know at once."""
    return _ask_all(client().v1.customers.list, email=email)


def retrieve_customer(customer: str) -> Object:
    return _ask(client().v1.customers.retrieve, customer)


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
    """`mode`: payment or subscription. A trial asks for a card."""
    trial = {"trial_period_days": trial_days} if trial_days else {}
    return _ask(
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
    """With its line items."""
    return _ask(client().v1.checkout.sessions.retrieve, session, expand=["line_items"])


def list_checkout_sessions(
    *,
    payment_intent: str | None = None,
    customer: str | None = None,
    created: Mapping[str, int] | None = None,
    most: int | None = PAGE,
) -> list[Object]:
    call = client().v1.checkout.sessions.list
    return _ask_all(call, payment_intent=payment_intent, customer=customer, created=created, most=most)


def create_portal_session(*, customer: str, return_url: str, key: str) -> Object:
    return _ask(client().v1.billing_portal.sessions.create, customer=customer, return_url=return_url, key=key)


def create_setup_intent(*, customer: str, metadata: Metadata, key: str) -> Object:
    return _ask(
        client().v1.setup_intents.create,
        customer=customer,
        usage="off_session",
        automatic_payment_methods={"enabled": True},
        metadata=metadata,
        key=key,
    )


def list_setup_intents(*, customer: str) -> list[Object]:
    """Newest first."""
    return _ask_all(client().v1.setup_intents.list, customer=customer)


def list_payment_methods(*, customer: str) -> list[Object]:
    return _ask_all(client().v1.payment_methods.list, customer=customer)


def retrieve_payment_method(payment_method: str) -> Object:
    return _ask(client().v1.payment_methods.retrieve, payment_method)


def detach_payment_method(payment_method: str) -> Object:
    return _ask(client().v1.payment_methods.detach, payment_method)


def set_default_payment_method(*, customer: str, payment_method: str) -> Object:
    return _ask(
        client().v1.customers.update, customer, invoice_settings={"default_payment_method": payment_method}
    )


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
    """Where the first payment needs the user (3-D Secure), the answer's invoice has a confirmation secret."""
    return _ask(
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
    return _ask(client().v1.subscriptions.retrieve, subscription, expand=["default_payment_method"])


def retrieve_begun_subscription(subscription: str) -> Object:
    """With what its first payment still needs."""
    return _ask(
        client().v1.subscriptions.retrieve,
        subscription,
        expand=["latest_invoice.confirmation_secret", "latest_invoice.payments", "pending_setup_intent"],
    )


def list_subscriptions(*, customer: str) -> list[Object]:
    """All, the ended ones included, newest first."""
    return _ask_all(client().v1.subscriptions.list, customer=customer, status="all")


def change_subscription(*, subscription: str, item: str, price: str, key: str) -> Object:
    """Moves the one item to another price, which counts from the next invoice on; another interval begins at once.

    Nothing is prorated: a period's credits are given whole when it begins, so who got the unused rest of its price back
    could go up before each renewal and down after it, and have the dear plan's credits for the cheap one's price.
    """
    return _ask(
        client().v1.subscriptions.update,
        subscription,
        items=[{"id": item, "price": price}],
        proration_behavior="none",
        key=key,
    )


def cancel_subscription(*, subscription: str) -> Object:
    """At once."""
    return _ask(client().v1.subscriptions.cancel, subscription)


def set_cancel_at_period_end(*, subscription: str, cancel: bool) -> Object:
    return _ask(client().v1.subscriptions.update, subscription, cancel_at_period_end=cancel)


# ---------------------------------------------------------------- what was paid


def retrieve_invoice(invoice: str) -> Object:
    """With its payments."""
    return _ask(client().v1.invoices.retrieve, invoice, expand=["payments"])


def list_invoice_lines(invoice: str) -> list[Object]:
    """All of them; the invoice itself carries the first few."""
    with _refusals():
        return list(_plain(client().v1.invoices.line_items.list(invoice, params={"limit": PAGE}))["data"])


def list_invoices(
    *, customer: str | None = None, created: Mapping[str, int] | None = None, most: int | None = PAGE
) -> list[Object]:
    return _ask_all(client().v1.invoices.list, customer=customer, created=created, most=most)


def invoices_paid_by(*, payment_intent: str) -> list[str]:
    """The ids of the invoices that a payment intent pays: at most one, mostly."""
    payment = {"type": "payment_intent", "payment_intent": payment_intent}
    return [row["invoice"] for row in _ask_all(client().v1.invoice_payments.list, payment=payment)]


def retrieve_payment_intent(payment_intent: str) -> Object:
    """With its latest charge: the one that succeeded, if any did."""
    return _ask(client().v1.payment_intents.retrieve, payment_intent, expand=["latest_charge"])


def retrieve_charge(charge: str) -> Object:
    return _ask(client().v1.charges.retrieve, charge)


def create_refund(*, payment_intent: str, amount: int | None, metadata: Metadata, key: str) -> Object:
    """All that is left of it, or this much."""
    return _ask(
        client().v1.refunds.create,
        payment_intent=payment_intent,
        amount=amount,
        metadata=metadata,
        key=key,
    )


def list_refunds(
    *, payment_intent: str | None = None, created: Mapping[str, int] | None = None, most: int | None = PAGE
) -> list[Object]:
    return _ask_all(client().v1.refunds.list, payment_intent=payment_intent, created=created, most=most)


def list_disputes(
    *, payment_intent: str | None = None, created: Mapping[str, int] | None = None, most: int | None = PAGE
) -> list[Object]:
    return _ask_all(client().v1.disputes.list, payment_intent=payment_intent, created=created, most=most)


# ---------------------------------------------------------------- events and prices


def each_event(*, created: Mapping[str, int]) -> Iterator[Object]:
    """Newest first; Stripe keeps 30 days."""
    return _ask_each(client().v1.events.list, limit=PAGE, created=created)


def list_prices() -> list[Object]:
    """The active ones, with their products."""
    return _ask_all(client().v1.prices.list, active=True, expand=["data.product"], most=1000)

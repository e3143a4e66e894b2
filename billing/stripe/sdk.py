"""Calls to Stripe: the only module that knows its SDK. The calls themselves are in billing/stripe/gateway.py.

Calls inside `within(seconds)` share that time; a single call has CALL_SECONDS. Nothing is retried here: the caller has
the key and repeats the call. Stripe's errors become BillingUnavailable, PaymentFailed, BillingRejected or
StripeObjectMissing, with the original as the cause.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import islice
from typing import Any, NoReturn

import stripe
import structlog
from django.conf import settings

from accounts.kit.problems import Problem, ServiceUnavailable
from accounts.kit.slots import Slots
from billing.errors import (
    BillingFailed,
    BillingRejected,
    BillingUnavailable,
    CustomerMissing,
    PaymentFailed,
    StripeObjectMissing,
)
from billing.stripe.shapes import Object

CALL_SECONDS = 8.0  # so that a caller gets its 503 within ten
CONNECT_SECONDS = 2.0
PAGE = 100

log = structlog.get_logger("billing")
_deadline: ContextVar[float | None] = ContextVar("stripe_deadline", default=None)


# ---------------------------------------------------------------- time


@contextmanager
def within(seconds: float = CALL_SECONDS) -> Iterator[None]:
    """Limit the time of all calls inside together. Inside another `within`, the earlier deadline counts."""
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
    """Stripe's HTTP client with a deadline: a socket's time-out starts again with each byte, the deadline does not.

    Its places are limited too, since each call holds a thread while Stripe does not respond. A call is refused if too
    many wait already, or if no place is free in time, so that the other threads can serve requests without Stripe.
    """

    def __init__(self) -> None:
        super().__init__()
        self._slots = Slots(
            running=settings.STRIPE_CONCURRENCY,
            waiting=settings.STRIPE_QUEUE,
            patience=settings.STRIPE_PATIENCE,
        )

    @contextmanager
    def _place(self) -> Iterator[None]:
        with ExitStack() as stack:
            try:
                stack.enter_context(self._slots.one())
            except ServiceUnavailable as error:
                raise stripe.APIConnectionError("too many wait for it") from error  # type: ignore[no-untyped-call]
            yield

    @property
    def _timeout(self) -> tuple[float, float]:
        left = _seconds_left()
        return min(CONNECT_SECONDS, left), left

    @_timeout.setter
    def _timeout(self, value: object) -> None:
        """Ignore what the base class sets once: it is computed for each request."""

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Mapping[str, str]]:
        with within(), self._place():
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
    """Set the SDK's globals, which dj-stripe uses for what it fetches: the same address, version and deadline."""
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
    """Replace the HTTP client: a child must not use its parent's connections."""
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
    """Return Stripe's client. Raises BillingUnavailable if no key is configured."""
    if not is_configured():
        raise BillingUnavailable("No payment provider is configured.")
    return _client_for(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, settings.STRIPE_API_VERSION)


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn Stripe's errors into ours (https://docs.stripe.com/api/errors)."""
    try:
        yield
    except stripe.StripeError as error:
        _refuse(error)


def _refuse(error: stripe.StripeError) -> NoReturn:
    log.info(
        "stripe_error",
        kind=type(error).__name__,
        code=error.code,
        status=error.http_status,
        param=getattr(error, "param", None),
        stripe_request=error.request_id,  # by which the Dashboard shows what was said
    )
    if isinstance(error, stripe.CardError):
        reason = getattr(error.error, "decline_code", None) or error.code
        raise PaymentFailed(decline_code=reason) from error
    if isinstance(error, stripe.IdempotencyError) and error.http_status == 409:
        raise BillingUnavailable from error  # the first attempt is still being carried out
    if isinstance(error, stripe.InvalidRequestError):
        raise _of_invalid(error) from error
    if isinstance(error, stripe.IdempotencyError):
        raise BillingRejected(reason=error.code) from error
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        log.error("stripe_refuses_our_key", kind=type(error).__name__)
    if (error.http_status or 0) >= 500:
        raise BillingFailed from error
    raise BillingUnavailable from error


def _of_invalid(error: stripe.InvalidRequestError) -> Problem:
    if error.http_status == 402:
        return PaymentFailed(decline_code=error.code)
    if error.http_status == 404:
        return StripeObjectMissing(reason=error.code)
    if error.code == "resource_missing" and error.param == "customer":
        return CustomerMissing(reason=error.code)
    return BillingRejected(reason=error.code)


def ask(call: Callable[..., Any], *path: str, key: str | None = None, **params: Any) -> Object:
    """Make one call and return Stripe's answer as plain values. Parameters that are None are not sent."""
    options = {"idempotency_key": key} if key is not None else {}
    sent = {name: value for name, value in params.items() if value is not None}
    with _refusals():
        return _plain(call(*path, params=sent, options=options))


def ask_all(call: Callable[..., Any], *, most: int | None = PAGE, **params: Any) -> list[Object]:
    """Return a list: all its pages, up to `most` objects."""
    return list(islice(ask_each(call, limit=min(PAGE, most or PAGE), **params), most))


def ask_each(call: Callable[..., Any], **params: Any) -> Iterator[Object]:
    """Yield the objects of all pages of a list; each page is fetched once the one before it has been read."""
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
    """Return it as an object of the SDK's own, which dj-stripe takes."""
    return stripe.convert_to_stripe_object(item, api_key=stripe.api_key)

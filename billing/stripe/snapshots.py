"""Fetch what Stripe says now about one payment: whether it is paid, what of it is left, what it bought.

A snapshot is made of several calls, so it may be older than it looks. billing/settlement/settle.py sees to it that an
old one never undoes what a newer one did.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.utils import timezone

from billing.stripe import gateway, shapes
from billing.stripe.shapes import Object


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`bought` are prices and quantities; empty for an invoice that only moves money between periods."""

    customer: str
    paid: bool
    amount: int
    currency: str
    paid_at: datetime
    bought: tuple[tuple[str, int], ...] = ()
    is_proration: bool = False
    refunded: int = 0
    disputed: int = 0  # in disputes that are open or lost
    payment_intent: str = ""
    subscription: str = ""
    period_end: datetime | None = None
    # Of a trial:
    trial_end: datetime | None = None
    trial_holder: str = ""
    fingerprint: str = ""

    @property
    def kept(self) -> int:
        return max(0, self.amount - self.refunded - self.disputed)


def take(payment_id: str) -> Snapshot:
    """Take one of an invoice, a payment intent or a checkout session, by its id. Raises what the gateway raises."""
    if payment_id.startswith("in_"):
        return _of_invoice(gateway.retrieve_invoice(payment_id))
    if payment_id.startswith("pi_"):
        return _of_payment_intent(gateway.retrieve_payment_intent(payment_id))
    return _of_session(gateway.retrieve_checkout_session(payment_id))


def _of_invoice(invoice: Object) -> Snapshot:
    lines = _lines(invoice)
    intents = shapes.invoice_payment_intents(invoice)
    lost = [_lost(gateway.retrieve_payment_intent(intent)) for intent in intents]
    bought = tuple(shapes.bought(lines))
    snapshot = Snapshot(
        customer=shapes.customer_of(invoice),
        paid=invoice["status"] == "paid",
        amount=int(invoice["amount_paid"]),
        currency=invoice["currency"],
        paid_at=shapes.invoice_paid_at(invoice) or timezone.now(),
        bought=bought,
        is_proration=bool(lines) and not bought,
        refunded=sum(refunded for refunded, _ in lost),
        disputed=sum(disputed for _, disputed in lost),
        payment_intent=intents[0] if intents else "",
        subscription=shapes.invoice_subscription(invoice),
        period_end=shapes.moment(shapes.period_of(lines)[1] or None),
    )
    # A trial's invoice is over nothing, but so is one that a coupon or a balance has paid.
    return _with_trial(snapshot, lines) if snapshot.subscription and not snapshot.amount else snapshot


def _lines(invoice: Object) -> list[Object]:
    lines = invoice.get("lines") or {}
    return (
        gateway.list_invoice_lines(invoice["id"]) if lines.get("has_more") else list(lines.get("data") or [])
    )


def _with_trial(snapshot: Snapshot, lines: list[Object]) -> Snapshot:
    subscription = gateway.retrieve_subscription(snapshot.subscription)
    if not shapes.is_trial(subscription, lines):
        return snapshot
    metadata = subscription.get("metadata") or {}
    return replace(
        snapshot,
        trial_end=snapshot.period_end,  # as it was planned when it began
        trial_holder=str(metadata.get("trial_holder") or snapshot.subscription),
        fingerprint=shapes.fingerprint(_card(subscription)),
    )


def _card(subscription: Object) -> Any:
    """Return the fingerprint of the card that the trial will be paid with when it is over."""
    own = subscription.get("default_payment_method")
    if own:
        return own if isinstance(own, dict) else gateway.retrieve_payment_method(own)
    customer = gateway.retrieve_customer(shapes.customer_of(subscription))
    default = shapes.id_of((customer.get("invoice_settings") or {}).get("default_payment_method"))
    return gateway.retrieve_payment_method(default) if default else None


def _of_payment_intent(intent: Object) -> Snapshot:
    sessions = gateway.list_checkout_sessions(payment_intent=intent["id"])
    session = gateway.retrieve_checkout_session(sessions[0]["id"]) if sessions else {}
    charge = _charge(intent)
    refunded, disputed = _lost(intent)
    return Snapshot(
        customer=shapes.customer_of(intent),
        paid=intent["status"] == "succeeded",
        amount=int(intent.get("amount_received") or 0),
        currency=intent["currency"],
        paid_at=_moment(charge.get("created") or intent.get("created")),
        bought=_bought_in(session),
        refunded=refunded,
        disputed=disputed,
        payment_intent=intent["id"],
    )


def _of_session(session: Object) -> Snapshot:
    """Take one that nothing had to be paid for: it has neither an invoice nor a payment intent."""
    free = session.get("payment_status") == "no_payment_required" and session.get("mode") == "payment"
    return Snapshot(
        customer=shapes.customer_of(session),
        paid=free and session.get("status") == "complete",
        amount=0,
        currency=session.get("currency") or "",
        paid_at=_moment(session.get("created")),
        bought=_bought_in(session),
    )


def _bought_in(session: Object) -> tuple[tuple[str, int], ...]:
    return tuple(shapes.bought((session.get("line_items") or {}).get("data") or []))


def _charge(intent: Object) -> Object:
    charge = intent.get("latest_charge")
    if not charge:
        return {}
    return charge if isinstance(charge, dict) else gateway.retrieve_charge(charge)


def _lost(intent: Object) -> tuple[int, int]:
    """Return what refunds and what disputes took back of a payment intent. A refund that failed is not among them."""
    charge = _charge(intent)
    if not charge:
        return 0, 0
    disputes = gateway.list_disputes(payment_intent=intent["id"]) if charge.get("disputed") else []
    return int(charge.get("amount_refunded") or 0), shapes.disputed_amount(disputes)


def _moment(timestamp: int | None) -> datetime:
    return shapes.moment(timestamp) or timezone.now()

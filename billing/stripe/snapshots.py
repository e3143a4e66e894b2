"""Fetch the state of one payment at Stripe: whether it is paid, how much of it is left, what it bought.

A snapshot takes several calls, so it may be older than it looks. billing/settlement/settle.py ensures that an old one
never undoes what a newer one did.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.utils import timezone

from billing.stripe import gateway, shapes
from billing.stripe.shapes import Object


class Collection(StrEnum):
    """How the money is collected, which decides how late it may arrive."""

    CARD = "card"
    DEBIT = "debit"  # of the kind that takes days
    INVOICE = "invoice"  # sent, and paid within some weeks


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of an invoice or a checkout session.

    `amount` is what it costs after discounts and with tax, `bare` before them. A line without a `price` was made up for
    one customer.
    """

    id: str
    price: str
    quantity: int
    amount: int
    bare: int
    is_proration: bool = False
    is_declared_nothing: bool = False
    period_start: datetime | None = None
    period_end: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of one payment at Stripe.

    `rest` belongs to no line, such as shipping. `notes` is what post-payment credit notes took, by line.
    """

    customer: str
    paid: bool
    amount: int
    currency: str
    paid_at: datetime
    lines: tuple[Line, ...] = ()
    rest: int = 0
    to_balance: int = 0  # credited to the customer's balance, by an invoice below zero
    from_balance: int = 0  # taken from the customer's balance, unless a proration had put it there
    refunded: int = 0
    noted_refunds: int = 0  # the part of the refunds that credit notes account for
    disputed: int = 0  # in disputes that are open or lost
    notes: Mapping[str, int] = field(default_factory=dict)
    payment_intent: str = ""
    subscription: str = ""
    is_first: bool = False  # the first of its subscription
    is_change: bool = False  # made by a change of plan, or anything else that begins a period by itself
    request: str = ""  # the service's request that bought it; none for a renewal
    collection: Collection = Collection.CARD
    # For people's records:
    number: str = ""  # the invoice's or receipt's
    document: str = ""  # its page at Stripe
    tax: int = 0  # included in `amount`
    # For a trial:
    trial_end: datetime | None = None
    trial_holder: str = ""
    fingerprint: str = ""

    @property
    def received(self) -> int:
        return self.amount + self.from_balance

    @property
    def lost(self) -> int:
        """Return what was lost apart from credit notes. If a refund of theirs has failed, its money is back."""
        return self.refunded - self.noted_refunds + self.disputed

    @property
    def given_back(self) -> int:
        """Return what refunds and credit notes gave back, counting each once."""
        return self.refunded - self.noted_refunds + sum(self.notes.values())

    @property
    def kept(self) -> int:
        return max(0, self.received - self.given_back - self.disputed)


def take(payment_id: str) -> Snapshot:
    """Take a snapshot of an invoice, payment intent or checkout session, by its id. Raises what the gateway raises."""
    if payment_id.startswith("in_"):
        return _of_invoice(gateway.retrieve_invoice(payment_id))
    if payment_id.startswith("pi_"):
        return _of_payment_intent(gateway.retrieve_payment_intent(payment_id))
    return _of_session(gateway.retrieve_checkout_session(payment_id))


def _of_invoice(invoice: Object) -> Snapshot:
    found = _lines(invoice)
    lines = tuple(map(_line, found))
    intents = list(map(gateway.retrieve_payment_intent, shapes.invoice_payment_intents(invoice)))
    lost = [_lost(intent) for intent in intents]
    notes, noted_refunds = _credit_notes(invoice)
    snapshot = Snapshot(
        customer=shapes.customer_of(invoice),
        paid=invoice["status"] == "paid",
        amount=int(invoice["amount_paid"]),
        currency=invoice["currency"],
        paid_at=shapes.invoice_paid_at(invoice) or timezone.now(),
        lines=lines,
        rest=int(invoice["total"]) - sum(line.amount for line in lines),
        from_balance=_from_balance(invoice),
        to_balance=max(0, -shapes.applied_balance(invoice)) if int(invoice["total"]) < 0 else 0,
        refunded=sum(refunded for refunded, _ in lost),
        noted_refunds=noted_refunds,
        disputed=sum(disputed for _, disputed in lost),
        notes=notes,
        payment_intent=intents[0]["id"] if intents else "",
        subscription=shapes.invoice_subscription(invoice),
        is_first=_is_first(invoice),
        is_change=invoice.get("billing_reason") == "subscription_update",
        request=shapes.request_of(shapes.invoice_metadata(invoice)) if _is_first(invoice) else "",
        collection=_collection(invoice, intents),
        number=invoice.get("number") or "",
        document=invoice.get("hosted_invoice_url") or "",
        tax=sum(int(tax["amount"]) for tax in invoice.get("total_taxes") or []),
    )
    free = [
        line for line in found if not line["amount"]
    ]  # before any coupon: the lines of a trial, whatever fee is beside them
    return _with_trial(snapshot, free) if snapshot.subscription and free else snapshot


def _is_first(invoice: Object) -> bool:
    return invoice.get("billing_reason") == "subscription_create"


def _line(line: Object) -> Line:
    period = line.get("period") or {}
    quantity = line.get("quantity")
    return Line(
        id=line["id"],
        price=shapes.line_price(line),
        quantity=1 if quantity is None else int(quantity),
        amount=shapes.line_total(line),
        bare=int(line["amount"]),
        is_proration=shapes.is_proration(line),
        is_declared_nothing=(line.get("metadata") or {}).get("credits") == "0",
        period_start=shapes.moment(period.get("start")),
        period_end=shapes.moment(period.get("end")),
    )


def _collection(invoice: Object, intents: Iterable[Object]) -> Collection:
    if invoice.get("collection_method") == "send_invoice":
        return Collection.INVOICE
    is_debit = any(shapes.is_delayed(_charge(intent)) for intent in intents)
    return Collection.DEBIT if is_debit else Collection.CARD


def _from_balance(invoice: Object) -> int:
    """Return what the customer's balance paid of an invoice; negative if that paid what the customer owed.

    Money that prorations put there bought its credits when it was first paid, and buys none again.
    """
    applied = shapes.applied_balance(invoice)
    if applied <= 0 or int(invoice["total"]) <= 0:
        return applied if int(invoice["total"]) > 0 else 0
    moves = gateway.list_balance_transactions(customer=shapes.customer_of(invoice))
    of_currency = [move for move in moves if move["currency"] == invoice["currency"]]
    return shapes.applied_money(of_currency, invoice["id"])


def _credit_notes(invoice: Object) -> tuple[dict[str, int], int]:
    """Return what credit notes took of each line after it was paid for, and how much of that was refunded."""
    if not invoice.get("post_payment_credit_notes_amount"):
        return {}, 0
    notes = [note for note in gateway.list_credit_notes(invoice=invoice["id"]) if note["status"] == "issued"]
    taken: dict[str, int] = {}
    for note in notes:
        for line, amount in shapes.noted(note):
            taken[line] = taken.get(line, 0) + amount
    return taken, sum(map(shapes.noted_refunds, notes))


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
        trial_end=shapes.moment(shapes.period_of(lines)[1] or None),  # as planned when it began
        trial_holder=str(metadata.get("trial_holder") or snapshot.subscription),
        fingerprint=shapes.fingerprint(card_of(subscription)),
    )


def card_of(subscription: Object) -> Any:
    """Return the card that pays for a subscription, or None."""
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
    lines = _bought_in(session) or (_unnamed(intent),)
    return Snapshot(
        customer=shapes.customer_of(intent),
        paid=intent["status"] == "succeeded",
        amount=int(intent.get("amount_received") or 0),
        currency=intent["currency"],
        paid_at=_moment(charge.get("created") or intent.get("created")),
        lines=lines,
        rest=int(session.get("amount_total") or 0) - sum(line.amount for line in lines) if session else 0,
        refunded=refunded,
        disputed=disputed,
        payment_intent=intent["id"],
        request=shapes.request_of(session.get("metadata")),
        number=charge.get("receipt_number") or "",
        document=charge.get("receipt_url") or "",
        tax=int((session.get("total_details") or {}).get("amount_tax") or 0),
    )


def _unnamed(intent: Object) -> Line:
    """Return a line for whatever a payment made by hand was for, which only its maker knows."""
    amount = int(intent.get("amount_received") or 0)
    return Line(id=intent["id"], price="", quantity=1, amount=amount, bare=amount)


def _of_session(session: Object) -> Snapshot:
    """Take a snapshot of a session that was free: it has neither an invoice nor a payment intent."""
    free = session.get("payment_status") == "no_payment_required" and session.get("mode") == "payment"
    return Snapshot(
        customer=shapes.customer_of(session),
        paid=free and session.get("status") == "complete",
        amount=0,
        currency=session.get("currency") or "",
        paid_at=_moment(session.get("created")),
        lines=_bought_in(session),
        request=shapes.request_of(session.get("metadata")),
    )


def _bought_in(session: Object) -> tuple[Line, ...]:
    return tuple(_session_line(line) for line in (session.get("line_items") or {}).get("data") or [])


def _session_line(line: Object) -> Line:
    quantity = line.get("quantity")
    return Line(
        id=line["id"],
        price=shapes.line_price(line),
        quantity=1 if quantity is None else int(quantity),
        amount=int(line["amount_total"]),
        bare=int(line["amount_subtotal"]),
    )


def _charge(intent: Object) -> Object:
    charge = intent.get("latest_charge")
    if not charge:
        return {}
    return charge if isinstance(charge, dict) else gateway.retrieve_charge(charge)


def _lost(intent: Object) -> tuple[int, int]:
    """Return what refunds and what disputes took back of a payment intent. Failed refunds are not included."""
    charge = _charge(intent)
    if not charge:
        return 0, 0
    disputes = gateway.list_disputes(payment_intent=intent["id"]) if charge.get("disputed") else []
    return int(charge.get("amount_refunded") or 0), shapes.disputed_amount(disputes, charge)


def intents_of(payment_id: str) -> list[str]:
    """Return the payment intents that paid an invoice, usually one; none for what is not an invoice."""
    is_invoice = payment_id.startswith("in_")
    return shapes.invoice_payment_intents(gateway.retrieve_invoice(payment_id)) if is_invoice else []


def refundable(payment_intent: str) -> int:
    """Return what neither refunds nor disputes have taken of a payment intent."""
    intent = gateway.retrieve_payment_intent(payment_intent)
    return max(0, int(intent["amount_received"]) - sum(_lost(intent)))


def _moment(timestamp: int | None) -> datetime:
    return shapes.moment(timestamp) or timezone.now()

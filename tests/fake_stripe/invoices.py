"""Invoices of subscriptions: draft, open, paid or not, void. Functions that follow up on a result register in
AFTERWARDS.
"""

from collections.abc import Callable
from typing import Any

from tests.fake_stripe import balances, discounts, invoice_items, payments
from tests.fake_stripe.expansion import includes
from tests.fake_stripe.kinds import listed
from tests.fake_stripe.store import Store
from tests.fake_stripe.wire import Json

HOUR = 3600
UNPAID = frozenset({"open", "uncollectible"})  # both can be paid, and voided
# The last is "paid", "processing", "failed", "action_required" or "void".
AFTERWARDS: list[Callable[[Store, Json, str], None]] = []


def draft(store: Store, subscription: Json, reason: str, lines: list[Json], **values: Any) -> Json:
    identifier = store.new_id("invoice")
    lines = [*lines, *invoice_items.waiting(store, subscription["customer"], subscription, identifier)]
    private = store.private[subscription["id"]]
    coupon = private.get("coupon")
    given = first_values(store, subscription, reason, lines, identifier)
    if coupon and coupon["duration"] == "once":
        del private["coupon"]
    invoice = store.add("invoice", **given, **values)
    subscription["latest_invoice"] = identifier
    store.emit("invoice.created", invoice)
    return invoice


def first_values(store: Store, subscription: Json, reason: str, lines: list[Json], identifier: str) -> Json:
    """Price the lines, with coupon and tax, and return the totals."""
    customer = store.get("customer", subscription["customer"])
    coupon = store.private[subscription["id"]].get("coupon")
    discounts.apply(store, lines, coupon, taxed=subscription["automatic_tax"]["enabled"])
    subtotal = sum(line["amount"] for line in lines)
    total = sum(map(discounts.total, lines))
    starting_balance = balances.of(store, customer, subscription["currency"])
    due = max(0, total + starting_balance)
    sends = subscription["collection_method"] == "send_invoice"
    for line in lines:
        line["invoice"] = identifier
    return {
        "id": identifier,
        **blank_values(),
        "collection_method": subscription["collection_method"],
        "due_date": store.now() + (subscription["days_until_due"] or 0) * 86_400 if sends else None,
        "amount_due": due,
        "amount_remaining": due,
        "billing_reason": reason,
        "currency": subscription["currency"],
        "customer": customer["id"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "lines": listed(lines, f"/v1/invoices/{identifier}/lines", total_count=len(lines)),
        "parent": parent(subscription),
        "period_start": min(line["period"]["start"] for line in lines),
        "period_end": store.now(),
        "starting_balance": starting_balance,
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "total": total,
        "total_excluding_tax": total - sum(tax["amount"] for line in lines for tax in line["taxes"]),
    }


def blank_values() -> Json:
    return {
        "account_country": "DE",
        "account_name": "Fake Stripe",
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_shipping": 0,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_tax_rates": [],
        "discounts": [],
        "issuer": {"type": "self"},
        "metadata": {},
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "status": "draft",
        "status_transitions": dict.fromkeys(
            ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")
        ),
        "total_discount_amounts": [],
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
    }


def parent(subscription: Json) -> Json:
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    return {"quote_details": None, "subscription_details": details, "type": "subscription_details"}


def subscription_of(store: Store, invoice: Json) -> Json:
    return store.get("subscription", invoice["parent"]["subscription_details"]["subscription"])


def finalize(store: Store, invoice: Json) -> None:
    """Number the invoice, apply the customer's current balance, and create a payment intent for the rest.

    A negative total is credited to the customer's balance.
    """
    customer = store.tables["customer"][invoice["customer"]]
    number = customer["next_invoice_sequence"]
    customer["next_invoice_sequence"] += 1
    starting_balance = balances.of(store, customer, invoice["currency"])
    due = max(0, invoice["total"] + starting_balance)
    applied = invoice["total"] - due
    balances.move(
        store, customer, applied, "applied_to_invoice", invoice=invoice["id"], currency=invoice["currency"]
    )
    page = f"{store.public_url}/invoices/{invoice['id']}"
    invoice.update(
        status="open",
        amount_due=due,
        amount_remaining=due,
        starting_balance=starting_balance,
        number=f"{customer['invoice_prefix']}-{number:04}",
        effective_at=store.now(),
        ending_balance=balances.of(store, customer, invoice["currency"]),
        automatically_finalizes_at=None,
        hosted_invoice_url=page,
        invoice_pdf=f"{page}/pdf",
    )
    invoice["status_transitions"]["finalized_at"] = store.now()
    store.emit("invoice.finalized", invoice)
    if invoice["amount_due"] == 0:
        mark_paid(store, invoice)
    else:
        ask_for_payment(store, invoice)


def ask_for_payment(store: Store, invoice: Json) -> Json:
    method = default_method(store, invoice)
    intent = payments.new(
        store,
        amount=invoice["amount_remaining"],
        currency=invoice["currency"],
        customer=invoice["customer"],
        description="Subscription creation"
        if invoice["billing_reason"] == "subscription_create"
        else "Subscription update",
        payment_method=method,
        setup_future_usage="off_session",
    )
    store.private[intent["id"]]["invoice"] = invoice["id"]
    store.private[invoice["id"]]["intent"] = intent["id"]
    _invoice_payment(
        store,
        invoice,
        intent,
        amount_requested=invoice["amount_remaining"],
        is_default=True,
        status="open",
        status_transitions={"canceled_at": None, "paid_at": None},
    )
    return intent


def _invoice_payment(store: Store, invoice: Json, intent: Json, **details: Any) -> Json:
    return store.add(
        "invoice_payment",
        currency=invoice["currency"],
        invoice=invoice["id"],
        payment={"payment_intent": intent["id"], "type": "payment_intent"},
        **details,
    )


def default_method(store: Store, invoice: Json) -> str | None:
    """Return the subscription's card, otherwise the customer's."""
    customer = store.tables["customer"].get(invoice["customer"])
    fallback = customer["invoice_settings"]["default_payment_method"] if customer else None
    found: str | None = subscription_of(store, invoice)["default_payment_method"] or fallback
    return found


def intent_of(store: Store, invoice: Json) -> Json | None:
    identifier = store.private[invoice["id"]].get("intent")
    return store.get("payment_intent", identifier) if identifier else None


def attempt(store: Store, invoice: Json, *, payment_method: str | None = None) -> None:
    """Try once to charge it; without any card it fails. An invoice that is sent waits for the customer instead."""
    intent = intent_of(store, invoice)
    if invoice["collection_method"] == "send_invoice" and payment_method is None:
        return
    if invoice["status"] not in UNPAID or intent is None:
        return
    method = payment_method or default_method(store, invoice)
    if method is None:
        count_failure(store, invoice, "failed")
        return
    intent["payment_method"] = method
    payments.attempt(store, intent, off_session=False)


def after_payment(store: Store, intent: Json) -> None:
    identifier = store.private[intent["id"]].get("invoice")
    if identifier is None:
        return
    invoice = store.get("invoice", identifier)
    if intent["status"] == "succeeded":
        mark_paid(store, invoice)
    elif intent["status"] == "processing":
        follow_up(store, invoice, "processing")
    else:
        result = "action_required" if intent["status"] == "requires_action" else "failed"
        count_failure(store, invoice, result)


payments.AFTERWARDS.append(after_payment)


def pay_outside(store: Store, invoice: Json) -> None:
    """Mark it as paid outside Stripe: its intent is cancelled."""
    intent = intent_of(store, invoice)
    if intent and intent["status"] in payments.OPEN:
        payments.end(store, intent, "automatic")
        for payment in store.all("invoice_payment", invoice=invoice["id"], status="open"):
            payment["status"] = "canceled"
            payment["status_transitions"]["canceled_at"] = store.now()
    invoice["amount_paid_off_stripe"] = invoice["amount_remaining"]
    mark_paid(store, invoice)


def attach(store: Store, invoice: Json, intent: Json) -> None:
    """Record a payment of a part. What remains is asked for by the invoice's own intent."""
    payment = _invoice_payment(
        store,
        invoice,
        intent,
        amount_paid=intent["amount"],
        amount_requested=intent["amount"],
        is_default=False,
        status="paid",
        status_transitions={"canceled_at": None, "paid_at": store.now()},
    )
    invoice["amount_paid"] += intent["amount"]
    invoice["amount_remaining"] -= intent["amount"]
    store.emit("invoice_payment.paid", payment)
    own = intent_of(store, invoice)
    if own is not None and invoice["amount_remaining"]:
        own["amount"] = invoice["amount_remaining"]
        for waiting in store.all("invoice_payment", invoice=invoice["id"], status="open"):
            waiting["amount_requested"] = invoice["amount_remaining"]
    elif own is not None:
        payments.end(store, own, "automatic")
        for waiting in store.all("invoice_payment", invoice=invoice["id"], status="open"):
            waiting["status"] = "canceled"
        mark_paid(store, invoice)


def mark_paid(store: Store, invoice: Json) -> None:
    previous = {name: invoice[name] for name in ("amount_paid", "amount_remaining", "attempted", "status")}
    invoice.update(
        status="paid",
        amount_paid=invoice["amount_due"],
        amount_remaining=0,
        attempted=True,
        attempt_count=invoice["attempt_count"] + int(invoice["amount_due"] > 0),
        next_payment_attempt=None,
        auto_advance=False,
    )
    invoice["status_transitions"]["paid_at"] = store.now()
    store.emit("invoice.updated", invoice, previous)
    store.emit("invoice.paid", invoice)
    store.emit("invoice.payment_succeeded", invoice)
    for payment in store.all("invoice_payment", invoice=invoice["id"], status="open"):
        payment.update(status="paid", amount_paid=payment["amount_requested"])
        payment["status_transitions"]["paid_at"] = store.now()
        store.emit("invoice_payment.paid", payment)
    follow_up(store, invoice, "paid")


def count_failure(store: Store, invoice: Json, result: str) -> None:
    """Schedule the next attempt by the setting `dunning_days`; after the last one there is none."""
    days = store.settings["dunning_days"]
    count = invoice["attempt_count"]
    later = store.now() + days[count] * 86_400 if count < len(days) and invoice["auto_advance"] else None
    first = invoice["billing_reason"] == "subscription_create"
    invoice.update(attempt_count=count + 1, attempted=True, next_payment_attempt=None if first else later)
    if result == "action_required":
        store.emit("invoice.payment_action_required", invoice)
    store.emit("invoice.payment_failed", invoice)
    follow_up(store, invoice, result)


def follow_up(store: Store, invoice: Json, result: str) -> None:
    for follow in AFTERWARDS:
        follow(store, invoice, result)


def void(store: Store, invoice: Json, status: str = "void") -> None:
    """Void it, or mark it `uncollectible`; voiding cancels its payment intent."""
    name = "voided_at" if status == "void" else "marked_uncollectible_at"
    invoice.update(status=status, next_payment_attempt=None, auto_advance=False)
    invoice["status_transitions"][name] = store.now()
    intent = intent_of(store, invoice)
    if status == "void" and intent and intent["status"] in payments.OPEN:
        payments.end(store, intent, "void_invoice")
        for payment in store.all("invoice_payment", invoice=invoice["id"], status="open"):
            payment["status"] = "canceled"
            payment["status_transitions"]["canceled_at"] = store.now()
    store.emit("invoice.voided" if status == "void" else "invoice.marked_uncollectible", invoice)
    if status == "void":
        follow_up(store, invoice, "void")


@includes("invoice", "payments")
def payments_of(store: Store, invoice: Json) -> Json:
    return listed(store.all("invoice_payment", invoice=invoice["id"]), "/v1/invoice_payments")


@includes("invoice", "confirmation_secret")
def confirmation_secret(store: Store, invoice: Json) -> Json | None:
    intent = intent_of(store, invoice)
    return {"client_secret": intent["client_secret"], "type": "payment_intent"} if intent else None

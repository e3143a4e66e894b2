"""Where things are in Stripe's objects, as of the pinned API version (and where they were before, for old events).

Reads plain values only, and calls nothing.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

Object = dict[str, Any]

# A dispute in one of these states took no money, or gave it back (https://docs.stripe.com/api/disputes/object).
HARMLESS_DISPUTES = frozenset(
    {"won", "warning_needs_response", "warning_under_review", "warning_closed", "prevented"}
)
ENDED_SUBSCRIPTIONS = frozenset({"canceled", "incomplete_expired"})


def moment(timestamp: int | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, tz=UTC)


def id_of(value: Any) -> str:
    """Return the id, whether or not the object was expanded; "" for none."""
    return str((value.get("id") if isinstance(value, dict) else value) or "")


def customer_of(item: Object) -> str:
    return id_of(item) if item.get("object") == "customer" else id_of(item.get("customer"))


# ---------------------------------------------------------------- subscriptions


def subscription_items(subscription: Object) -> list[Object]:
    return list((subscription.get("items") or {}).get("data") or [])


def current_period_end(subscription: Object) -> datetime | None:
    """Return when the period ends. Items have this since 2025-03-31, and share one period unless intervals differ."""
    ends = [item.get("current_period_end") for item in subscription_items(subscription)]
    ends.append(subscription.get("current_period_end"))
    return moment(max((end for end in ends if end), default=None))


def ends(subscription: Object) -> bool:
    """Return whether a subscription's end is planned.

    In flexible billing the portal sets a date, and leaves the flag false
    (https://docs.stripe.com/billing/subscriptions/billing-mode/compare#scheduled-subscription-cancellation).
    """
    return bool(subscription.get("cancel_at_period_end") or subscription.get("cancel_at"))


def pending_items(subscription: Object) -> list[Object]:
    """Return the items of a change that waits for its payment."""
    return list((subscription.get("pending_update") or {}).get("subscription_items") or [])


def pending_until(subscription: Object) -> datetime | None:
    return moment((subscription.get("pending_update") or {}).get("expires_at"))


def is_paused(subscription: Object) -> bool:
    """Return whether a subscription collects nothing: after a trial without a card, or because it was paused."""
    return subscription["status"] == "paused" or bool(subscription.get("pause_collection"))


def active_schedule(subscription: Object) -> Object | None:
    """Return the active schedule that manages a subscription, if it was expanded."""
    schedule = subscription.get("schedule")
    return schedule if isinstance(schedule, dict) and schedule.get("status") == "active" else None


def running_phase(schedule: Object) -> Object:
    start = (schedule.get("current_phase") or {}).get("start_date")
    return next(
        (phase for phase in schedule["phases"] if phase["start_date"] == start), schedule["phases"][0]
    )


def following_phases(schedule: Object) -> list[Object]:
    end = running_phase(schedule)["end_date"]
    return [phase for phase in schedule["phases"] if phase["start_date"] >= end]


def next_items(subscription: Object) -> list[Object]:
    """Return the items that the schedule sets after this period; none if it was not expanded."""
    schedule = active_schedule(subscription)
    following = following_phases(schedule) if schedule else []
    return list(following[0]["items"]) if following else []


# ---------------------------------------------------------------- invoices

# Also what Stripe asks for no more (https://docs.stripe.com/invoicing/integration/workflow-transitions).
UNPAID = frozenset({"open", "uncollectible"})


def invoice_subscription(invoice: Object) -> str:
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    return id_of(details.get("subscription") or invoice.get("subscription"))


def invoice_metadata(invoice: Object) -> Object:
    """Return the metadata of an invoice's subscription, as it was when the invoice was drawn up."""
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    return details.get("metadata") or {}


def request_of(metadata: Object | None) -> str:
    """Return the id of our request that made an object; "" if there was none, or the text is not an id."""
    try:
        return str(UUID(str((metadata or {}).get("request"))))
    except ValueError:
        return ""


def invoice_payment_intents(invoice: Object) -> list[str]:
    """Return the intents that paid some of an invoice."""
    payments = (invoice.get("payments") or {}).get("data") or []
    paid = [payment.get("payment") or {} for payment in payments if payment.get("status") == "paid"]
    found = [id_of(payment.get("payment_intent")) for payment in paid]
    return [intent for intent in [*found, id_of(invoice.get("payment_intent"))] if intent]


def invoice_open_intents(invoice: Object) -> list[str]:
    """Return the intents that are to pay an invoice and have not."""
    payments = (invoice.get("payments") or {}).get("data") or []
    waiting = [payment.get("payment") or {} for payment in payments if payment.get("status") == "open"]
    found = [id_of(payment.get("payment_intent")) for payment in waiting]
    return [intent for intent in found if intent]


def client_secret(subscription: Object) -> str:
    """Return the secret for a front end to confirm the outstanding payment or to store the card for after the trial."""
    invoice = subscription.get("latest_invoice")
    confirmation = (invoice.get("confirmation_secret") if isinstance(invoice, dict) else None) or {}
    setup = subscription.get("pending_setup_intent")
    pending = setup.get("client_secret") if isinstance(setup, dict) else None
    is_waiting = subscription.get("status") == "incomplete" or bool(subscription.get("pending_update"))
    return str((confirmation.get("client_secret") if is_waiting else None) or pending or "")


def without_client_secrets(item: Any) -> Any:
    """Return an object with every client secret set to None, at any depth. Stripe nests a dozen levels."""
    if isinstance(item, dict):
        return {
            name: None if name == "client_secret" else without_client_secrets(inner)
            for name, inner in item.items()
        }
    return [without_client_secrets(inner) for inner in item] if isinstance(item, list) else item


def invoice_paid_at(invoice: Object) -> datetime | None:
    transitions = invoice.get("status_transitions") or {}
    return moment(transitions.get("paid_at") or invoice.get("created"))


def line_price(line: Object) -> str:
    """Return the price of a line of an invoice or of a checkout session."""
    details = (line.get("pricing") or {}).get("price_details") or {}
    return id_of(details.get("price") or line.get("price"))


def is_proration(line: Object) -> bool:
    """Return whether a line is a difference between periods, which moves money and buys nothing by itself."""
    parent = line.get("parent") or {}
    details = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    return bool(details.get("proration", line.get("proration", False)))


def line_total(line: Object) -> int:
    """Return what an invoice's line costs after discounts and with the tax on top of it."""
    off = sum(int(discount["amount"]) for discount in line.get("discount_amounts") or [])
    taxes = [tax for tax in line.get("taxes") or [] if tax.get("tax_behavior") == "exclusive"]
    return int(line["amount"]) - off + sum(int(tax["amount"]) for tax in taxes)


def applied_balance(invoice: Object) -> int:
    """Return how much the customer's balance changed when an invoice was finalised: positive for credit used."""
    end = invoice.get("ending_balance")
    return 0 if end is None else int(end) - int(invoice.get("starting_balance") or 0)


def applied_money(transactions: list[Object], invoice: str) -> int:
    """Return how much money of a customer's balance in one currency, newest transaction first, paid an invoice.

    What prorations put there is left out: it comes from invoices below zero, and is used up last.
    """
    money = prorated = paid = 0
    for row in reversed(transactions):
        amount = int(row["amount"])
        if amount <= 0:
            owed = min(-amount, max(0, -money))
            from_proration = row["type"] == "applied_to_invoice"
            money += owed if from_proration else -amount
            prorated += -amount - owed if from_proration else 0
            continue
        from_prorated = min(prorated, max(0, amount - max(0, money)))
        prorated -= from_prorated
        money -= amount - from_prorated
        if id_of(row.get("invoice")) == invoice:
            paid += amount - from_prorated
    return paid


def noted(note: Object) -> Iterator[tuple[str, int]]:
    """Yield a credit note's lines and what it took of each after it was paid for; "" for the part without a line."""
    lines = (note.get("lines") or {}).get("data") or []
    totals = [(id_of(line.get("invoice_line_item")), _noted(line)) for line in lines]
    left, whole = int(note["post_payment_amount"]), sum(amount for _, amount in totals)
    yield "", left - sum(left * amount // whole for _, amount in totals if whole)
    yield from ((line, left * amount // whole) for line, amount in totals if whole)


def _noted(line: Object) -> int:
    taxes = [tax for tax in line.get("taxes") or [] if tax.get("tax_behavior") == "exclusive"]
    return (
        int(line["amount"]) - int(line.get("discount_amount") or 0) + sum(int(tax["amount"]) for tax in taxes)
    )


def noted_refunds(note: Object) -> int:
    """Return how much of a credit note was given back by its own refunds."""
    return sum(int(refund.get("amount_refunded") or 0) for refund in note.get("refunds") or [])


def period_of(lines: list[Object]) -> tuple[int, int]:
    """Return the first start and the last end of the lines that buy something, as timestamps; zeros for none."""
    periods = [line.get("period") or {} for line in lines if not is_proration(line)]
    starts = [period["start"] for period in periods if period.get("start")]
    ends = [period["end"] for period in periods if period.get("end")]
    return min(starts, default=0), max(ends, default=0)


def is_trial(subscription: Object, lines: list[Object]) -> bool:
    """Return whether these lines are for a period that begins in the subscription's trial, even if that has ended."""
    start, end = subscription.get("trial_start"), subscription.get("trial_end")
    first, _ = period_of(lines)
    return bool(start and end and first and start <= first < end)


# ---------------------------------------------------------------- cards, debits and disputes

# https://docs.stripe.com/payments/bank-debits: the money arrives, or does not, days after it was requested.
DELAYED = frozenset(
    {
        "acss_debit", "au_becs_debit", "bacs_debit", "customer_balance", "nz_bank_account", "sepa_debit",
        "us_bank_account",
    }
)  # fmt: skip


def is_delayed(charge: Object) -> bool:
    return (charge.get("payment_method_details") or {}).get("type") in DELAYED


def fingerprint(payment_method: Any) -> str:
    """Return a text that is the same for the same card or bank account number, for every customer."""
    method = payment_method if isinstance(payment_method, dict) else {}
    return str((method.get(method.get("type") or "card") or {}).get("fingerprint") or "")


def disputed_amount(disputes: list[Object], charge: Object) -> int:
    """Return what disputes of a charge keep from us: all that are open or lost.

    The worth of one in another currency cannot be told from it, so it takes the whole charge.
    """
    whole, currency = int(charge["amount_captured"]), charge["currency"]
    return sum(
        int(dispute["amount"]) if dispute["currency"] == currency else whole
        for dispute in disputes
        if dispute.get("status") not in HARMLESS_DISPUTES
    )


def written(at: datetime | None) -> str | None:
    """Return the time in RFC 3339, as used in answers."""
    return at.isoformat().replace("+00:00", "Z") if at else None

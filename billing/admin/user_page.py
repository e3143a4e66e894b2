"""One user's billing in the admin: from our tables and the mirror, without calling Stripe."""

import uuid
from typing import Any

from accounts.models import User
from billing import customers, money
from billing.models import BillingAccount, InboxEvent, Payment
from billing.settlement import trial
from billing.shop import payment_methods, standing
from billing.stripe import mirror, shapes

MOST = 50
TRIALS = {
    trial.ELIGIBLE: "may have one",
    trial.USED: "used",
    trial.IN_TRIAL: "running",
    trial.HAD_SUBSCRIPTION: "none, subscribed before",
}

UNTIL = {
    BillingAccount.Status.TRIALING: "Trial until",
    BillingAccount.Status.ACTIVE: "Paid until",
    BillingAccount.Status.CANCELED: "Last period until",
}


def context(person: User) -> dict[str, Any]:
    """Return what the page shows, also for a user who never bought anything."""
    customer = customers.customer_of(person.pk) or ""
    account = standing.account_row(person.pk)
    return {
        "person": person,
        "customer": customer,
        "account": account,
        "end": (account.cancel_at or account.current_period_end) if account else None,
        "end_words": _end_words(account),
        "trial": TRIALS[trial.eligibility(person.pk)],
        "cards": _cards(customer),
        "payments": _payments(person.pk),
        "unpaid": _unpaid(customers.all_of(person.pk)),
        "events": InboxEvent.objects.filter(customer=customer, dead_at__isnull=False)[:MOST]
        if customer
        else [],
    }


def _end_words(account: BillingAccount | None) -> str:
    """Say what ends at that date: Stripe begins a period whether or not it is paid for."""
    if account is None or account.cancel_at_period_end:
        return "Ends"
    return UNTIL.get(BillingAccount.Status(account.status), "Unpaid period until")


def _cards(customer: str) -> list[dict[str, Any]]:
    if not customer:
        return []
    default = mirror.default_payment_method(customer)
    rows = mirror.payment_methods(customer)[:MOST]
    return [payment_methods.answer(row.stripe_data, default=default) for row in rows if row.stripe_data]


def _unpaid(known: list[str]) -> list[dict[str, Any]]:
    """Return the invoices that can still be paid, newest first."""
    rows = mirror.invoices(known).filter(stripe_data__status__in=shapes.UNPAID)
    found = sorted((row.stripe_data for row in rows), key=lambda data: -data["created"])[:MOST]
    return [
        {
            "number": data.get("number") or data["id"],
            "page": data.get("hosted_invoice_url"),
            "sum": money.written(int(data["amount_remaining"]), data["currency"]),
            "status": data["status"],
            "made": shapes.moment(data["created"]),
            "next_try": shapes.moment(data.get("next_payment_attempt")),
        }
        for data in found
    ]


def _payments(user_id: uuid.UUID) -> list[Payment]:
    rows = Payment.objects.filter(user=user_id).select_related("plan")
    return list(rows.order_by("-created_at")[:MOST])

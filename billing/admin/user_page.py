"""Shows one user's billing in the admin: from our tables and the mirror, without asking Stripe."""

import uuid
from typing import Any

from accounts.models import User
from billing import customers
from billing.models import BillingAccount, InboxEvent, Payment
from billing.settlement import trial
from billing.shop import payment_methods
from billing.stripe import mirror

MOST = 50
TRIALS = {
    trial.ELIGIBLE: "may have one",
    trial.USED: "used",
    trial.IN_TRIAL: "running",
    trial.HAD_SUBSCRIPTION: "none: subscribed before",
}


def context(person: User) -> dict[str, Any]:
    """Also for who never bought anything."""
    customer = customers.customer_of(person.pk) or ""
    return {
        "person": person,
        "customer": customer,
        "account": BillingAccount.objects.filter(pk=person.pk)
        .select_related("plan", "next_plan", "pending_plan")
        .first(),
        "trial": TRIALS[trial.eligibility(person.pk)],
        "cards": _cards(customer),
        "payments": _payments(person.pk),
        "events": InboxEvent.objects.filter(customer=customer, dead_at__isnull=False)[:MOST]
        if customer
        else [],
    }


def _cards(customer: str) -> list[dict[str, Any]]:
    if not customer:
        return []
    default = mirror.default_payment_method(customer)
    rows = mirror.payment_methods(customer)[:MOST]
    return [payment_methods.answer(row.stripe_data, default=default) for row in rows if row.stripe_data]


def _payments(user_id: uuid.UUID) -> list[Payment]:
    rows = Payment.objects.filter(user=user_id).select_related("plan")
    return list(rows.order_by("-created_at")[:MOST])

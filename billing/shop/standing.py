"""Read a user's billing status from our own tables and the mirror, without calling Stripe."""

import uuid
from typing import Any

from django.db.models import QuerySet
from djstripe.models import Invoice, PaymentMethod, Subscription

from accounts.errors import UserNotFound
from accounts.models import User
from billing import customers
from billing.models import BillingAccount
from billing.settlement import standing_plans
from billing.stripe import mirror, shapes
from billing.stripe.shapes import Object

NOBODY = ""  # no customer has this id


def require_known(user_id: uuid.UUID) -> None:
    if not User.objects.filter(pk=user_id).exclude(status=User.Status.DELETED).exists():
        raise UserNotFound


def _customer(user_id: uuid.UUID) -> str:
    """Return the user's customer, or NOBODY. Raises UserNotFound."""
    customer = customers.customer_of(user_id)
    if customer is None:
        require_known(user_id)
    return customer or NOBODY


def payment_methods(user_id: uuid.UUID) -> tuple[QuerySet[PaymentMethod], str]:
    """Return the cards, and the id of the default one."""
    customer = _customer(user_id)
    return mirror.payment_methods(customer), mirror.default_payment_method(customer)


def subscriptions(user_id: uuid.UUID) -> QuerySet[Subscription]:
    return mirror.subscriptions(_customer(user_id))


def account_row(user_id: uuid.UUID) -> BillingAccount | None:
    """Return the account's row with its plans."""
    rows = BillingAccount.objects.select_related("plan", "next_plan", "pending_plan")
    return rows.filter(pk=user_id).first()


def invoices(user_id: uuid.UUID) -> QuerySet[Invoice]:
    """Return the invoices that were drawn up, a draft is nobody's yet: also of customers that the user was."""
    known = customers.all_of(user_id)
    if not known:
        require_known(user_id)
    return mirror.invoices(known).exclude(stripe_data__status="draft")


def invoice_answer(row: Invoice) -> dict[str, Any]:
    return invoice_fields({**row.stripe_data, "id": row.id})


def invoice_fields(data: Object) -> dict[str, Any]:
    return {
        "id": data["id"],
        "number": data.get("number"),
        "status": data.get("status"),
        "amount_paid": int(data.get("amount_paid") or 0),
        "amount_due": int(data.get("amount_remaining") or 0) if data.get("status") in shapes.UNPAID else 0,
        "currency": data.get("currency"),
        "created_at": shapes.written(shapes.moment(data.get("created"))),
        "hosted_url": data.get("hosted_invoice_url"),
        "pdf_url": data.get("invoice_pdf"),
    }


def account(user_id: uuid.UUID) -> tuple[str, dict[str, Any] | None]:
    """Return the account's status and its subscription: the current one, or the last."""
    row = account_row(user_id)
    if row is None or not row.subscription:
        return BillingAccount.Status.NONE.value, None
    subscription = {
        "id": row.subscription,
        "status": row.stripe_status,
        **standing_plans.of_account(row).answer(),
        "current_period_end": shapes.written(row.current_period_end),
        "cancel_at_period_end": row.cancel_at_period_end,
    }
    if row.cancel_at is not None:
        subscription["cancel_at"] = shapes.written(row.cancel_at)
    if row.trial_end is not None:
        subscription["trial_end"] = shapes.written(row.trial_end)
    return row.status, subscription

"""Notify users whose subscription's card expires this month or next. Reads the mirror."""

from datetime import date
from typing import Any

from django.db import transaction

from accounts.kit import pages
from billing import customers
from billing.models import BillingAccount
from billing.settlement import notices
from billing.stripe import mirror, shapes

Status = BillingAccount.Status
PAYING = (Status.TRIALING, Status.ACTIVE, Status.PAST_DUE)
LAST_MONTH = 12


def tell(today: date) -> None:
    """Notify each user once for each card and date, however often this runs."""
    accounts = BillingAccount.objects.filter(status__in=PAYING, cancel_at_period_end=False)
    for account in pages.by_key(accounts.only("pk")):
        _tell(account.pk, today)


@transaction.atomic
def _tell(user_id: Any, today: date) -> None:
    account = BillingAccount.objects.select_for_update(no_key=True).get(pk=user_id)
    card = _card(account)
    if card and _months_left(card, today) in {0, 1}:
        notices.card_expiring(account, card=card)


def _months_left(card: dict[str, Any], today: date) -> int:
    months: int = (card["exp_year"] - today.year) * LAST_MONTH + card["exp_month"] - today.month
    return months


def _card(account: BillingAccount) -> dict[str, Any] | None:
    """Return the subscription's own card, or the customer's default."""
    customer = customers.customer_of(account.pk) or ""
    found = mirror.subscriptions(customer).filter(id=account.subscription).first()
    own = shapes.id_of(found.stripe_data.get("default_payment_method")) if found else ""
    row = mirror.payment_methods(customer).filter(id=own or mirror.default_payment_method(customer)).first()
    card = (row.stripe_data.get("card") or {}) if row else {}
    if row is None or not card.get("exp_year"):
        return None
    return {
        "payment_method": row.id,
        **{name: card[name] for name in ("brand", "last4", "exp_month", "exp_year")},
    }

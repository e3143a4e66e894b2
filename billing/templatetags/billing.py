"""Template filters for billing's mails and pages: amounts and moments from stored details."""

from datetime import datetime
from typing import Any

from django import template

from billing import money

register = template.Library()


@register.filter
def money_of(detail: Any, name: str = "amount") -> str:
    """Return an amount in the mapping's own currency, as in `{{ detail|money_of:"refunded" }}`; "" if it has none."""
    amount, currency = detail.get(name), detail.get("currency")
    return "" if amount is None or not currency else money.written(amount, currency)


@register.filter
def grouped(number: int) -> str:
    return money.grouped(number)


@register.filter
def moment_of(text: str | None) -> datetime | None:
    """Return a moment that was stored in JSON."""
    return datetime.fromisoformat(text) if text else None


@register.filter
def payment_money(payment: Any, name: str) -> str:
    """Return an amount of a `Payment` in its currency."""
    amount = getattr(payment, name)
    return "" if amount is None or not payment.currency else money.written(amount, payment.currency)

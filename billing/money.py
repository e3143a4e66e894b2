"""Amounts as people read them: Stripe counts in a currency's smallest unit, which is not always a hundredth."""

from decimal import Decimal

from django.utils import formats

# https://docs.stripe.com/currencies#zero-decimal and #three-decimal; ISK and UGX are charged as if with two decimals.
WHOLE = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"],
)
THOUSANDTHS = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])


def written(amount: int, currency: str) -> str:
    """`12.50 EUR`, as the language of the moment writes numbers."""
    return f"{number(amount, currency)} {currency.upper()}"


def number(amount: int, currency: str) -> str:
    """The same where the currency is named beside it: `12.50`."""
    value = amount_of(amount, currency)
    return str(formats.number_format(value, decimal_pos=decimals(currency), force_grouping=True))


def amount_of(units: int, currency: str) -> Decimal:
    """Return the amount in the currency's main unit: 1250 units of EUR are 12.50."""
    return Decimal(units).scaleb(-decimals(currency))


def smallest_units(amount: Decimal, currency: str) -> int:
    """Return the amount in the currency's smallest unit, as Stripe counts: 12.50 EUR is 1250."""
    return int(amount.scaleb(decimals(currency)))


def grouped(number: int) -> str:
    """Return `12,500`, written as in the active language."""
    return str(formats.number_format(number, force_grouping=True))


def decimals(currency: str) -> int:
    if currency in WHOLE:
        return 0
    return 3 if currency in THOUSANDTHS else 2

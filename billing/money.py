"""Amounts as people read them: Stripe counts in a currency's smallest unit, which is not always a hundredth."""

from decimal import Decimal

from django.utils import formats

# https://docs.stripe.com/currencies#zero-decimal and #three-decimal; ISK and UGX are charged as if they had two.
WHOLE = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"],
)
THOUSANDTHS = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])


def written(amount: int, currency: str) -> str:
    """`12.50 EUR`, as the language of the moment writes numbers."""
    places = decimals(currency)
    value = Decimal(amount).scaleb(-places)
    return f"{formats.number_format(value, decimal_pos=places, force_grouping=True)} {currency.upper()}"


def decimals(currency: str) -> int:
    if currency in WHOLE:
        return 0
    return 3 if currency in THOUSANDTHS else 2

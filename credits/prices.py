"""Look up what a feature costs. Admins edit the prices; services send `feature` and `quantity`, not a price."""

from collections.abc import Mapping
from typing import NamedTuple

from accounts.kit.problems import ValidationFailed
from credits.models import FeaturePrice


class Charge(NamedTuple):
    """The credits for a use, None if its feature has no price; and the price of one unit of the feature."""

    amount: int | None
    unit_price: int | None = None


def charge_of(
    *,
    amount: int | None,
    feature: str | None,
    quantity: int | None,
    known: Mapping[str, FeaturePrice] | None = None,
) -> Charge:
    """Return what a use costs. `known` has prices that were read before.

    Raises ValidationFailed unless there is either an amount, or a feature with a quantity.
    """
    if amount is not None and feature is None and quantity is None:
        return Charge(amount)
    if amount is not None or feature is None or quantity is None:
        raise ValidationFailed(("amount", "invalid", "Send either `amount`, or `feature` and `quantity`."))
    price = FeaturePrice.objects.filter(pk=feature).first() if known is None else known.get(feature)
    return Charge(price.credits * quantity, price.credits) if price else Charge(None)

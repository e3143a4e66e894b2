"""dj-stripe's tables, kept as copies of Stripe's objects by its own event handlers. Nothing is decided by them.

It is told of an event after the event was settled, and may fail: it is asked again later.
"""

from typing import Any

from djstripe.models import Event
from djstripe.models.base import StripeModel

# What its handlers do on these is worse than a stale copy: prices take subscriptions along (CASCADE), and a customer is
# deleted at Stripe once more.
DESTRUCTIVE = frozenset(
    {"price.deleted", "product.deleted", "plan.deleted", "customer.deleted", "coupon.deleted"}
)


def mirror(event: dict[str, Any]) -> None:
    """Lets dj-stripe follow an event: it fetches the object anew and stores it. Raises whatever it raises."""
    if event["type"] in DESTRUCTIVE:
        return
    Event.process(event)


def keep_the_key_out_of_the_database() -> None:
    """dj-stripe finds the account that owns an object by storing the API key in plain text. We have one account, and
    the column may be null."""
    StripeModel._find_owner_account = classmethod(_no_owner)  # noqa: SLF001


def _no_owner(cls: type[StripeModel], data: Any, api_key: Any = None, livemode: Any = None) -> None:
    return None

"""Plans proposed by Stripe's prices: what an operator confirms by `manage.py sync_plans`. Never read at run time.

A price is a plan if its metadata, or its product's, has `credits`. Its code is `plan` in the metadata, or its look-up
key. Also read: `trial_days`, `trial_credits`, `credits_expire_days`.
"""

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from billing.models import Plan
from billing.stripe import gateway
from billing.stripe.shapes import Object

NUMBERS = ("credits", "trial_days", "trial_credits", "credits_expire_days")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What to do about one price. `problem`: why nothing can be."""

    action: str  # create, update, replace, keep, skip
    price: str
    code: str = ""
    changes: dict[str, Any] | None = None
    problem: str = ""


def proposals() -> list[Proposal]:
    """Raises what the gateway raises."""
    return [_proposal(price) for price in gateway.list_prices()]


def _proposal(price: Object) -> Proposal:
    product = price["product"] if isinstance(price.get("product"), dict) else {}
    metadata = {**(product.get("metadata") or {}), **(price.get("metadata") or {})}
    code = str(metadata.get("plan") or price.get("lookup_key") or "")
    if "credits" not in metadata:
        return Proposal(action="skip", price=price["id"], problem="no `credits` in its metadata")
    if price.get("unit_amount") is None:
        return Proposal(action="skip", price=price["id"], code=code, problem="no fixed amount")
    if not code:
        return Proposal(action="skip", price=price["id"], problem="neither `plan` nor a look-up key")
    try:
        fields = _fields(price, product, metadata)
    except ValueError:
        return Proposal(action="skip", price=price["id"], code=code, problem="a number that is none")
    return _compared(price["id"], code, fields)


def _fields(price: Object, product: Object, metadata: dict[str, str]) -> dict[str, Any]:
    recurring = price.get("recurring") or {}
    numbers = {name: int(metadata[name]) for name in NUMBERS if metadata.get(name)}
    return {
        "name": str(product.get("name") or price.get("nickname") or price["id"])[:200],
        "kind": Plan.Kind.SUBSCRIPTION if recurring else Plan.Kind.PACK,
        "amount": int(price["unit_amount"]),
        "currency": price["currency"],
        "interval": recurring.get("interval", ""),
        **{name: numbers.get(name) for name in NUMBERS},
    }


def _compared(price: str, code: str, fields: dict[str, Any]) -> Proposal:
    known = Plan.objects.filter(stripe_price=price).first()
    if known is not None:
        changes = {name: value for name, value in fields.items() if getattr(known, name) != value}
        return Proposal(action="update" if changes else "keep", price=price, code=known.code, changes=changes)
    action = "replace" if Plan.objects.filter(code=code).exists() else "create"
    return Proposal(action=action, price=price, code=code, changes=fields)


@transaction.atomic
def apply(proposal: Proposal) -> None:
    """Carry out a proposal. Where a price replaces another, the old plan stays under another code: it still renews."""
    if proposal.action == "update":
        Plan.objects.filter(stripe_price=proposal.price).update(**(proposal.changes or {}))
    if proposal.action == "replace":
        former = Plan.objects.select_for_update().get(code=proposal.code)
        former.code = f"{proposal.code[:40]}-until-{former.pk}"
        former.active = False
        former.save(update_fields=["code", "active", "changed_at"])
    if proposal.action in {"create", "replace"}:
        Plan.objects.create(code=proposal.code, stripe_price=proposal.price, **(proposal.changes or {}))

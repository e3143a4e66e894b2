"""Plans proposed by Stripe's prices, which an operator confirms with `manage.py sync_plans`. Never read at run time.

A price is a plan if its metadata, or its product's, has `credits`. Its code is `plan` in the metadata, or its look-up
key. Also read: `trial_days`, `trial_credits`, `credits_expire_days`.

The fields of an existing plan that come from Stripe's price always follow it; the rest belongs to staff, and differing
values at Stripe are only shown, unless `overwrite` is set. An archived price takes its plan off sale; it still renews.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import transaction

from accounts import audit
from accounts.audit import Event
from accounts.kit.leases import describe
from accounts.kit.problems import Problem
from billing.models import Plan
from billing.models.catalogue import plan_of
from billing.stripe import gateway, sdk
from billing.stripe.shapes import Object

OF_THE_PRICE = frozenset({"kind", "amount", "currency", "interval", "interval_count"})
NUMBERS = ("credits", "trial_days", "trial_credits", "credits_expire_days")

log = structlog.get_logger("billing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A proposal for one price; `problem` says why nothing can be done."""

    action: str  # create, update, replace, retire, keep, skip
    price: str
    code: str = ""
    changes: dict[str, Any] | None = None
    problem: str = ""


def proposals(*, overwrite: bool = False) -> list[Proposal]:
    """Return the changes to plans that Stripe's prices imply. Raises what the gateway raises."""
    prices = gateway.list_prices()
    return [*(_proposal(price, overwrite=overwrite) for price in prices), *_archived(prices)]


def _archived(prices: list[Object]) -> Iterator[Proposal]:
    """Yield the retirement of each plan on sale that can no longer be bought."""
    listed = [price["id"] for price in prices]
    for plan in Plan.objects.filter(active=True).exclude(stripe_price__in=listed).order_by("code"):
        yield Proposal(action="retire", price=plan.stripe_price, code=plan.code, changes={"active": False})


def _proposal(price: Object, *, overwrite: bool = False) -> Proposal:
    product = price["product"] if isinstance(price.get("product"), dict) else {}
    metadata = {**(product.get("metadata") or {}), **(price.get("metadata") or {})}
    code = str(metadata.get("plan") or price.get("lookup_key") or "")
    if "credits" not in metadata:
        return Proposal(action="skip", price=price["id"], problem="no `credits` in its metadata")
    if not is_fixed(price):
        return Proposal(action="skip", price=price["id"], code=code, problem="no fixed amount")
    if not code:
        return Proposal(
            action="skip", price=price["id"], problem="neither `plan` in its metadata nor a lookup key"
        )
    try:
        fields = _fields(price, product, metadata)
    except ValueError:
        return Proposal(action="skip", price=price["id"], code=code, problem="an invalid number")
    return _compared(price["id"], code, fields, overwrite=overwrite)


def is_fixed(price: Object) -> bool:
    """Return whether each one bought costs `unit_amount`: not by tiers, packages, usage, or what buyers choose."""
    is_metered = (price.get("recurring") or {}).get("usage_type") == "metered"
    return price.get("unit_amount") is not None and not price.get("transform_quantity") and not is_metered


def differences(plan: Plan) -> dict[str, Any]:
    """Return what Stripe's price has in place of the plan's own values. Raises what the gateway raises."""
    price = gateway.retrieve_price(plan.stripe_price)
    if not is_fixed(price):
        return {"stripe_price": "a price without a fixed amount for each one"}
    return _differing(plan, _of_the_price(price))


def _differing(plan: Plan, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if getattr(plan, name) != value}


def warn_of_differences() -> int:
    """Log each plan on sale that is shown at another price than Stripe charges. Return how many there are."""
    found = 0
    for plan in Plan.objects.filter(active=True) if sdk.is_configured() else []:
        try:
            differing = differences(plan)
        except Problem as problem:
            log.warning("plan_not_compared", plan=plan.code, reason=describe(problem))
            continue
        if differing:
            log.warning("plan_differs", plan=plan.code, at_stripe=differing)
            found += 1
    return found


def _of_the_price(price: Object) -> dict[str, Any]:
    recurring = price.get("recurring") or {}
    return {
        "kind": Plan.Kind.SUBSCRIPTION if recurring else Plan.Kind.PACK,
        "amount": int(price["unit_amount"]),
        "currency": price["currency"],
        "interval": recurring.get("interval", ""),
        "interval_count": int(recurring.get("interval_count") or 1),
    }


def _fields(price: Object, product: Object, metadata: dict[str, str]) -> dict[str, Any]:
    numbers = {name: int(metadata[name]) for name in NUMBERS if metadata.get(name)}
    return {
        "name": str(product.get("name") or price.get("nickname") or price["id"])[:200],
        **_of_the_price(price),
        **{name: numbers.get(name) for name in NUMBERS},
    }


def _compared(price: str, code: str, fields: dict[str, Any], *, overwrite: bool) -> Proposal:
    known = plan_of(price)
    if known is not None and known.stripe_price != price:
        return Proposal(
            action="keep", price=price, code=known.code, problem="a former price, which still renews"
        )
    if known is not None:
        differing = _differing(known, fields)
        changes = (
            differing if overwrite else {name: differing[name] for name in differing if name in OF_THE_PRICE}
        )
        left = sorted(differing.keys() - changes.keys())
        problem = (
            f"set by staff, replaced only with --overwrite: {', '.join(left)}" if left and not changes else ""
        )
        action = "update" if changes else "keep"
        return Proposal(action=action, price=price, code=known.code, changes=changes, problem=problem)
    action = "replace" if Plan.objects.filter(code=code).exists() else "create"
    return Proposal(action=action, price=price, code=code, changes=fields)


@transaction.atomic
def apply(proposal: Proposal) -> None:
    """Carry out a proposal. If a price replaces another, the old plan stays under another code, as it still renews."""
    if proposal.action in {"update", "retire"}:
        Plan.objects.filter(stripe_price=proposal.price).update(**(proposal.changes or {}))
    if proposal.action == "replace":
        former = Plan.objects.select_for_update().get(code=proposal.code)
        former.code = f"{proposal.code[:40]}-until-{former.pk}"
        former.active = False
        former.save(update_fields=["code", "active", "changed_at"])
    if proposal.action in {"create", "replace"}:
        Plan.objects.create(code=proposal.code, stripe_price=proposal.price, **(proposal.changes or {}))
    if proposal.action not in {"keep", "skip"}:
        detail = {"plan": proposal.code, "price": proposal.price, "changed": proposal.changes}
        audit.record(Event.PLAN_CHANGED, user_id=None, actor="sync_plans", detail=detail)

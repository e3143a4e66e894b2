"""What is sold."""

from billing.errors import PlanNotFound
from billing.models import Plan


def plan_named(code: str, *, kind: Plan.Kind | None = None) -> Plan:
    """One that is sold, and of this kind. Raises PlanNotFound."""
    plan = Plan.objects.filter(code=code, active=True).first()
    if plan is None or (kind is not None and plan.kind != kind):
        raise PlanNotFound
    return plan

"""Commands that ask Stripe answer as all do with --json: one object."""

import json
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection

from credits import ledger
from credits.ledger.calls import Call
from credits.models import AdjustmentRequest
from tests.fake_stripe.kinds import API_VERSION


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "member"),
    [
        (["reconcile_stripe", "--since", "1h"], "differences"),
        (["stripe_setup", "--host", "login.example.test"], "results"),
        (["sync_plans", "--dry-run"], "results"),
    ],
    ids=lambda one: one[0] if isinstance(one, list) else "",
)
def test_json_is_one_object(stripe: Any, settings: Any, arguments: list[str], member: str) -> None:
    settings.STRIPE_API_VERSION = API_VERSION
    out = StringIO()
    call_command(*arguments, "--json", stdout=out)
    assert isinstance(json.loads(out.getvalue())[member], list)


@pytest.mark.django_db
def test_the_report_before_an_upgrade_names_what_becomes_of_the_ledger(make_user: Any) -> None:
    """Credits of users who are erased, and adjustments of oneself, as the version before let them be."""
    erased, staff = make_user(), make_user(is_staff=True)
    ledger.add(user_id=erased.pk, amount=70, call=Call(service="shop"))
    erased.status = "deleted"
    erased.save()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE credits_adjustmentrequest DROP CONSTRAINT adjustment_not_for_oneself")
    values: dict[str, Any] = {"user": staff, "amount": 5, "requested_by": staff, "decision": "direct"}
    own = AdjustmentRequest.objects.create(id=uuid4(), **values)
    AdjustmentRequest.objects.create(id=uuid4(), before_rule=True, **values)
    out = StringIO()
    call_command("settlement_report", "--json", stdout=out)
    found = json.loads(out.getvalue())
    assert found["erased_with_credits"] == [[str(erased.pk), 70]]
    assert found["own_adjustments"] == [[str(own.pk), str(staff.pk), 5]]

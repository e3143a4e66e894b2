"""Commands that ask Stripe answer as all do with --json: one object."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

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

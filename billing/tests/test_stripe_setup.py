"""manage.py stripe_setup: from an empty account to one that this service works with, as often as it is run."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from billing.models import Plan
from billing.stripe_sync import inbox
from tests.fake_stripe.kinds import API_VERSION

pytestmark = pytest.mark.django_db
PRODUCTS = ["--product", "tiny:Tiny:50:250:eur", "--product", "quarterly:Quarterly:700:2500:eur:month:3"]


@pytest.fixture(autouse=True)
def _version(settings):
    settings.STRIPE_API_VERSION = API_VERSION


def set_up(*arguments):
    out = StringIO()
    call_command("stripe_setup", "--host", "login.example.test", *arguments, stdout=out)
    return out.getvalue()


def test_makes_the_endpoint_the_portal_and_the_products_once(stripe):
    before = stripe.count("price")
    told = set_up(*PRODUCTS)
    assert "STRIPE_WEBHOOK_SECRETS=whsec_" in told
    (endpoint,) = [row for row in stripe.objects("webhook_endpoint") if "login.example.test" in row["url"]]
    assert endpoint["url"] == "https://login.example.test/v1/billing/webhook"
    assert set(inbox.HANDLERS) <= set(endpoint["enabled_events"])
    (portal,) = stripe.objects("billing_portal.configuration")
    assert f"STRIPE_PORTAL_CONFIGURATION={portal['id']}" in told
    assert portal["features"]["subscription_update"]["enabled"] is False
    again = set_up(*PRODUCTS)
    assert "already exists" in again
    assert "whsec_" not in again
    assert stripe.count("price") == before + 2
    assert stripe.count("billing_portal.configuration") == 1


def test_what_it_makes_becomes_plans(stripe):
    set_up(*PRODUCTS)
    call_command("sync_plans", stdout=StringIO())
    tiny, quarterly = Plan.objects.get(code="tiny"), Plan.objects.get(code="quarterly")
    assert (tiny.kind, tiny.credits, tiny.amount) == ("pack", 50, 250)
    assert (quarterly.interval, quarterly.interval_count, quarterly.name) == ("month", 3, "Quarterly")


@pytest.mark.parametrize("text", ["tiny", "tiny:Tiny:x:250:eur", "tiny:Tiny:50:250"])
def test_a_product_that_cannot_be_read_is_refused(text):
    with pytest.raises(CommandError, match="basic:Basic"):
        set_up("--product", text)

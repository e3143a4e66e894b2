"""Checks that what the fake Stripe sends has the shapes that Stripe's SDK and dj-stripe know."""

import json
from typing import Any

import pytest
import stripe
from djstripe import models
from djstripe.settings import djstripe_settings

from tests.fake_stripe import conformity, kinds, stories
from tests.fake_stripe.control import Control

# Those that are only ever parts of others, and one that nobody fetches.
PARTS = {
    "billing_portal.configuration",
    "credit_note_line_item",
    "item",
    "line_item",
    "plan",
    "subscription_item",
}


def test_the_version_is_dj_stripes_and_of_the_sdks_release() -> None:
    assert djstripe_settings.DEFAULT_STRIPE_API_VERSION == kinds.API_VERSION
    assert kinds.API_VERSION.partition(".")[2] == stripe.api_version.partition(".")[2]
    assert stripe.api_version >= kinds.API_VERSION


class TestAnswers:
    def test_every_kind_is_what_the_sdk_describes(self, fake_stripe: Control) -> None:
        stories.everything(fake_stripe)
        counted = fake_stripe.counts()["objects"]
        assert {kind for kind, count in counted.items() if count} == kinds.KINDS.keys() - PARTS
        found = [one for kind in counted for one in fake_stripe.objects(kind)]
        found += [event["data"]["object"] for event in fake_stripe.events()]
        assert [fault for one in found for fault in conformity.differences(one)] == []

    def test_so_is_what_is_expanded(self, fake_stripe: Control) -> None:
        sdk = stories.everything(fake_stripe)
        asked = {
            "invoices": ("payments", "confirmation_secret", "customer", "lines"),
            "subscriptions": ("latest_invoice.payments", "customer", "default_payment_method"),
            "charges": ("refunds", "balance_transaction", "payment_intent", "customer"),
            "checkout/sessions": ("line_items", "payment_intent", "customer"),
            "customers": ("subscriptions", "invoice_settings.default_payment_method"),
        }
        for path, parts in asked.items():
            expand = "&".join(f"expand[]=data.{part}" for part in parts)
            for one in raw(sdk, f"/v1/{path}?{expand}")["data"]:
                assert conformity.differences(one) == []
                assert parts[0].partition(".")[0] in one

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"amuont": 1}, "charge.amuont: unknown"),
            ({"amount": "2000"}, "charge.amount: '2000' is no int"),
            ({"status": "done"}, "charge.status: 'done' is none of ('failed', 'pending', 'succeeded')"),
        ],
    )
    def test_a_wrong_one_would_be_told(self, fake_stripe: Control, change: Any, told: str) -> None:
        stories.everything(fake_stripe)
        assert conformity.differences({**fake_stripe.objects("charge")[0], **change}) == [told]


def raw(sdk: stripe.StripeClient, path: str) -> Any:
    """As it came over the wire, before the SDK made anything of it."""
    return json.loads(sdk.raw_request("get", path).body)


@pytest.fixture
def mirrored(fake_stripe: Control, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Control:
    """dj-stripe fetches what an object refers to from where the SDK's globals point."""
    settings.STRIPE_SECRET_KEY = settings.STRIPE_TEST_SECRET_KEY = "sk_test_1"
    monkeypatch.setattr(stripe, "api_base", fake_stripe.url)
    monkeypatch.setattr(stripe, "api_key", "sk_test_1")
    monkeypatch.setattr(stripe, "max_network_retries", 0)
    monkeypatch.setattr(stripe, "default_http_client", stripe.RequestsClient())
    stories.everything(fake_stripe)
    return fake_stripe


MIRRORED = {
    "product": models.Product,
    "price": models.Price,
    "customer": models.Customer,
    "payment_method": models.PaymentMethod,
    "payment_intent": models.PaymentIntent,
    "setup_intent": models.SetupIntent,
    "charge": models.Charge,
    "refund": models.Refund,
    "dispute": models.Dispute,
    "subscription": models.Subscription,
    "invoice": models.Invoice,
    "checkout.session": models.Session,
    "balance_transaction": models.BalanceTransaction,
}


@pytest.mark.django_db
class TestMirror:
    def test_dj_stripe_takes_every_object(self, mirrored: Control) -> None:
        for kind, model in MIRRORED.items():
            given = mirrored.objects(kind)
            assert given, kind
            for one in given:
                received = kinds.KINDS[kind].construct_from(one, "sk_test_1")
                model.sync_from_stripe_data(received, api_key="sk_test_1")
            assert model.objects.count() >= len(given), kind

    def test_and_every_event(self, mirrored: Control) -> None:
        given = mirrored.events()
        for event in given:
            models.Event.process(event, api_key="sk_test_1")
        assert models.Event.objects.count() == len(given)
        assert mirrored.bugs() == []

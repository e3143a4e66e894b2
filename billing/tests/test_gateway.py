"""The gateway against a Stripe that fails in every way (F7), and the versions that must agree."""

import time
from threading import Thread
from typing import Any

import pytest
import stripe as sdk
from djstripe.settings import djstripe_settings

from billing import customers
from billing.errors import BillingRejected, BillingUnavailable, PaymentFailed, StripeObjectMissing
from billing.models import CustomerLink
from billing.stripe import gateway
from billing.stripe import sdk as stripe_client

pytestmark = pytest.mark.django_db
LONGEST = 10.0


class TestVersions:
    def test_sdk_dj_stripe_and_setting_agree(self, stripe, settings):
        spoken = settings.STRIPE_API_VERSION
        assert sdk.StripeClient("sk_test_x")._requestor._options.stripe_version == spoken
        assert spoken == djstripe_settings.STRIPE_API_VERSION

    def test_dj_stripe_was_made_for_the_same_release(self, settings):
        """Within a release Stripe only adds (https://docs.stripe.com/api/versioning)."""
        release = settings.STRIPE_API_VERSION.partition(".")[2]
        assert djstripe_settings.DEFAULT_STRIPE_API_VERSION.partition(".")[2] == release
        assert release == sdk._api_version._ApiVersion.CURRENT_MAJOR

    def test_dj_stripe_asks_the_same_address_with_the_same_end(self, stripe):
        assert sdk.api_base == stripe.url
        assert isinstance(sdk.default_http_client, stripe_client.BoundedClient)
        assert sdk.max_network_retries == 0


@pytest.fixture
def two_places(settings, stripe):
    """As in one process of a listener with four threads."""
    settings.STRIPE_CONCURRENCY, settings.STRIPE_QUEUE, settings.STRIPE_PATIENCE = 2, 1, 0.3
    stripe_client._http_client.cache_clear()
    stripe_client.configure()
    yield
    stripe_client._http_client.cache_clear()
    stripe_client.configure()


class TestPlaces:
    def calls(self, number: int) -> list[tuple[bool, float]]:
        """Of so many at the same moment: whether each was answered, and after how many seconds."""
        found: list[tuple[bool, float]] = []

        def call() -> None:
            started, answered = time.monotonic(), True
            try:
                with stripe_client.within(3):
                    gateway.list_prices()
            except BillingUnavailable:
                answered = False
            found.append((answered, time.monotonic() - started))

        threads = [Thread(target=call) for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def test_silence_holds_no_more_threads_than_there_are_places(self, stripe, two_places):
        stripe.fault(black_hole=True, delay=60, times=10)
        found = self.calls(8)
        assert [answered for answered, _ in found] == [False] * 8
        assert sum(seconds > 2 for _, seconds in found) == 2

    def test_and_gives_them_back(self, stripe, two_places):
        stripe.fault(status=500, times=4)
        for _ in range(4):
            with pytest.raises(BillingUnavailable):
                gateway.list_prices()
        assert [answered for answered, _ in self.calls(2)] == [True, True]


class TestFailures:
    def seconds(self, call: Any) -> float:
        started = time.monotonic()
        with pytest.raises(BillingUnavailable):
            call()
        return time.monotonic() - started

    @pytest.mark.parametrize("status", [429, 500, 502, 503])
    def test_an_error_of_stripes_is_a_503(self, stripe, status):
        stripe.fault(status=status)
        assert self.seconds(gateway.list_prices) < 2

    def test_so_is_a_refused_connection(self, stripe, settings):
        settings.STRIPE_API_BASE = "http://127.0.0.1:9"
        assert self.seconds(gateway.list_prices) < 3

    def test_a_black_hole_is_one_within_ten_seconds_however_many_calls_there_are(self, stripe, user):
        stripe.fault(black_hole=True, delay=60, times=10)

        def two_calls() -> None:
            with stripe_client.within():
                for _ in range(2):
                    with pytest.raises(BillingUnavailable):
                        gateway.list_prices()
                gateway.list_prices()

        assert self.seconds(two_calls) < LONGEST

    def test_a_late_answer_is_one_too(self, stripe):
        stripe.fault(late=30)
        assert self.seconds(gateway.list_prices) < LONGEST

    def test_without_a_key(self, stripe, settings):
        settings.STRIPE_SECRET_KEY = ""
        assert self.seconds(gateway.list_prices) < 0.1

    @pytest.mark.parametrize("fault", [{"cut": True}, {"refuse": True}, {"status": 500, "stored": False}])
    def test_the_same_key_again_leaves_one_object(self, stripe, fault):
        stripe.fault(path="/v1/customers", method="POST", **fault)
        with pytest.raises(BillingUnavailable):
            gateway.create_customer(email="a@example.com", metadata={}, key="once")
        made = gateway.create_customer(email="a@example.com", metadata={}, key="once")
        assert [one["id"] for one in stripe.objects("customer")] == [made["id"]]

    def test_refusals(self, stripe):
        with pytest.raises(StripeObjectMissing):
            gateway.retrieve_subscription("sub_nobody")
        with pytest.raises(BillingRejected):
            gateway.create_portal_session(customer="cus_nobody", return_url="https://shop.test/", key="k")
        customer = gateway.create_customer(email="a@example.com", metadata={}, key="c")["id"]
        with pytest.raises((PaymentFailed, BillingRejected)):
            gateway.create_subscription(
                customer=customer, price="price_sub_basic", metadata={}, payment_method="pm_none", key="s"
            )


class TestCustomers:
    def test_one_customer_for_a_user_however_often_the_answer_is_lost(self, stripe, make_user):
        user = make_user()
        stripe.fault(path="/v1/customers", method="POST", cut=True)
        with pytest.raises(BillingUnavailable):
            customers.ensure(user.pk)
        assert not CustomerLink.objects.exists()
        made = customers.ensure(user.pk)
        assert customers.ensure(user.pk) == made
        assert stripe.count("customer") == 1
        assert customers.user_of(made) == user.pk

    def test_an_error_that_stripe_keeps_for_its_key_does_not_keep_the_user_out(self, stripe, make_user):
        stripe.fault(path="/v1/customers", method="POST", status=500)
        assert customers.ensure(make_user().pk)
        assert stripe.count("customer") == 1

    def test_one_that_was_made_and_forgotten_long_ago_is_found(self, stripe, make_user):
        user = make_user()
        lost = gateway.create_customer(email=user.email, metadata={"user_id": str(user.pk)}, key="lost")
        stripe.advance(days=2)
        assert customers.ensure(user.pk) == lost["id"]

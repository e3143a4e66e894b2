"""The gateway against a Stripe that fails in every way (F7), and the versions that must agree."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
import stripe as sdk
from djstripe.settings import djstripe_settings

from billing import customers
from billing.errors import BillingRejected, BillingUnavailable, PaymentFailed, StripeObjectMissing
from billing.models import CustomerLink
from billing.stripe import gateway
from billing.stripe import sdk as stripe_client
from tests.waiting import eventually

pytestmark = pytest.mark.django_db
LONGEST = 10.0  # seconds until a caller has its answer
SILENCE = 60.0  # seconds for which Stripe says nothing: far more than anybody waits for it


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
    @contextmanager
    def calls(self, number: int) -> Iterator[list[bool]]:
        """Make so many at the same moment. The list grows: whether each was answered; after the block it is whole."""
        found: list[bool] = []

        def call() -> None:
            try:
                gateway.list_prices()
            except BillingUnavailable:
                found.append(False)
            else:
                found.append(True)

        threads = [Thread(target=call) for _ in range(number)]
        for thread in threads:
            thread.start()
        yield found
        for thread in threads:
            thread.join()

    def test_silence_holds_no_more_threads_than_there_are_places(self, stripe, two_places):
        stripe.fault(black_hole=True, times=10)
        with self.calls(8) as found:
            eventually(lambda: len(found) == 6, "the refusal of those who found no place")
            assert [fault["used"] for fault in stripe.faults()] == [2]
            stripe.clear_faults()
        assert found == [False] * 8

    def test_and_gives_them_back(self, stripe, two_places):
        stripe.fault(status=500, times=4)
        for _ in range(4):
            with pytest.raises(BillingUnavailable):
                gateway.list_prices()
        with self.calls(2) as found:
            pass
        assert found == [True, True]


class TestFailures:
    def unavailable(self) -> None:
        with pytest.raises(BillingUnavailable):
            gateway.list_prices()

    @pytest.mark.parametrize("status", [429, 500, 502, 503])
    def test_an_error_of_stripes_is_a_503(self, stripe, status):
        """At once: the caller repeats, and we do not."""
        stripe.fault(status=status)
        self.unavailable()
        assert len(stripe.requests()) == 1

    def test_so_is_a_refused_connection(self, stripe, settings):
        settings.STRIPE_API_BASE = "http://127.0.0.1:9"
        self.unavailable()

    def test_a_black_hole_is_one_within_ten_seconds_however_many_calls_there_are(self, stripe, user):
        """The first call uses up the time of all: Stripe never hears of the others."""
        assert stripe_client.CALL_SECONDS < LONGEST
        stripe.fault(black_hole=True, delay=SILENCE, times=10)
        started = time.monotonic()
        with stripe_client.within():
            for _ in range(3):
                self.unavailable()
        assert time.monotonic() - started < SILENCE
        assert [fault["used"] for fault in stripe.faults()] == [1]

    def test_a_late_answer_is_one_too(self, stripe):
        stripe.fault(late=SILENCE)  # then it would be a success
        self.unavailable()

    def test_without_a_key(self, stripe, settings):
        settings.STRIPE_SECRET_KEY = ""
        self.unavailable()
        assert stripe.requests() == []

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

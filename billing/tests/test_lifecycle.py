"""The account's status follows the subscription; spending freezes where the setting says."""

import pytest

from accounts.models import ServiceEvent
from billing.models import BillingAccount
from billing.settlement import lifecycle
from billing.stripe import gateway
from billing.tests.conftest import carry_out
from credits.errors import AccountFrozen
from credits.models import UserCredit

pytestmark = pytest.mark.django_db


def status_of(buyer) -> str:
    return BillingAccount.objects.get(pk=buyer.id).status


class TestStatus:
    def test_who_has_bought_packs_only_has_none(self, stripe, plans, buyer):
        buyer.buy(plans["small"])
        carry_out(stripe.events())
        account = lifecycle.follow(buyer.id)
        assert account is not None
        assert (account.status, account.subscription) == ("none", "")

    def test_from_trial_to_the_end(self, stripe, plans, buyer):
        session = buyer.buy(plans["pro"], trial=True)
        carry_out(stripe.events())
        account = BillingAccount.objects.get(pk=buyer.id)
        assert (account.status, account.plan) == ("trialing", plans["pro"])
        assert account.trial_end is not None
        stripe.advance(days=15)
        carry_out(stripe.events())
        assert status_of(buyer) == "active"
        gateway.end_with_period(subscription=session["subscription"])
        carry_out(stripe.events())
        account = BillingAccount.objects.get(pk=buyer.id)
        assert (account.status, account.cancel_at_period_end) == ("active", True)
        stripe.advance(days=32)
        carry_out(stripe.events())
        assert status_of(buyer) == "canceled"
        changes = ServiceEvent.objects.filter(type="billing.status_changed").order_by("pk")
        assert [event.data["status"] for event in changes] == ["trialing", "active", "canceled"]

    def test_the_order_of_events_does_not_matter(self, stripe, plans, buyer):
        session = buyer.buy(plans["basic"])
        gateway.cancel_subscription(subscription=session["subscription"])
        carry_out(reversed(stripe.events()))
        assert status_of(buyer) == "canceled"

    def test_a_newer_subscription_counts(self, stripe, plans, buyer):
        first = buyer.buy(plans["basic"])
        gateway.cancel_subscription(subscription=first["subscription"])
        stripe.advance(seconds=10)
        second = buyer.buy(plans["pro"])
        account = lifecycle.follow(buyer.id)
        assert account is not None
        assert (account.status, account.subscription) == ("active", second["subscription"])

    def test_who_looked_earlier_undoes_nothing(self, stripe, plans, buyer):
        session = buyer.buy(plans["basic"])
        stale = gateway.list_subscriptions(customer=buyer.customer)
        gateway.cancel_subscription(subscription=session["subscription"])
        lifecycle.follow(buyer.id)
        assert lifecycle._apply(buyer.id, 0, lifecycle.current(stale)) is None
        assert status_of(buyer) == "canceled"


class TestFreezing:
    @pytest.fixture
    def unpaid(self, stripe, plans, buyer):
        """A subscriber whose card stopped working, after the last try to charge it."""
        stripe.settings(dunning_end="unpaid")
        session = buyer.buy(plans["basic"])
        carry_out(stripe.events())
        method = gateway.retrieve_subscription(session["subscription"])["default_payment_method"]["id"]
        stripe.break_card(method)
        stripe.renew(session["subscription"])
        buyer.method = method
        return buyer

    def test_past_due_may_spend_and_unpaid_may_not(self, stripe, unpaid):
        lifecycle.follow(unpaid.id)
        assert status_of(unpaid) == "past_due"
        unpaid.use(1)
        stripe.advance(days=40)
        lifecycle.follow(unpaid.id)
        assert status_of(unpaid) == "frozen"
        assert UserCredit.objects.get(pk=unpaid.id).blocked == ["billing"]
        with pytest.raises(AccountFrozen):
            unpaid.use(1)

    def test_the_setting_says_when(self, stripe, unpaid, settings):
        settings.BILLING_FREEZE_ON = ["past_due", "unpaid"]
        lifecycle.follow(unpaid.id)
        assert status_of(unpaid) == "frozen"
        settings.BILLING_FREEZE_ON = []
        lifecycle.follow(unpaid.id)
        assert status_of(unpaid) == "past_due"
        unpaid.use(1)

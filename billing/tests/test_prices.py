"""Plans that are edited while they are in use: what was offered is given, what was sold renews, staff's words stay."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import AuditEvent
from billing.models import BillingAccount, FormerPrice, PaymentLine, Plan, Request
from billing.models.catalogue import plan_of
from billing.stripe import gateway, sdk
from billing.stripe_sync import reconcile
from billing.tests.calls import Shop
from billing.tests.conftest import carry_out
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(internal: ListenerClient, service_key, settings) -> Shop:
    settings.BILLING_RETURN_HOSTS = ["shop.test"]
    return Shop(internal, service_key("shop"))


def edit(plan, **values):
    for name, value in values.items():
        setattr(plan, name, value)
    plan.save()


def another_price(plan, **values):
    """A price of the same product, as staff make it at Stripe when a plan gets dearer."""
    product = sdk.client().v1.prices.retrieve(plan.stripe_price).product
    recurring: Any = {"recurring": {"interval": "month"}} if plan.interval else {}
    fields: Any = {"product": product, "unit_amount": 1500, "currency": "eur", **recurring, **values}
    return sdk.client().v1.prices.create(fields).id


class TestWhatWasOffered:
    @pytest.mark.parametrize("code", ["small", "basic"])
    def test_is_given_though_the_plan_is_edited_meanwhile(self, shop, stripe, plans, buyer, code):
        offered = plans[code].credits
        session = shop.checkout(buyer.id, plan=code).json()["id"]
        edit(plans[code], credits=7)
        stripe.pay_checkout(session)
        carry_out(stripe.events())
        assert buyer.balance == offered

    @pytest.mark.parametrize("days", [(None, 1), (30, 300), (30, None)])
    def test_lasts_as_long_as_was_offered(self, shop, stripe, plans, buyer, days):
        offered, then = days
        edit(plans["small"], credits_expire_days=offered)
        session = shop.checkout(buyer.id, plan="small").json()["id"]
        edit(plans["small"], credits_expire_days=then)
        stripe.pay_checkout(session)
        carry_out(stripe.events())
        (line,) = PaymentLine.objects.all()
        if offered is None:
            assert line.expires_at is None
        else:
            assert line.expires_at
            assert abs(line.expires_at - timezone.now() - timedelta(days=offered)) < timedelta(minutes=5)

    def test_outlives_its_period_as_was_offered(self, shop, stripe, plans, buyer):
        session = shop.checkout(buyer.id, plan="basic").json()["id"]
        edit(plans["basic"], grace_hours=1, credits_expire_days=2)
        stripe.pay_checkout(session)
        carry_out(stripe.events())
        (line,) = PaymentLine.objects.all()
        account = BillingAccount.objects.get(pk=buyer.id)
        assert line.expires_at and account.current_period_end  # noqa: PT018
        assert line.expires_at - account.current_period_end == timedelta(hours=72)

    def test_is_the_trial_that_was_offered(self, shop, stripe, plans, buyer):
        session = shop.checkout(buyer.id, plan="pro").json()["id"]
        edit(plans["pro"], trial_credits=7)
        stripe.pay_checkout(session)
        carry_out(stripe.events())
        assert buyer.balance == 50

    def test_is_given_though_its_price_is_another_plans_by_now(self, shop, stripe, plans, buyer):
        price = plans["small"].stripe_price
        session = shop.checkout(buyer.id, plan="small").json()["id"]
        edit(plans["small"], stripe_price="price_other")
        edit(plans["large"], stripe_price=price)
        stripe.pay_checkout(session)
        carry_out(stripe.events())
        (line,) = PaymentLine.objects.all()
        assert (line.plan, buyer.balance) == (plans["small"], 100)

    def test_by_the_version_before_was_only_how_many_credits(self, shop, stripe, plans, buyer):
        session = shop.checkout(buyer.id, plan="small").json()["id"]
        Request.objects.update(terms=None)
        edit(plans["small"], credits=7, credits_expire_days=3)
        stripe.pay_checkout(session)
        carry_out(stripe.events())
        (line,) = PaymentLine.objects.all()
        assert (line.credits, line.expires_at is None) == (100, False)

    def test_a_later_period_gives_what_the_plan_has_then(self, shop, stripe, plans, buyer):
        stripe.pay_checkout(shop.checkout(buyer.id, plan="basic").json()["id"])
        carry_out(stripe.events())
        edit(plans["basic"], credits=300)
        stripe.renew(BillingAccount.objects.get(pk=buyer.id).subscription)
        carry_out(stripe.events())
        assert [amount for _, amount in buyer.journal] == [200, 300]

    def test_a_price_that_somebody_else_sells_is_not_our_offer(self, stripe, plans, buyer):
        buyer.buy(plans["small"])
        edit(plans["small"], credits=7)
        carry_out(stripe.events())
        assert buyer.balance == 7


class TestFormerPrices:
    def test_a_subscription_at_a_former_price_renews_and_shows_its_plan(self, stripe, plans, buyer):
        subscription = buyer.buy(plans["basic"])["subscription"]
        carry_out(stripe.events())
        edit(plans["basic"], stripe_price=another_price(plans["basic"]))
        stripe.renew(subscription)
        carry_out(stripe.events())
        assert buyer.balance == 400
        account = BillingAccount.objects.get(pk=buyer.id)
        assert account.plan == plans["basic"]
        assert not PaymentLine.objects.filter(kind="open").exists()

    def test_a_line_that_waits_settles_by_a_former_price(self, stripe, plans, buyer):
        price = plans["small"].stripe_price
        Plan.objects.filter(code="small").update(stripe_price="price_typo")
        session = gateway.create_checkout_session(
            customer=buyer.customer, mode="payment", price=price, quantity=1, metadata={}, key="k",
            success_url="https://shop.test/", cancel_url="https://shop.test/",
        )  # fmt: skip
        stripe.pay_checkout(session["id"])
        carry_out(stripe.events())
        assert buyer.balance == 0
        FormerPrice.objects.create(price=price, plan=plans["small"])
        assert reconcile.settle_open_lines() == 1
        assert buyer.balance == 100

    def test_what_is_current_again_counts_as_that(self, plans):
        price = plans["basic"].stripe_price
        edit(plans["basic"], stripe_price="price_other")
        edit(plans["pro"], stripe_price=price)
        assert FormerPrice.objects.get(price=price).plan == plans["basic"]
        assert plan_of(price) == plans["pro"]


class TestSync:
    def test_staff_keep_their_words_unless_they_are_to_go(self, stripe, plans):
        edit(plans["small"], name="Starter", credits=123)
        self.run()
        plans["small"].refresh_from_db()
        assert (plans["small"].name, plans["small"].credits) == ("Starter", 123)
        assert "small" not in {row.detail["plan"] for row in self.changes()}
        assert "set by staff" in self.run("--dry-run")
        self.run("--overwrite")
        plans["small"].refresh_from_db()
        assert (plans["small"].credits, plans["small"].name) != (123, "Starter")
        assert "small" in {row.detail["plan"] for row in self.changes()}

    def test_what_the_price_is_made_of_follows(self, stripe, plans):
        edit(plans["small"], amount=1)
        self.run()
        plans["small"].refresh_from_db()
        assert plans["small"].amount == 500

    def test_a_quarter_is_three_months(self, stripe, plans, shop):
        price = another_price(plans["basic"], recurring={"interval": "month", "interval_count": 3},
                              metadata={"plan": "quarterly", "credits": "700"})  # fmt: skip
        self.run()
        assert Plan.objects.get(stripe_price=price).interval_count == 3
        shown = {row["code"]: row for row in shop.get("plans").json()["results"]}
        assert (shown["quarterly"]["interval"], shown["quarterly"]["interval_count"]) == ("month", 3)
        assert "interval_count" not in shown["small"]

    def test_an_archived_price_is_off_sale_and_still_renews(self, stripe, plans, buyer):
        subscription = buyer.buy(plans["basic"])["subscription"]
        sdk.client().v1.prices.update(plans["basic"].stripe_price, {"active": False})
        assert "retire" in self.run()
        assert not Plan.objects.get(code="basic").active
        stripe.renew(subscription)
        carry_out(stripe.events())
        assert buyer.balance == 400

    @staticmethod
    def changes():
        return AuditEvent.objects.filter(type="plan_changed", actor="sync_plans")

    @staticmethod
    def run(*arguments):
        out = StringIO()
        call_command("sync_plans", *arguments, stdout=out)
        return out.getvalue()

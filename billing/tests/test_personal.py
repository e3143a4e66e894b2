"""Follows an account's end: at Stripe, in the mirror and here; the export; plans from Stripe's prices."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts import hooks
from accounts.identity import address_change, erasure
from accounts.models import AddressChange, User
from billing.models import CustomerChange, CustomerLink, InboxEvent, Payment, Plan, Request
from billing.settlement import settle
from billing.stripe import gateway, sdk
from billing.stripe.shapes import ENDED_SUBSCRIPTIONS
from billing.stripe_sync import changes, inbox
from billing.tests.conftest import carry_out, receive
from tests.fixtures import issue_access_token
from tests.test_account_hooks import dump

pytestmark = pytest.mark.django_db


class TestAddress:
    def test_a_changed_address_reaches_stripe(self, stripe, buyer):
        AddressChange.objects.create(user=buyer.user, old_email=buyer.user.email, new_email="new@example.com")
        address_change._move(buyer.user, "new@example.com", holder=None)
        hooks.address_changed(buyer.id)
        hooks.address_changed(buyer.id)
        assert CustomerChange.objects.count() == 1
        stripe.fault(path="/v1/customers/.*", status=500)
        changes.carry_out()
        assert gateway.retrieve_customer(buyer.customer)["email"] != "new@example.com"
        CustomerChange.objects.update(due_at=timezone.now())
        changes.carry_out()
        assert gateway.retrieve_customer(buyer.customer)["email"] == "new@example.com"

    def test_who_is_no_customer_is_nobody_there(self, make_user):
        hooks.address_changed(make_user().pk)
        assert not CustomerChange.objects.exists()


class TestLeaving:
    def test_the_subscription_ends_with_its_period(self, public, stripe, plans, buyer):
        session = buyer.buy(plans["basic"])
        carry_out(stripe.events())
        assert public.with_token(issue_access_token(buyer.user)).delete("/v1/auth/me").status_code == 202
        changes.carry_out()
        assert gateway.retrieve_subscription(session["subscription"])["cancel_at_period_end"] is True

    @pytest.mark.parametrize("plan", ["small", "basic"])
    def test_no_page_of_checkout_stays_open(self, public, shop, buyer, plan):
        page = shop.checkout(buyer.id, plan).json()["id"]
        public.with_token(issue_access_token(buyer.user)).delete("/v1/auth/me")
        changes.carry_out()
        assert gateway.retrieve_checkout_session(page)["status"] == "expired"

    def test_what_waits_for_its_first_payment_can_no_longer_be_paid(self, public, shop, buyer):
        waiting = shop.post("subscriptions", user_id=buyer.id, plan="basic").json()
        assert waiting["status"] == "incomplete"
        public.with_token(issue_access_token(buyer.user)).delete("/v1/auth/me")
        changes.carry_out()
        assert gateway.retrieve_subscription(waiting["id"])["status"] in ENDED_SUBSCRIPTIONS

    def test_who_came_back_before_keeps_it(self, public, stripe, plans, buyer):
        session = buyer.buy(plans["basic"])
        public.with_token(issue_access_token(buyer.user)).delete("/v1/auth/me")
        User.objects.filter(pk=buyer.id).update(status="active", deletes_at=None)
        changes.carry_out()
        assert gateway.retrieve_subscription(session["subscription"])["cancel_at_period_end"] is False

    def test_erasure_leaves_nothing_personal(self, public, stripe, plans, buyer):
        email = buyer.user.email
        session = buyer.buy(plans["basic"])
        carry_out(stripe.events())
        gateway.update_customer_email(customer=buyer.customer, email=email)
        carry_out(stripe.events())
        Request.objects.create(
            service="shop",
            user=buyer.user,
            key="k",
            digest=b"",
            operation="x",
            status=201,
            answer={"to": email},
        )
        assert dump().count(email) > 3
        public.with_token(issue_access_token(buyer.user)).delete("/v1/auth/me")
        changes.carry_out()
        User.objects.filter(pk=buyer.id).update(deletes_at=timezone.now())
        assert erasure.erase_due() == 1
        changes.carry_out()
        assert stripe.count("customer") == 0
        assert gateway.retrieve_subscription(session["subscription"])["status"] == "canceled"
        assert CustomerLink.objects.get().deleted_at is not None
        InboxEvent.objects.update(due_at=timezone.now())
        carry_out(stripe.events())  # what Stripe says about it afterwards is not kept either
        assert email not in dump()
        assert Payment.objects.get().paid == 900
        assert buyer.verifies()

    def test_a_refund_after_the_erasure_disturbs_nobody(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"])
        charge = buyer.charge_of(session)
        carry_out(stripe.events())
        User.objects.filter(pk=buyer.id).update(status="deleted", email=None, email_verified_at=None)
        stripe.refund(charge, 100)
        carry_out(stripe.events("charge.refunded"))
        assert Payment.objects.get().kept == 400
        assert not inbox.dead().exists()


class TestExport:
    def test_has_the_subscription_and_the_payments(self, public, stripe, plans, buyer):
        buyer.buy(plans["small"])
        buyer.buy(plans["basic"])
        carry_out(stripe.events())
        answer = public.with_token(issue_access_token(buyer.user)).get("/v1/auth/me/export")
        account, *payments = json.loads(answer.getvalue())["subscriptions"]
        assert (account["plan"], account["status"]) == ("basic", "active")
        assert sorted((row["plan"], row["paid"]) for row in payments) == [("basic", 900), ("small", 500)]


class TestSyncPlans:
    def run(self, *arguments: str) -> str:
        out = StringIO()
        call_command("sync_plans", *arguments, stdout=out)
        return out.getvalue()

    @pytest.fixture
    def priced(self, stripe):
        update = sdk.client().v1.prices.update
        update("price_pack_small", params={"metadata": {"credits": "100", "credits_expire_days": "30"}})
        update("price_sub_pro", params={"metadata": {"credits": "1000", "trial_days": "14", "plan": "pro"}})
        return stripe

    def test_proposes_and_then_makes_them(self, priced):
        assert "create" in self.run("--dry-run")
        assert not Plan.objects.exists()
        self.run()
        assert Plan.objects.count() == 4  # with the two that the catalogue begins with
        small, pro = (Plan.objects.get(code=code) for code in ("pack_small", "pro"))
        assert (small.code, small.kind, small.credits, small.amount, small.currency) == (
            "pack_small", "pack", 100, 500, "eur",
        )  # fmt: skip
        assert (small.credits_expire_days, pro.code, pro.interval, pro.trial_days) == (30, "pro", "month", 14)
        assert "create" not in self.run()

    def test_a_new_price_takes_the_code_and_the_old_one_still_renews(self, priced):
        self.run()
        old = Plan.objects.get(code="pro")
        Plan.objects.filter(pk=old.pk).update(stripe_price="price_of_last_year")
        self.run()
        new = Plan.objects.get(code="pro")
        old.refresh_from_db()
        assert (new.stripe_price, new.active) == ("price_sub_pro", True)
        assert (old.stripe_price, old.active) == ("price_of_last_year", False)

    def test_a_number_that_is_none_is_named(self, priced):
        sdk.client().v1.prices.update("price_pack_small", params={"metadata": {"credits": "many"}})
        assert "an invalid number" in self.run()

    def test_events_never_touch_plans(self, priced, plans):
        sdk.client().v1.prices.update("price_pack_small", params={"metadata": {"credits": "999999"}})
        receive(priced.events())
        inbox.work()
        assert Plan.objects.get(code="small").credits == 100


def test_whoever_is_erased_forfeits_what_they_have_bought(stripe, plans, buyer):
    settle.settle_session(buyer.buy(plans["small"])["id"])
    yesterday = timezone.now() - timedelta(days=1)
    User.objects.filter(pk=buyer.id).update(status=User.Status.PENDING_DELETION, deletes_at=yesterday)
    assert erasure.erase(buyer.id)
    assert (buyer.balance, buyer.journal[-1]) == (0, ("forfeit", -100))

"""Close what users had begun to buy who may buy nothing any more; give them the credits of what they pay anyway."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import connection, transaction

from accounts.identity import contests, status
from accounts.kit.client import Client
from accounts.models import User
from billing import customers
from billing.models import CustomerChange, CustomerLink, Request
from billing.settlement import lifecycle
from billing.stripe import gateway
from billing.stripe.sdk import client
from billing.stripe.shapes import ENDED_SUBSCRIPTIONS
from billing.stripe_sync import changes
from billing.tests.conftest import Buyer, carry_out
from tests.fixtures import issue_access_token
from tests.listeners import ListenerClient
from tests.waiting import eventually

pytestmark = pytest.mark.django_db


def suspend(buyer):
    status.suspend(user_id=buyer.id, reason="Ticket 4711", actor="test")


def contest(buyer):
    with transaction.atomic():
        contests.begin(buyer.user, client=Client("198.51.100.7", "a browser"))


def leave(buyer):
    public = ListenerClient("public").with_token(issue_access_token(buyer.user))
    assert public.delete("/v1/auth/me").status_code == 202


BARS: list[Callable[[Buyer], None]] = [suspend, contest, leave]
barred = pytest.mark.parametrize("bar", BARS)
shut_out = pytest.mark.parametrize("bar", [suspend, contest])


def let_in(buyer):
    """Staff have decided."""
    if User.objects.get(pk=buyer.id).contested_at is not None:
        contests.settle(user_id=buyer.id, reason="Ticket 4711", actor="test")
    else:
        status.reactivate(user_id=buyer.id, reason="Ticket 4711", actor="test")


class TestWhatWasBegun:
    @barred
    @pytest.mark.parametrize("plan", ["small", "basic"])
    def test_a_page_of_checkout_is_closed(self, shop, buyer, bar, plan):
        page = shop.checkout(buyer.id, plan).json()["id"]
        bar(buyer)
        changes.carry_out()
        assert gateway.retrieve_checkout_session(page)["status"] == "expired"

    @barred
    def test_so_is_one_of_another_customer_that_the_user_is(self, shop, stripe, make_user, buyer, bar):
        other = Buyer(stripe, make_user())
        page = shop.checkout(other.id).json()["id"]
        CustomerLink.objects.filter(pk=other.id).delete()
        customers.assign(other.customer, buyer.id)
        bar(buyer)
        changes.carry_out()
        assert gateway.retrieve_checkout_session(page)["status"] == "expired"

    @barred
    def test_a_subscription_that_waits_for_its_first_payment_ends(self, shop, buyer, bar):
        waiting = shop.post("subscriptions", user_id=buyer.id, plan="basic").json()
        bar(buyer)
        changes.carry_out()
        assert gateway.retrieve_subscription(waiting["id"])["status"] in ENDED_SUBSCRIPTIONS

    @barred
    def test_a_change_that_waits_for_its_payment_is_dropped(self, shop, stripe, plans, buyer, bar):
        subscription = buyer.buy(plans["basic"])["subscription"]
        asks = shop.store_card(stripe, buyer.id, "pm_card_authenticationRequired")
        gateway.set_subscription_card(subscription=subscription, payment_method=asks)
        changed = shop.post(f"subscriptions/{subscription}/change", user_id=buyer.id, plan="pro")
        assert changed.json()["pending_plan"] == "pro", changed.content
        bar(buyer)
        changes.carry_out()
        assert gateway.retrieve_subscription(subscription)["pending_update"] is None

    @shut_out
    def test_a_subscription_that_is_paid_goes_on(self, stripe, plans, buyer, bar):
        subscription = buyer.buy(plans["basic"])["subscription"]
        bar(buyer)
        changes.carry_out()
        found = gateway.retrieve_subscription(subscription)
        assert (found["status"], found["cancel_at_period_end"]) == ("active", False)

    @shut_out
    def test_nothing_renews_that_cannot_be_spent_until_it_can(self, stripe, plans, buyer, bar):
        subscription = buyer.buy(plans["basic"])["subscription"]
        bar(buyer)
        changes.carry_out()
        stripe.renew(subscription)
        let_in(buyer)
        changes.carry_out()
        carry_out(stripe.events())
        assert buyer.journal == [("subscription", 200)]
        assert [invoice["status"] for invoice in stripe.objects("invoice")] == ["paid", "void"]
        assert gateway.retrieve_subscription(subscription)["status"] == "active"
        stripe.renew(subscription)
        carry_out(stripe.events())
        assert buyer.journal == [("subscription", 200)] * 2

    @shut_out
    def test_a_pause_by_staff_in_the_dashboard_stays(self, stripe, plans, buyer, bar):
        subscription = buyer.buy(plans["basic"])["subscription"]
        client().v1.subscriptions.update(subscription, {"pause_collection": {"behavior": "void"}})
        bar(buyer)
        changes.carry_out()
        let_in(buyer)
        changes.carry_out()
        assert gateway.retrieve_subscription(subscription)["pause_collection"]

    @shut_out
    def test_so_is_all_of_a_customer_whose_link_was_lost(self, shop, stripe, plans, buyer, bar):
        """As by the restore of a backup that is older than the customer."""
        subscription = buyer.buy(plans["basic"])["subscription"]
        page = shop.checkout(buyer.id, "small").json()["id"]
        link = CustomerLink.objects.filter(pk=buyer.id)
        link.delete()
        bar(buyer)
        changes.carry_out()
        assert gateway.retrieve_checkout_session(page)["status"] == "open"
        assert customers.adopt(buyer.customer) == buyer.id
        changes.carry_out()
        assert gateway.retrieve_checkout_session(page)["status"] == "expired"
        assert gateway.retrieve_subscription(subscription)["pause_collection"]

    def test_whose_link_was_lost_and_who_leaves_renews_nothing(self, stripe, plans, buyer):
        subscription = buyer.buy(plans["basic"])["subscription"]
        CustomerLink.objects.filter(pk=buyer.id).delete()
        leave(buyer)
        customers.assign(buyer.customer, buyer.id)
        changes.carry_out()
        assert gateway.retrieve_subscription(subscription)["cancel_at_period_end"] is True

    def test_whoever_is_let_in_again_before_keeps_the_page(self, shop, buyer):
        page = shop.checkout(buyer.id).json()["id"]
        suspend(buyer)
        status.reactivate(user_id=buyer.id, reason="A mistake", actor="test")
        changes.carry_out()
        assert gateway.retrieve_checkout_session(page)["status"] == "open"

    @pytest.mark.parametrize("state", [[], ["past_due", "unpaid"]], ids=["may spend", "may not"])
    def test_whoever_owes_buys_nothing_that_cannot_be_spent(self, shop, plans, buyer, settings, state):
        stripe = buyer.fake
        subscription = buyer.buy(plans["basic"])["subscription"]
        stripe.break_card(gateway.retrieve_subscription(subscription)["default_payment_method"]["id"])
        stripe.renew(subscription)
        page = shop.checkout(buyer.id, "small").json()["id"]
        settings.BILLING_FREEZE_ON = state
        lifecycle.follow(buyer.id)
        changes.carry_out()
        assert gateway.retrieve_checkout_session(page)["status"] == ("expired" if state else "open")

    def test_a_leaver_is_told_to_stripe_once(self, buyer):
        leave(buyer)
        assert CustomerChange.objects.count() == 1


def closing(call):
    """Call, and close the thread's connection."""
    try:
        return call()
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
class TestCallsUnderWay:
    """The call had looked at the user before."""

    @pytest.mark.parametrize("kind", ["checkout.session", "subscription"])
    def test_what_they_make_is_closed(self, shop, stripe, buyer, kind):
        calls = {
            "checkout.session": partial(shop.checkout, buyer.id),
            "subscription": partial(shop.post, "subscriptions", user_id=buyer.id, plan="basic"),
        }
        stripe.fault(path="/v1/(checkout/sessions|subscriptions)", method="POST", delay=2)
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(closing, calls[kind])
            eventually(Request.objects.exclude(plan=None).exists)
            suspend(buyer)
            changes.carry_out()
            assert not stripe.objects(kind)
            assert answer.result().status_code == 201
        changes.carry_out()
        (made,) = stripe.objects(kind)
        assert made["status"] in {"expired", *ENDED_SUBSCRIPTIONS}

    @shut_out
    def test_whoever_is_let_in_while_their_renewals_are_being_paused_renews(self, stripe, plans, buyer, bar):
        subscription = buyer.buy(plans["basic"])["subscription"]
        stripe.fault(path=f"/v1/subscriptions/{subscription}", method="POST", delay=2, times=1)
        with ThreadPoolExecutor(1) as pool:
            barring = pool.submit(closing, lambda: (bar(buyer), changes.carry_out()))
            eventually(lambda: stripe.faults()[0]["used"])
            let_in(buyer)
            changes.carry_out()
            barring.result()
        eventually(lambda: not CustomerChange.objects.filter(done_at=None).exists())
        assert not gateway.retrieve_subscription(subscription)["pause_collection"]


class TestWhatIsPaidAllTheSame:
    """Kept money always gives credits, whatever has become of the user."""

    @pytest.mark.parametrize("bar", BARS)
    @pytest.mark.parametrize("plan", ["small", "basic"])
    def test_gives_its_credits(self, shop, plans, buyer, bar, plan):
        stripe = buyer.fake
        page = shop.checkout(buyer.id, plan).json()["id"]
        bar(buyer)
        stripe.pay_checkout(page)
        changes.carry_out()
        carry_out(stripe.events())
        assert buyer.balance == plans[plan].credits
        assert buyer.verifies()

    @pytest.mark.parametrize("bar", [suspend, contest])
    def test_a_renewal_too(self, stripe, plans, buyer, bar):
        subscription = buyer.buy(plans["basic"])["subscription"]
        bar(buyer)
        stripe.renew(subscription)
        carry_out(stripe.events())
        assert buyer.balance == 2 * plans["basic"].credits

"""Follow what subscribers do elsewhere than here: in the portal, in Checkout, with a trial that they end early."""

import json
from uuid import uuid4

import pytest
from django.core.management import call_command

from accounts.models import AuditEvent, ServiceEvent
from billing import customers, personal, queues
from billing.models import (
    BillingAccount,
    CustomerChange,
    CustomerLink,
    FormerCustomer,
    InboxEvent,
    StrangerPayment,
)
from billing.settlement import settle, strangers, trial
from billing.stripe import gateway, sdk
from billing.stripe_sync import changes, duplicates, reconcile
from billing.tests.calls import refused
from billing.tests.conftest import carry_out

pytestmark = pytest.mark.django_db(transaction=True)


class TestPortal:
    def test_a_cancellation_there_shows_here_and_is_taken_back_here(self, shop, stripe, plans, buyer):
        subscription = buyer.buy(plans["basic"])["subscription"]
        carry_out(stripe.events())
        found = stripe.portal_end(subscription)
        assert (found["cancel_at_period_end"], found["cancel_at"]) == (
            False,
            found["items"]["data"][0]["current_period_end"],
        )
        carry_out(stripe.events())
        shown = shop.get("status", user_id=buyer.id).json()["subscription"]
        assert (shown["cancel_at_period_end"], shown["cancel_at"]) == (True, shown["current_period_end"])
        assert AuditEvent.objects.filter(type="subscription_canceled").count() == 1
        told = ServiceEvent.objects.filter(type="subscription.changed").get().data
        assert (told["cancel_at_period_end"], told["cancel_at"]) == (True, shown["cancel_at"])

        resumed = shop.post(f"subscriptions/{subscription}/resume", user_id=buyer.id).json()

        assert resumed["cancel_at_period_end"] is False
        assert "cancel_at" not in resumed
        assert gateway.retrieve_subscription(subscription)["cancel_at"] is None
        stripe.renew(subscription)
        assert gateway.retrieve_subscription(subscription)["status"] == "active"

    def test_it_ends_with_its_period_all_the_same(self, shop, stripe, plans, buyer):
        subscription = buyer.buy(plans["basic"])["subscription"]
        stripe.portal_end(subscription)
        assert shop.post(f"subscriptions/{subscription}/cancel", user_id=buyer.id).json()[
            "cancel_at_period_end"
        ]
        stripe.advance(days=32)
        carry_out(stripe.events())
        assert BillingAccount.objects.get(pk=buyer.id).status == "canceled"


class TestTrials:
    def test_a_free_month_for_somebody_who_pays_ends_nothing(self, stripe, plans, make_buyer):
        other, payer = make_buyer(), make_buyer()
        other.buy(plans["pro"], trial=True)  # the card has had its trial
        subscription = payer.buy(plans["pro"])["subscription"]
        carry_out(stripe.events())
        end = gateway.retrieve_subscription(subscription)["items"]["data"][0]["current_period_end"]
        sdk.client().v1.subscriptions.update(
            subscription, {"trial_end": end + 30 * 86_400, "proration_behavior": "none"}
        )
        carry_out(stripe.events())
        assert not CustomerChange.objects.filter(kind="end_subscription").exists()
        changes.carry_out()
        assert gateway.retrieve_subscription(subscription)["status"] == "trialing"
        assert payer.journal == [("subscription", 1000)]

    def test_an_abandoned_first_payment_costs_no_trial(self, shop, stripe, plans, buyer):
        begun = shop.post("subscriptions", user_id=buyer.id, plan="basic")
        assert begun.json()["status"] == "incomplete"
        carry_out(stripe.events())
        stripe.advance(days=2)
        carry_out(stripe.events())
        assert BillingAccount.objects.get(pk=buyer.id).subscription == begun.json()["id"]
        assert trial.eligibility(buyer.id) == "eligible"
        card = shop.store_card(stripe, buyer.id)
        assert (
            shop.post("subscriptions", user_id=buyer.id, plan="pro", payment_method=card).json()["status"]
            == "trialing"
        )

    def test_who_has_paid_has_none(self, stripe, plans, buyer):
        subscription = buyer.buy(plans["basic"])["subscription"]
        gateway.cancel_subscription(subscription=subscription)
        carry_out(stripe.events())
        assert trial.eligibility(buyer.id) == "had_subscription"

    def test_one_can_be_ended_to_pay(self, shop, stripe, plans, buyer):
        subscription = buyer.buy(plans["pro"], trial=True)["subscription"]
        carry_out(stripe.events())
        path, key = f"subscriptions/{subscription}/end-trial", uuid4().hex
        for _ in range(2):
            ended = shop.post(path, user_id=buyer.id, key=key)
            assert (ended.status_code, ended.json()["status"]) == (200, "active")
        assert buyer.journal == [("trial", 50), ("subscription", 1000)]
        refused(shop.post(path, user_id=buyer.id), 400, "billing_rejected")

    def test_where_the_card_is_refused_the_trial_goes_on(self, shop, stripe, plans, buyer):
        subscription = buyer.buy(plans["pro"], trial=True)["subscription"]
        stripe.break_card(gateway.retrieve_subscription(subscription)["default_payment_method"]["id"])
        refused(shop.post(f"subscriptions/{subscription}/end-trial", user_id=buyer.id), 402, "payment_failed")
        assert gateway.retrieve_subscription(subscription)["status"] == "trialing"
        assert buyer.journal == []


class TestDeletedCustomers:
    def test_in_the_dashboard_the_user_buys_again_as_another(self, shop, stripe, plans, buyer):
        first = buyer.buy(plans["small"])
        subscription = buyer.buy(plans["basic"])["subscription"]
        carry_out(stripe.events())
        gateway.delete_customer(customer=buyer.customer)
        carry_out(reversed(stripe.events()))
        assert BillingAccount.objects.get(pk=buyer.id).status == "canceled"
        session = shop.checkout(buyer.id)
        assert session.status_code == 201, session.content
        stripe.pay_checkout(session.json()["id"])
        carry_out(stripe.events())
        assert buyer.balance == 100 + 200 + 100
        stripe.refund(buyer.charge_of(first))
        carry_out(stripe.events())
        assert buyer.balance == 300
        assert gateway.retrieve_subscription(subscription)["status"] == "canceled"
        (invoice,) = shop.get("invoices", user_id=buyer.id).json()["results"]
        assert invoice["amount_paid"] == 900  # of the former customer

    @pytest.mark.parametrize(
        "call", ["checkout-sessions", "setup-intents", "portal-sessions", "subscriptions"]
    )
    def test_before_we_are_told(self, shop, stripe, plans, buyer, call):
        urls = {"success_url": "https://shop.test/", "cancel_url": "https://shop.test/"}
        more = {
            "checkout-sessions": {"plan": "small", **urls},
            "portal-sessions": {"return_url": "https://shop.test/"},
            "subscriptions": {"plan": "basic"},
        }.get(call, {})
        gateway.delete_customer(customer=buyer.customer)
        key = uuid4().hex
        made = shop.post(call, user_id=buyer.id, key=key, **more)
        assert made.status_code == 201, made.content
        assert shop.post(call, user_id=buyer.id, key=key, **more).json() == made.json()
        assert stripe.count("customer") == 1

    def test_what_was_bought_as_the_former_one_is_erased_too(self, stripe, plans, buyer):
        buyer.buy(plans["small"])
        gateway.delete_customer(customer=buyer.customer)
        carry_out(stripe.events())
        assert FormerCustomer.objects.get().customer == buyer.customer
        personal.erase(user_id=buyer.id)
        assert not InboxEvent.objects.filter(customer=buyer.customer).exclude(body=None).exists()
        assert personal.owners().filter(pk=buyer.id).exists()

    def test_a_key_that_answers_with_one_of_them_gives_way_to_another(self, shop, stripe, plans, buyer):
        """After a restored backup, as many are known as when the key was used, though not the same ones."""
        client = sdk.client().v1.customers
        client.delete(buyer.customer)
        CustomerLink.objects.filter(pk=buyer.id).delete()
        former = FormerCustomer.objects.create(customer="cus_before", user=buyer.user)
        made = customers.ensure(buyer.id)
        client.delete(made)
        CustomerLink.objects.filter(pk=buyer.id).delete()
        former.delete()
        FormerCustomer.objects.create(customer=made, user=buyer.user)
        assert shop.checkout(buyer.id).status_code == 201
        assert customers.customer_of(buyer.id) not in {None, buyer.customer, made}


class TestStrangers:
    @pytest.fixture
    def lost(self, stripe, plans, buyer):
        """A restored database does not know the customer, who has bought since."""
        CustomerLink.objects.filter(pk=buyer.id).delete()
        buyer.buy(plans["small"])
        return buyer

    def test_whoever_has_our_mark_is_linked_again_and_what_was_paid_since_is_settled(
        self, stripe, plans, lost
    ):
        lost.buy(plans["basic"])
        carry_out(stripe.events("payment_intent.succeeded"))
        assert (customers.user_of(lost.customer), lost.balance) == (lost.id, 300)
        assert not StrangerPayment.objects.exists()
        assert reconcile.settle_customer(lost.customer) == 2
        assert sorted(lost.journal) == [("purchase", 100), ("subscription", 200)]
        assert BillingAccount.objects.get(pk=lost.id).status == "active"

    def test_a_dry_run_names_the_link_that_is_lost_and_makes_none(self, stripe, plans, lost, capsys):
        call_command("reconcile_stripe", "--since", "1d", "--dry-run", "--json")
        (found,) = json.loads(capsys.readouterr().out)["differences"]
        names = ("user_id", "posted", "due", "lost_link", "is_of_nobody")
        assert [found[name] for name in names] == [str(lost.id), 0, 100, lost.customer, False]
        call_command("reconcile_stripe", "--since", "1d", "--dry-run")
        assert f"the link to the customer {lost.customer} is lost" in capsys.readouterr().out
        assert (customers.user_of(lost.customer), lost.journal) == (None, [])
        call_command("reconcile_stripe", "--since", "1d", "--json")
        told = capsys.readouterr().out
        (settled,) = json.loads(told[told.index("{\n") :])["differences"]  # behind lines of the log
        assert (settled["user_id"], settled["due"]) == (str(lost.id), 100)
        assert customers.user_of(lost.customer) == lost.id

    def test_a_dry_run_names_what_nobody_is_known_to_have_paid(self, stripe, plans, lost, capsys):
        sdk.client().v1.customers.update(lost.customer, {"metadata": {"proof": ""}})
        call_command("reconcile_stripe", "--since", "1d", "--dry-run", "--json")
        (found,) = json.loads(capsys.readouterr().out)["differences"]
        assert (found["user_id"], found["is_of_nobody"]) == (None, True)
        assert not StrangerPayment.objects.exists()

    def test_the_report_before_an_upgrade_names_lost_links(self, stripe, plans, buyer, capsys):
        buyer.buy(plans["basic"])
        carry_out(stripe.events())
        call_command("settlement_report", "--json")
        assert json.loads(capsys.readouterr().out)["lost_links"] == []
        CustomerLink.objects.filter(pk=buyer.id).delete()
        call_command("settlement_report", "--json")
        assert json.loads(capsys.readouterr().out)["lost_links"] == [[buyer.customer, str(buyer.id)]]
        FormerCustomer.objects.create(customer=buyer.customer, user=buyer.user)
        call_command("settlement_report")
        assert "0 customers no longer linked to their users" in capsys.readouterr().out

    @pytest.mark.parametrize("proof", ["", "0" * 32, "é"])
    def test_without_it_nobody_is(self, stripe, plans, lost, proof):
        sdk.client().v1.customers.update(lost.customer, {"metadata": {"proof": proof}})
        carry_out(stripe.events())
        assert (customers.user_of(lost.customer), lost.journal) == (None, [])
        row = StrangerPayment.objects.get()
        assert (row.customer, row.amount, row.currency) == (lost.customer, 500, "eur")
        assert ("payments_of_strangers", 1) in [(name, waiting) for name, waiting, _, _ in queues.standings()]

    def test_nor_where_the_user_has_another_or_two_claim_them(self, stripe, plans, lost):
        twin = gateway.create_customer(email=lost.user.email, metadata=customers.marks(lost.id), key="twin")
        carry_out(stripe.events())
        assert customers.user_of(lost.customer) is None
        CustomerLink.objects.create(user=lost.user, customer=twin["id"])
        assert customers.adopt(lost.customer) is None
        assert lost.journal == []

    def test_staff_say_whose_it_is_and_all_of_the_customer_is_settled(self, stripe, plans, lost):
        sdk.client().v1.customers.update(lost.customer, {"metadata": {"proof": ""}})
        lost.buy(plans["large"])
        carry_out(stripe.events())
        assert lost.journal == []
        for payment in strangers.assign(StrangerPayment.objects.order_by("pk")[0], lost.id):
            settle.settle(payment)
        assert lost.balance == 600
        assert not StrangerPayment.objects.filter(assigned_at=None).exists()
        lost.buy(plans["small"])
        carry_out(stripe.events())
        assert lost.balance == 700

    def test_whoever_is_erased_takes_along_every_customer_that_was_theirs(self, stripe, plans, buyer):
        other = gateway.create_customer(email="other@example.test", metadata={}, key="other")["id"]
        assert buyer.customer != other
        customers.assign(other, buyer.id)
        personal.erase(user_id=buyer.id)
        changes.carry_out()
        assert all(gateway.retrieve_customer(known)["deleted"] for known in (other, buyer.customer))

    def test_a_guests_payment_is_given_to_whom_staff_say(self, stripe, plans, buyer):
        session = sdk.client().v1.checkout.sessions.create({
            "mode": "payment", "success_url": "https://shop.test/",
            "line_items": [{"price": "price_pack_small", "quantity": 1}],
        })  # fmt: skip
        stripe.pay_checkout(session.id)
        carry_out(stripe.events())
        (payment,) = strangers.assign(StrangerPayment.objects.get(), buyer.id)
        settle.settle(payment)
        assert buyer.balance == 100


class TestTwoSubscriptions:
    def test_a_page_that_is_still_open_gives_way(self, shop, stripe, plans, buyer):
        first = shop.checkout(buyer.id, plan="basic").json()["id"]
        pack = shop.checkout(buyer.id, plan="small").json()["id"]
        second = shop.checkout(buyer.id, plan="pro").json()["id"]
        status = {one["id"]: one["status"] for one in stripe.objects("checkout.session")}
        assert (status[first], status[pack], status[second]) == ("expired", "open", "open")
        card = shop.store_card(stripe, buyer.id)
        shop.post("subscriptions", user_id=buyer.id, plan="basic", payment_method=card)
        assert gateway.retrieve_checkout_session(second)["status"] == "expired"
        refused(shop.checkout(buyer.id, plan="pro"), 409, "already_subscribed")

    def test_the_answer_to_a_repeat_is_its_own_page(self, shop, stripe, plans, buyer):
        key = uuid4().hex
        stripe.fault(method="POST", path="/v1/checkout/sessions", status=500, committed=True, times=1)
        refused(shop.checkout(buyer.id, plan="basic", key=key), 503, "billing_unavailable")
        stripe.clear_faults()
        (made,) = stripe.objects("checkout.session")
        again = shop.checkout(buyer.id, plan="basic", key=key)
        assert (again.status_code, again.json()["id"]) == (201, made["id"])
        assert gateway.retrieve_checkout_session(made["id"])["status"] == "open"

    def test_both_give_their_credits_and_the_later_one_renews_no_more(self, stripe, plans, buyer, mailoutbox):
        first = buyer.buy(plans["basic"])["subscription"]
        stripe.advance(seconds=10)
        second = buyer.buy(plans["pro"])["subscription"]
        carry_out(stripe.events())
        changes.carry_out()
        carry_out(stripe.events())
        account = BillingAccount.objects.get(pk=buyer.id)
        assert (account.subscription, account.status, account.cancel_at_period_end) == (
            first,
            "active",
            False,
        )
        assert gateway.retrieve_subscription(first)["cancel_at_period_end"] is False
        assert gateway.retrieve_subscription(second)["cancel_at_period_end"] is True
        assert buyer.balance == 1200
        told = ServiceEvent.objects.get(type="subscription.duplicated").data
        assert (told["subscription"], told["ending"]) == (first, second)
        assert [mail.subject for mail in mailoutbox].count("You have two subscriptions") == 1

    def test_a_report_before_the_upgrade_names_who_has_two_and_prices_without_a_plan(
        self, stripe, plans, buyer, capsys
    ):
        both = [buyer.buy(plans[code])["subscription"] for code in ("basic", "pro")]
        carry_out(stripe.events())
        plans["pro"].stripe_price = "price_other"
        plans["pro"].save()
        call_command("settlement_report", "--json")
        found = json.loads(capsys.readouterr().out)
        assert found["two_subscriptions"] == [[str(buyer.id), ", ".join(sorted(both))]]
        assert found["prices_without_plan"] == [["price_sub_pro", 1]]

    @pytest.mark.parametrize("case", [
        (True, "basic", "pm_card_visa", False), (False, "basic", "pm_card_visa", False),
        (True, "pro", "pm_card_visa", False), (True, "basic", "pm_card_mastercard", False),
        (True, "basic", "pm_card_visa", True),
    ])  # fmt: skip
    def test_the_later_one_is_refunded_only_where_that_is_wanted_and_sure(
        self, stripe, plans, buyer, settings, case
    ):
        wanted, plan, card, spends = case
        buyer.buy(plans["basic"])
        stripe.advance(seconds=10)
        second = buyer.buy(plans[plan], card=card)["subscription"]
        carry_out(stripe.events())
        before = buyer.balance
        if spends:
            buyer.use(1)
        settings.BILLING_REFUND_DUPLICATES = wanted
        duplicates.end_renewal(CustomerChange.objects.get(kind="end_renewal"), buyer.customer)
        is_given_back = case == (True, "basic", "pm_card_visa", False)
        ended = gateway.retrieve_subscription(second)
        assert (ended["status"] == "canceled") is is_given_back
        assert stripe.count("refund") == int(is_given_back)
        assert buyer.balance == before - (200 if is_given_back else 0) - int(spends)

    def test_who_pays_one_is_not_frozen_by_another(self, stripe, plans, buyer):
        stripe.settings(dunning_end="unpaid")
        first = buyer.buy(plans["basic"])["subscription"]
        stripe.advance(seconds=10)
        second = buyer.buy(plans["pro"], card="pm_card_mastercard")["subscription"]
        stripe.break_card(gateway.retrieve_subscription(second)["default_payment_method"]["id"])
        stripe.advance(days=60)
        assert gateway.retrieve_subscription(second)["status"] == "unpaid"
        carry_out(stripe.events())
        account = BillingAccount.objects.get(pk=buyer.id)
        assert (account.subscription, account.status) == (first, "active")

    def test_who_is_frozen_is_told_before_they_buy_what_they_cannot_spend(self, shop, plans, buyer):
        BillingAccount.objects.create(user=buyer.user, status="frozen", subscription="sub_1")
        refused(shop.checkout(buyer.id), 409, "payment_overdue")

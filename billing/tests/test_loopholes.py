"""Ways to have credits twice, for nothing, or not at all, that someone with patience finds."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from djstripe.models import Dispute

from accounts.models import ServiceEvent, User
from billing import customers, personal
from billing.errors import BillingUnavailable
from billing.models import BillingAccount, CustomerChange, InboxEvent, Payment, Plan
from billing.settlement import settle
from billing.shop import plan_sync
from billing.stripe import gateway, sdk, shapes, snapshots
from billing.stripe_sync import inbox, nightly, reconcile
from billing.tests.conftest import carry_out, event, receive
from credits.models import CreditLot, UserCredit
from tests.test_account_hooks import dump

pytestmark = pytest.mark.django_db


def move_to(subscription_id, price):
    subscription = gateway.retrieve_subscription(subscription_id)
    item = subscription["items"]["data"][0]["id"]
    change: Any = {"items": [{"id": item, "price": price}], "proration_behavior": "none"}
    return sdk.client().v1.subscriptions.update(subscription_id, change)


class TestTrials:
    def test_one_that_was_ended_early_before_it_was_settled_gives_no_whole_period_for_nothing(
        self, stripe, plans, buyer
    ):
        session = buyer.buy(plans["pro"], trial=True)
        stripe.advance(seconds=60)
        early = sdk.client().v1.subscriptions.update(session["subscription"], {"trial_end": "now"})
        assert early.status == "active"
        carry_out(stripe.events())
        assert [amount for _, amount in buyer.journal] in ([50, 1000], [1000, 50])

    def test_one_that_staff_prolong_gives_its_credits_once(self, stripe, plans, buyer):
        invoice = buyer.buy(plans["pro"], trial=True)["invoice"]
        carry_out(stripe.events())
        again = replace(snapshots.take(invoice), trial_end=timezone.now() + timedelta(days=30))
        second = settle.apply("in_of_the_longer_trial", buyer.id, 0, again)
        assert second is not None
        assert (second.kind, second.credits) == ("trial", 0)
        assert buyer.journal == [("trial", 50)]
        assert not CustomerChange.objects.exists()

    def test_a_bank_account_is_known_again_like_a_card(self):
        debit = {"type": "sepa_debit", "sepa_debit": {"fingerprint": "of the account"}}
        assert shapes.fingerprint(debit) == "of the account"
        assert shapes.fingerprint({"type": "paypal", "paypal": {"payer_id": "x"}}) == ""


class TestOneMoneyUnderTwoNames:
    def test_an_intent_that_an_invoice_claims_later_gives_once_and_is_refunded_once(
        self, stripe, plans, buyer
    ):
        session = buyer.buy(plans["large"])
        paid = settle.settle_session(session["id"])
        assert paid is not None
        snapshot = snapshots.take(paid.pk)
        assert snapshot.payment_intent == paid.pk

        twin = settle.apply("in_made_later", buyer.id, 0, snapshot)

        assert twin == paid
        assert [kind for kind, _ in buyer.journal] == ["purchase"]
        with pytest.raises(IntegrityError, match="payment_once_per_intent"), transaction.atomic():
            Payment.objects.filter(pk="in_made_later").update(payment_intent=paid.pk)


class TestChangesOfPlan:
    def test_up_before_the_renewal_and_down_after_it(self, stripe, plans, buyer):
        session = buyer.buy(plans["basic"])
        carry_out(stripe.events())
        for _ in range(2):
            end = gateway.retrieve_subscription(session["subscription"])["items"]["data"][0][
                "current_period_end"
            ]
            stripe.advance(to=end - 60)
            move_to(session["subscription"], "price_sub_pro")
            stripe.renew(session["subscription"])
            move_to(session["subscription"], "price_sub_basic")
            carry_out(stripe.events())
        stripe.renew(session["subscription"])
        carry_out(stripe.events())
        rows = Payment.objects.filter(user=buyer.id).order_by("paid_at")
        assert [(row.paid, row.credits) for row in rows] == [
            (900, 200), (2900, 1000), (2900, 1000), (900, 200),
        ]  # fmt: skip

    def test_to_and_fro_between_intervals(self, stripe, plans, buyer):
        product = gateway.list_prices()[0]["product"]["id"]
        yearly = sdk.client().v1.prices.create({
            "product": product, "unit_amount": 9000, "currency": "eur", "recurring": {"interval": "year"},
        })  # fmt: skip
        Plan.objects.create(
            code="year", name="Year", kind="subscription", credits=3000, amount=9000, currency="eur",
            interval="year", stripe_price=yearly.id,
        )  # fmt: skip
        session = buyer.buy(plans["basic"])
        for price in (yearly.id, "price_sub_basic", yearly.id):
            move_to(session["subscription"], price)
            carry_out(stripe.events())
        rows = Payment.objects.filter(user=buyer.id).order_by("paid_at", "settled_at")
        assert sorted((row.paid, row.credits) for row in rows) == [
            (900, 200), (900, 200), (9000, 3000), (9000, 3000),
        ]  # fmt: skip


class TestRestoring:
    def test_goes_back_to_where_the_last_one_took_it_from(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"])
        carry_out(stripe.events())
        charge = buyer.charge_of(session)
        first = stripe.refund(charge, 250)
        carry_out(stripe.events("refund.created"))
        stripe.fail_refund(first["id"])
        carry_out(stripe.events("refund.failed"))
        assert buyer.balance == 100
        buyer.use(100)
        buyer.buy(plans["large"])
        carry_out(stripe.events("payment_intent.succeeded"))
        assert buyer.balance == 500
        second = stripe.refund(charge, 250)
        carry_out(stripe.events("refund.created"))
        assert buyer.balance == 450
        stripe.fail_refund(second["id"])
        carry_out(stripe.events("refund.failed"))
        assert [(lot.issued, lot.remaining) for lot in CreditLot.objects.order_by("pk")] == [
            (100, 0), (500, 0),
        ]  # fmt: skip
        row = UserCredit.objects.get()
        assert (row.balance, row.open_left) == (500, 500)
        assert buyer.verifies()


class TestCustomers:
    def test_a_customer_whose_metadata_names_somebody_else_stays_with_its_user(
        self, stripe, buyer, make_user
    ):
        victim, thief = buyer, make_user()
        sdk.client().v1.customers.update(victim.customer, {"metadata": {"user_id": str(thief.pk)}})
        customer = customers.ensure(thief.pk)
        assert customer != victim.customer
        assert customers.user_of(victim.customer) == victim.id

    def test_nor_is_it_given_away_where_both_come_at_once(self, buyer, make_user):
        with pytest.raises(BillingUnavailable):
            customers._link(make_user(), buyer.customer)


class TestReconciliation:
    def test_more_events_than_a_page_can_hold(self, stripe, plans, buyer, monkeypatch):
        monkeypatch.setattr(gateway, "PAGE", 5)
        for _ in range(4):
            buyer.buy(plans["small"])
        reconcile.catch_up()
        inbox.work()
        assert buyer.balance == 400

    def test_a_payment_that_breaks_the_settlement_does_not_keep_the_others_waiting(
        self, stripe, plans, buyer, monkeypatch
    ):
        broken, whole = buyer.buy(plans["basic"])["invoice"], buyer.buy(plans["basic"])["invoice"]
        take = snapshots.take

        def stumble(payment):
            if payment == broken:
                raise KeyError("currency")
            return take(payment)

        monkeypatch.setattr(snapshots, "take", stumble)
        now = timezone.now()
        found = {row.payment: row for row in reconcile.reconcile(start=now - timedelta(hours=1), end=now)}
        assert (found[broken].problem, found[whole].due) == ("KeyError", 200)


class TestNobodyIsForgotten:
    def test_erased_but_never_deleted_at_stripe(self, stripe, buyer):
        User.objects.filter(pk=buyer.id).update(status="deleted")
        nightly.begin()
        assert CustomerChange.objects.filter(kind="delete", user=buyer.id).exists()


class TestErasure:
    def test_of_what_names_no_customer(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"])
        charge = buyer.charge_of(session)
        stripe.dispute(charge)
        card = sdk.client().v1.payment_methods.attach("pm_card_visa", {"customer": buyer.customer})
        sdk.client().v1.payment_methods.update(card.id, {"billing_details": {"name": "Ada of the Canary"}})
        gateway.detach_payment_method(card.id)
        carry_out(stripe.events())
        assert "Ada of the Canary" in dump()
        personal.erase(user_id=buyer.id)
        assert [row.type for row in InboxEvent.objects.exclude(body=None)] == []
        assert "Ada of the Canary" not in dump()

    def test_a_dispute_that_is_opened_afterwards(self, stripe, plans, buyer):
        charge = buyer.charge_of(buyer.buy(plans["small"]))
        carry_out(stripe.events())
        User.objects.filter(pk=buyer.id).update(status="deleted", email=None, email_verified_at=None)
        stripe.dispute(charge)
        carry_out(stripe.events("charge.dispute.created"))
        row = InboxEvent.objects.get(type="charge.dispute.created")
        assert (row.body, row.customer, Payment.objects.get().kept) == (None, buyer.customer, 0)
        assert not Dispute.objects.exists()


class TestPoison:
    def test_two_events_that_stripe_answers_with_500_hold_up_nobody(self, stripe, plans, buyer):
        receive([event("invoice.paid", {"object": "invoice", "id": f"in_{n}"}, created=n) for n in (1, 2)])
        stripe.fault(path="/v1/invoices/in_[12]", status=500, times=1000)
        buyer.buy(plans["small"])
        receive(stripe.events("payment_intent.succeeded"))
        inbox.work()
        assert buyer.balance == 100


class TestTelling:
    def test_a_dispute_over_what_was_refunded_restores_nothing(self, stripe, plans, buyer):
        charge = buyer.charge_of(buyer.buy(plans["small"]))
        stripe.refund(charge)
        carry_out(stripe.events())
        stripe.dispute(charge, amount=500)
        carry_out(stripe.events("charge.dispute.created"))
        assert Payment.objects.get().disputed == 500
        assert not ServiceEvent.objects.filter(type="purchase.restored").exists()


class TestPlans:
    def test_a_price_without_a_fixed_amount_is_not_proposed(self, stripe):
        price = {"id": "price_x", "unit_amount": None, "currency": "eur", "metadata": {"credits": "100"}}
        proposal = plan_sync._proposal({**price, "lookup_key": "any"})
        assert (proposal.action, proposal.problem) == ("skip", "no fixed amount")


class TestDeletedAtStripe:
    def test_status_follows(self, stripe, plans, buyer):
        buyer.buy(plans["basic"])
        carry_out(stripe.events())
        assert BillingAccount.objects.get().status == "active"
        gateway.delete_customer(customer=buyer.customer)
        carry_out(stripe.events())
        assert BillingAccount.objects.get().status == "canceled"

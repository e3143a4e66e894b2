"""Tell again here what went wrong elsewhere, by public reports about other systems: each test names its own."""

import pytest

from billing import queues
from billing.models import Payment, StrangerPayment
from billing.stripe import gateway
from billing.stripe.sdk import client
from billing.stripe_sync import inbox
from billing.tests.calls import refused
from billing.tests.conftest import Buyer, carry_out, event

pytestmark = pytest.mark.django_db


class TestDisputes:
    @pytest.mark.parametrize("outcome", ["won", "lost"])
    def test_one_in_another_currency_takes_all_of_the_payment(self, stripe, plans, buyer, outcome):
        """https://github.com/jakethehoffer/ledgerly/releases/tag/v0.1.6: 500 cents of EUR are disputed as 90 of BHD."""
        charge = buyer.charge_of(buyer.buy(plans["small"]))
        dispute = stripe.dispute(charge, amount=90, currency="bhd")
        carry_out(stripe.events())
        assert buyer.balance == 0
        stripe.close_dispute(dispute["id"], outcome)
        carry_out(stripe.events("charge.dispute.closed"))
        assert buyer.balance == (100 if outcome == "won" else 0)
        assert buyer.verifies()

    def test_one_of_a_charge_that_nobody_knows_is_taken_in_and_done(self, stripe, plans, buyer):
        """https://github.com/opengovsg/FormSG/pull/5937: refused, it would be sent for days, and the endpoint ended."""
        paid = client().v1.payment_intents.create({
            "amount": 700, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        })  # fmt: skip
        stripe.dispute(str(paid.latest_charge))
        carry_out(stripe.events())
        gone = {"object": "dispute", "id": "du_gone", "charge": "ch_gone", "payment_intent": "pi_gone"}
        carry_out([event("charge.dispute.created", gone)])
        assert not inbox.dead().exists()
        assert StrangerPayment.objects.get().pk == paid.id
        assert not Payment.objects.exists()


class TestRefunds:
    def test_two_of_a_part_do_not_add_up_to_more_than_they_were(self, stripe, plans, buyer):
        """https://github.com/ChuanQiao1128/replyinmyvoice/issues/301: each took a share of what the one before left."""
        charge = buyer.charge_of(buyer.buy(plans["small"]))
        for amount, left in ((250, 50), (125, 25), (1, 24), (124, 0)):
            stripe.refund(charge, amount)
            carry_out(stripe.events())
            assert buyer.balance == left

    def test_spent_credits_that_were_paid_back_are_owed(self, stripe, plans, buyer):
        """https://github.com/elizaOS/eliza/issues/10920: a thousand credits stayed after the chargeback."""
        charge = buyer.charge_of(buyer.buy(plans["large"]))
        carry_out(stripe.events())
        buyer.use(450)
        stripe.dispute(charge)
        carry_out(stripe.events("charge.dispute.created"))
        assert buyer.balance == -450
        buyer.buy(plans["small"])
        carry_out(stripe.events())
        assert buyer.balance == -350


class TestSubscriptions:
    def test_one_whose_first_invoice_is_paid_from_the_balance_needs_no_card_to_begin(
        self, shop, stripe, plans, buyer
    ):
        """https://github.com/stripe-samples/subscription-use-cases/issues/525: a 500, for want of a client secret."""
        client().v1.customers.balance_transactions.create(buyer.customer, {"amount": -900, "currency": "eur"})
        begun = shop.post("subscriptions", user_id=buyer.id, plan="basic")
        assert (begun.status_code, begun.json()["status"]) == (201, "active")
        assert begun.json().get("client_secret") is None
        carry_out(stripe.events())
        assert buyer.balance == 200

    @pytest.mark.parametrize("state", [["past_due"], []], ids=["frozen", "past due"])
    def test_whoever_owes_begins_no_second_one(self, shop, plans, buyer, settings, state):
        """https://github.com/restrictcontentpro/restrict-content-pro/issues/779: after a card had expired both were
        charged."""
        stripe, settings.BILLING_FREEZE_ON = buyer.fake, state
        subscription = buyer.buy(plans["basic"])["subscription"]
        card = gateway.retrieve_subscription(subscription)["default_payment_method"]["id"]
        stripe.break_card(card, "expired_card")
        stripe.renew(subscription)
        carry_out(stripe.events())
        code = "payment_overdue" if state else "already_subscribed"
        refused(shop.checkout(buyer.id, "basic"), 409, code)
        refused(shop.post("subscriptions", user_id=buyer.id, plan="basic"), 409, "already_subscribed")
        assert len(stripe.objects("subscription")) == 1

    def test_another_card_pays_the_open_invoice_and_gives_one_period(self, shop, stripe, plans, buyer):
        """https://github.com/Paymenter/Paymenter/issues/976 and https://github.com/FOSSBilling/FOSSBilling/issues/3106:
        each try made a subscription, and a payment counted twice."""
        subscription = buyer.buy(plans["basic"])["subscription"]
        card = gateway.retrieve_subscription(subscription)["default_payment_method"]["id"]
        stripe.break_card(card)
        stripe.renew(subscription)
        carry_out(stripe.events())
        (invoice,) = [one for one in stripe.objects("invoice") if one["status"] == "open"]
        better = shop.store_card(stripe, buyer.id)
        for key in ("a", "a", "b"):
            shop.post(f"invoices/{invoice['id']}/pay", user_id=buyer.id, payment_method=better, key=key)
            carry_out(stripe.events())
        assert buyer.journal == [("subscription", 200)] * 2
        assert [one["amount"] for one in stripe.objects("charge") if one["captured"]] == [900, 900]
        assert len(stripe.objects("subscription")) == 1

    def test_the_end_of_an_old_one_takes_nothing_from_a_new_one(self, stripe, plans, buyer):
        """https://github.com/laravel/cashier-stripe/issues/1760: an event that came late decided the status."""
        old = buyer.buy(plans["basic"])["subscription"]
        gateway.cancel_subscription(subscription=old)
        buyer.buy(plans["pro"])
        told = stripe.events()
        carry_out([one for one in told if one["type"] != "customer.subscription.deleted"])
        carry_out([one for one in told if one["type"] == "customer.subscription.deleted"])
        account = buyer.user.billing_account
        assert (account.status, account.plan.code) == ("active", "pro")
        assert buyer.journal == [("subscription", 200), ("subscription", 1000)]


class TestOtherPeoplesMoney:
    def test_a_payment_by_another_app_of_the_same_account_disturbs_nothing(self, stripe, plans, make_buyer):
        """https://github.com/dust-tt/dust/pull/18236 needed a row of its own first: what has none is a stranger's."""
        stranger = client().v1.customers.create({"email": "somebody@example.test"})
        other = make_buyer()
        card = client().v1.payment_methods.attach("pm_card_visa", {"customer": stranger.id})
        client().v1.subscriptions.create({
            "customer": stranger.id, "items": [{"price": "price_sub_basic"}], "default_payment_method": card.id,
        })  # fmt: skip
        carry_out(stripe.events())
        assert isinstance(other, Buyer)
        assert other.balance == 0
        assert not inbox.dead().exists()
        assert ("payments_of_strangers", 1) in [(name, waiting) for name, waiting, _, _ in queues.standings()]

"""Tells what payments, refunds and disputes come to in credits, as short stories against the fake Stripe."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing.models import InboxEvent, Payment, PaymentLine, Plan
from billing.settlement import settle
from billing.stripe import gateway, sdk, snapshots
from billing.stripe_sync import inbox, reconcile
from billing.tests.conftest import carry_out, event, receive
from credits import ledger
from credits.ledger.calls import Call
from credits.models import CreditLot, CreditTransaction, UserCredit

pytestmark = pytest.mark.django_db


class TestPack:
    def test_paying_gives_the_plans_credits_once(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"], quantity=3)
        carry_out(stripe.events())
        assert buyer.journal == [("purchase", 300)]
        payment = Payment.objects.get()
        assert (payment.pk, payment.kind, payment.plan, payment.quantity) == (
            session["payment_intent"], "pack", plans["small"], 3,
        )  # fmt: skip
        assert (payment.paid, payment.kept, payment.currency, payment.expires_at) == (1500, 1500, "eur", None)
        assert not InboxEvent.objects.filter(done_at=None).exists()
        assert buyer.verifies()

    def test_who_waits_is_served_before_any_event(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"])
        settled = settle.settle_session(session["id"])
        assert settled is not None
        assert settled.granted_by is not None
        carry_out(stripe.events())
        assert buyer.journal == [("purchase", 100)]

    def test_two_different_events_of_one_payment_are_one_grant(self, stripe, plans, buyer):
        buyer.buy(plans["small"])
        carry_out(stripe.events("payment_intent.succeeded"))
        carry_out(stripe.events("checkout.session.completed"))
        assert buyer.journal == [("purchase", 100)]

    def test_what_is_not_paid_gives_nothing(self, stripe, plans, buyer):
        session = gateway.create_checkout_session(
            customer=buyer.customer, mode="payment", price="price_pack_small", quantity=1,
            success_url="https://shop.test/", cancel_url="https://shop.test/", metadata={}, key="k",
        )  # fmt: skip
        assert settle.settle_session(session["id"]) is None
        stripe.pay_checkout(session["id"], "pm_card_chargeCustomerFail")
        carry_out(stripe.events())
        assert settle.settle_session(session["id"]) is None or not Payment.objects.get().settled_at
        assert buyer.journal == []

    def test_a_change_of_the_plan_re_prices_nothing_that_was_paid(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"])
        settle.settle_session(session["id"])
        Plan.objects.filter(code="small").update(credits=7, credits_expire_days=1)
        charge = buyer.charge_of(session)
        carry_out(stripe.events())
        stripe.refund(charge, 250)
        carry_out(stripe.events("charge.refunded"))
        assert buyer.journal == [("purchase", 100), ("chargeback", -50)]
        buyer.buy(plans["small"])
        carry_out(stripe.events())
        assert buyer.balance == 57

    def test_credits_that_expire_do_so_from_the_payment_on(self, stripe, plans, buyer):
        Plan.objects.filter(code="small").update(credits_expire_days=30)
        payment = settle.settle_session(buyer.buy(plans["small"])["id"])
        assert payment is not None
        assert payment.paid_at is not None
        assert payment.expires_at is not None
        assert (payment.expires_at - payment.paid_at).days == 30
        assert CreditLot.objects.get().expires_at == payment.expires_at

    def test_a_price_without_a_plan_is_never_guessed(self, stripe, plans, buyer):
        Plan.objects.filter(code="small").delete()
        buyer.buy(plans["small"])
        carry_out(stripe.events("payment_intent.succeeded"))
        assert (PaymentLine.objects.get().kind, Payment.objects.get().kind, buyer.journal) == (
            "open",
            "open",
            [],
        )
        plan = plans["small"]
        plan.pk = None
        plan.save()
        reconcile.settle_open_lines()
        assert buyer.journal == [("purchase", 100)]
        assert (PaymentLine.objects.get().kind, Payment.objects.get().kind) == ("pack", "pack")

    def test_what_strangers_pay_is_not_ours(self, stripe, plans, buyer):
        stranger = gateway.create_customer(
            email="s@example.com", metadata={"user_id": str(buyer.id)}, key="x"
        )
        buyer.customer = stranger["id"]
        buyer.buy(plans["small"])
        carry_out(stripe.events())
        assert buyer.journal == []
        assert not InboxEvent.objects.filter(done_at=None).exists()


class TestRefunds:
    def test_three_thirds_are_exactly_all(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"])
        charge = buyer.charge_of(session)
        carry_out(stripe.events())
        for amount in (167, 167, 166):
            stripe.refund(charge, amount)
            carry_out(stripe.events("charge.refunded", "refund.created"))
        assert [amount for _, amount in buyer.journal] == [100, -34, -33, -33]
        assert buyer.balance == 0
        assert buyer.verifies()

    def test_before_anything_was_settled(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"])
        stripe.refund(buyer.charge_of(session), 250)
        carry_out(reversed(stripe.events()))
        assert (buyer.balance, buyer.journal) == (50, [("purchase", 100), ("chargeback", -50)])

    def test_one_that_fails_comes_back(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"])
        refund = stripe.refund(buyer.charge_of(session), 250)
        carry_out(stripe.events())
        assert buyer.balance == 50
        stripe.fail_refund(refund["id"])
        carry_out(stripe.events("refund.failed"))
        assert buyer.balance == 100
        assert buyer.verifies()

    def test_of_credits_that_are_spent_become_debt_which_the_next_purchase_pays(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"])
        carry_out(stripe.events())
        buyer.use(80)
        stripe.refund(buyer.charge_of(session))
        carry_out(stripe.events("charge.refunded"))
        assert (buyer.balance, UserCredit.objects.get().debt) == (-80, 80)
        buyer.buy(plans["small"])
        carry_out(stripe.events())
        assert (buyer.balance, UserCredit.objects.get().debt) == (20, 0)
        assert buyer.verifies()


class TestDisputes:
    def test_during_a_hold(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"])
        carry_out(stripe.events())
        buyer.use(60)
        hold = ledger.hold(
            user_id=buyer.id, amount=20, lifetime=timedelta(minutes=15), call=Call(service="shop", key="h")
        )
        stripe.dispute(buyer.charge_of(session))
        carry_out(stripe.events("charge.dispute.created", "charge.dispute.funds_withdrawn"))
        row = UserCredit.objects.get()
        assert (row.balance, row.held, row.debt) == (-60, 20, 80)
        ledger.capture(hold_id=hold.pk, amount=20, call=Call(service="shop", key="c"))
        assert buyer.balance == -80
        assert buyer.verifies()

    def test_won(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"])
        carry_out(stripe.events())
        dispute = stripe.dispute(buyer.charge_of(session))
        carry_out(stripe.events("charge.dispute.created"))
        assert buyer.balance == 0
        stripe.close_dispute(dispute["id"], "won")
        carry_out(stripe.events("charge.dispute.closed", "charge.dispute.funds_reinstated"))
        assert buyer.balance == 100
        assert buyer.verifies()

    def test_lost(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"])
        dispute = stripe.dispute(buyer.charge_of(session))
        stripe.close_dispute(dispute["id"], "lost")
        carry_out(stripe.events())
        assert buyer.balance == 0
        assert buyer.verifies()


def causes(buyer):
    rows = CreditTransaction.objects.filter(holder_id=buyer.id, type="chargeback").order_by("at")
    return [(row.amount, row.metadata) for row in rows]


class TestCauses:
    """A front end tells its user what a chargeback was: a refund is not a dispute."""

    def test_of_a_refund_a_dispute_and_its_end(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"])
        carry_out(stripe.events())
        stripe.refund(buyer.charge_of(session), 100)
        carry_out(stripe.events("charge.refunded"))
        dispute = stripe.dispute(buyer.charge_of(session), amount=400)
        carry_out(stripe.events("charge.dispute.created"))
        stripe.close_dispute(dispute["id"], "won")
        carry_out(stripe.events("charge.dispute.closed"))
        assert causes(buyer) == [
            (-20, {"cause": "refunded"}),
            (-80, {"cause": "disputed"}),
            (80, {"cause": "restored"}),
        ]
        assert buyer.verifies()

    def test_of_what_was_refunded_before_anybody_looked(self, stripe, plans, buyer):
        stripe.refund(buyer.charge_of(buyer.buy(plans["small"])), 250)
        carry_out(stripe.events())
        assert causes(buyer) == [(-50, {"cause": "refunded"})]


class TestSubscription:
    def test_each_period_gives_its_credits_until_its_end(self, stripe, plans, buyer):
        session = buyer.buy(plans["basic"])
        carry_out(stripe.events())
        assert buyer.journal == [("subscription", 200)]
        lot = CreditLot.objects.get()
        end = gateway.retrieve_subscription(session["subscription"])["items"]["data"][0]["current_period_end"]
        assert lot.expires_at is not None
        assert (lot.expires_at - timedelta(hours=72)).timestamp() == end
        stripe.renew(session["subscription"])
        carry_out(stripe.events())
        assert [amount for _, amount in buyer.journal] == [200, 200]

    def test_a_proration_gives_what_was_paid_for_it(self, stripe, plans, buyer):
        session = buyer.buy(plans["basic"])
        subscription = gateway.retrieve_subscription(session["subscription"])
        item = subscription["items"]["data"][0]["id"]
        sdk.client().v1.subscriptions.update(
            subscription["id"],
            {"items": [{"id": item, "price": "price_sub_pro"}], "proration_behavior": "always_invoice"},
        )
        carry_out(stripe.events())
        paid = Payment.objects.get(kind="proration").paid or 0
        assert paid > 0
        assert buyer.balance == 200 + 1000 * paid // 2900
        stripe.renew(subscription["id"])
        carry_out(stripe.events())
        assert buyer.balance == 1200 + 1000 * paid // 2900

    def test_a_trial_gives_the_trials_credits_until_its_end(self, stripe, plans, buyer):
        session = buyer.buy(plans["pro"], trial=True)
        carry_out(stripe.events())
        assert buyer.journal == [("trial", 50)]
        trial_end = gateway.retrieve_subscription(session["subscription"])["trial_end"]
        expires_at = CreditLot.objects.get().expires_at
        assert expires_at is not None
        assert expires_at.timestamp() == trial_end
        stripe.advance(days=15)
        carry_out(stripe.events())
        assert buyer.journal == [("trial", 50), ("subscription", 1000)]


class TestStaleness:
    def test_who_looked_earlier_does_not_undo_what_a_later_look_did(self, stripe, plans, buyer):
        session = buyer.buy(plans["small"])
        carry_out(stripe.events())
        intent = session["payment_intent"]
        version, stale = settle.version_of(intent), snapshots.take(intent)
        stripe.refund(buyer.charge_of(session))
        settle.settle(intent)
        assert buyer.balance == 0
        assert settle.apply(intent, buyer.id, version, stale) is None
        assert buyer.balance == 0

    def test_nor_when_the_later_look_found_nothing_new(self, stripe, plans, buyer):
        intent = buyer.buy(plans["small"])["payment_intent"]
        version, snapshot = settle.version_of(intent), snapshots.take(intent)
        settle.settle(intent)
        settle.settle(intent)
        assert settle.apply(intent, buyer.id, version, snapshot) is None


class TestConstraints:
    def test_a_grant_without_a_settlement_is_refused(self, plans, user):
        with pytest.raises(IntegrityError, match="payment_frozen_whole"), transaction.atomic():
            Payment.objects.create(pk="in_1", user=user, credits=5)

    def test_more_kept_than_paid_is_refused(self, plans, user):
        with pytest.raises(IntegrityError, match="payment_frozen_whole"), transaction.atomic():
            Payment.objects.create(
                pk="in_1", user=user, kind="pack", plan=plans["small"], credits=5, quantity=1, paid=5, kept=6,
                currency="eur", settled_at=timezone.now(), paid_at=timezone.now(),
            )  # fmt: skip

    def test_credits_without_a_plan_are_refused(self, user):
        with pytest.raises(IntegrityError, match="payment_credits_come_from_a_plan"), transaction.atomic():
            Payment.objects.create(
                pk="in_1", user=user, kind="pack", credits=5, quantity=1, paid=5, kept=5,
                currency="eur", settled_at=timezone.now(), paid_at=timezone.now(),
            )  # fmt: skip


class TestInbox:
    def test_unknown_types_are_done_without_effect(self, stripe, buyer):
        carry_out([event("shop.closed", {"object": "shop", "id": "sh_1", "customer": buyer.customer})])
        row = InboxEvent.objects.get()
        assert row.done_at is not None
        assert row.attempts == 1

    def test_about_what_stripe_has_deleted(self, stripe, buyer):
        carry_out([event("invoice.paid", {"object": "invoice", "id": "in_gone", "customer": buyer.customer})])
        assert InboxEvent.objects.get().settled_at is not None

    def test_in_the_order_of_their_making(self, stripe, settings):
        later, sooner = event(created=2_000), event(created=1_000)
        receive([later, sooner])
        first = inbox.queue.claim()
        assert first is not None
        assert first.event_id == sooner["id"]

    def test_two_workers_never_have_the_same(self, stripe):
        receive([event()])
        assert inbox.queue.claim() is not None
        assert inbox.queue.claim() is None

    def test_a_worker_that_dies_leaves_it_to_another(self, stripe, plans, buyer):
        buyer.buy(plans["small"])
        receive(stripe.events("payment_intent.succeeded"))
        inbox.queue.claim()
        InboxEvent.objects.update(leased_until=timezone.now())
        inbox.work()
        assert buyer.balance == 100

    def test_stripe_away_is_tried_again_and_given_up_after_eight(self, stripe, plans, buyer):
        buyer.buy(plans["small"])
        receive(stripe.events("payment_intent.succeeded"))
        stripe.fault(status=500, times=1000)
        for number in range(1, 9):
            assert InboxEvent.objects.get().dead_at is None
            InboxEvent.objects.update(due_at=timezone.now())
            inbox.work()
            assert InboxEvent.objects.get().attempts == number
        assert InboxEvent.objects.get().dead_at is not None
        assert InboxEvent.objects.get().last_error == "BillingFailed billing_unavailable"
        stripe.clear_faults()
        inbox.replay(inbox.dead().get())
        inbox.work()
        assert buyer.balance == 100

    def test_a_mirror_that_fails_holds_up_no_grant(self, stripe, plans, buyer, monkeypatch):
        """Nobody but dj-stripe asks for this path."""
        buyer.buy(plans["small"])
        stripe.fault(path="/v1/customers/cus_.*", status=500, times=1000)
        carry_out(stripe.events("payment_intent.succeeded"))
        row = InboxEvent.objects.get()
        assert buyer.balance == 100
        assert row.settled_at is not None
        assert row.mirrored_at is None
        stripe.clear_faults()
        InboxEvent.objects.update(due_at=timezone.now())
        inbox.work()
        assert InboxEvent.objects.get().done_at is not None
        assert buyer.journal == [("purchase", 100)]

    def test_the_secret_key_is_in_no_table(self, stripe, plans, buyer):
        from djstripe.models import APIKey, Charge

        buyer.buy(plans["small"])
        carry_out(stripe.events())
        assert Charge.objects.exists()
        assert not APIKey.objects.exists()

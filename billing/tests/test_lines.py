"""Settlement by lines: what each line of a payment gives, whatever else is on its invoice and becomes of its money."""

from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEvent, ServiceEvent
from accounts.tests.conftest import deliver_mails
from billing import queues
from billing.models import InboxEvent, Payment, PaymentLine, Plan
from billing.settlement import lines, settle, shares
from billing.stripe import gateway, sdk
from billing.stripe.snapshots import Collection, Line, Snapshot
from billing.stripe_sync import inbox, reconcile
from billing.tests.conftest import carry_out
from credits.models import CreditLot

pytestmark = pytest.mark.django_db


def line(id="a", amount=2000, **values):
    return Line(**{"id": id, "price": "price", "quantity": 1, "amount": amount, "bare": amount, **values})


def shared(*given, received, **values):
    """Return what is covered of each line."""
    snapshot = Snapshot(
        customer="cus",
        paid=True,
        amount=received,
        currency="eur",
        paid_at=timezone.now(),
        lines=given,
        **values,
    )
    return {key: share.covered for key, share in shares.shares(snapshot).items()}


class TestShares:
    """The rule of what a line is worth, as a table."""

    @pytest.mark.parametrize(
        ("what", "found", "expected"),
        [
            ("all of it", shared(line(), received=2000), {"a": 2000}),
            ("a fee beside the plan", shared(line(), line("fee", 500), received=2500), {"a": 2000, "fee": 500}),
            ("half refunded, with a fee", shared(line(), line("fee", 500), received=2500, refunded=1250),
             {"a": 1000, "fee": 250}),
            ("shipping, half refunded", shared(line(), received=2500, rest=500, refunded=1250), {"a": 1000}),
            ("a part captured", shared(line(), received=500), {"a": 500}),
            ("a discount as a line", shared(line(), line("off", -800), received=1200), {"a": 1200}),
            ("a dispute after a refund of a part",
             shared(line(), received=2000, refunded=500, disputed=1500), {"a": 0}),
            ("a dispute that overlaps", shared(line(), received=2000, refunded=500, disputed=2000), {"a": 0}),
            ("written off by a note before it was paid", shared(line(), received=0), {"a": 0}),
            ("a note to the card", shared(line(), received=2000, refunded=500, noted_refunds=500, notes={"a": 500}),
             {"a": 1500}),
            ("a note on the fee alone", shared(line(), line("fee", 500), received=2500, notes={"fee": 500}),
             {"a": 2000, "fee": 0}),
            ("a note that names no line", shared(line(), line("fee", 500), received=2500, notes={"": 250}),
             {"a": 1800, "fee": 450}),
            ("a note whose refund failed",
             shared(line(), received=2000, refunded=0, noted_refunds=500, notes={"a": 500}), {"a": 2000}),
            ("a note on a line of which half was refunded before",
             shared(line(), line("b"), received=4000, refunded=2000, notes={"a": 2000}), {"a": 0, "b": 0}),
            ("from the balance", shared(line(), received=500, from_balance=1500), {"a": 2000}),
            ("more than it cost", shared(line(), received=5000), {"a": 2000}),
            ("up with proration", shared(line("old", -900, is_proration=True), line("new", 2900, is_proration=True),
                                         received=2000), {"new": 2000}),
            ("down with proration, credited on the renewal",
             shared(line("old", -1900, is_proration=True), line("new", 900, is_proration=True), line(),
                    received=1000), {"a": 1000, "new": 0}),
            ("thirds, to the last cent", shared(line("a", 100), line("b", 100), line("c", 100), received=200),
             {"a": 67, "b": 67, "c": 66}),
        ],
    )  # fmt: skip
    def test_of_what_is_kept(self, what, found, expected):
        assert found == expected, what

    def test_what_cost_nothing_is_worth_all_and_what_was_written_off_nothing(self):
        free = PaymentLine(credits=200, due=0, covered=0)
        written_off = PaymentLine(credits=200, due=900, covered=0)
        partly = PaymentLine(credits=200, due=900, covered=899)
        assert (free.worth, written_off.worth, partly.worth) == (200, 0, 199)


def monthly(buyer, price="price_sub_basic", **params):
    """A subscription as staff make it at Stripe. Paid by card unless it is sent."""
    card = sdk.client().v1.payment_methods.attach("pm_card_visa", {"customer": buyer.customer})
    items = params.pop("items", [{"price": price}])
    given: Any = {"customer": buyer.customer, "items": items, "default_payment_method": card.id, **params}
    made = sdk.client().v1.subscriptions.create(given)
    return gateway.retrieve_subscription(made.id)


def item(buyer, amount, **values):
    params: Any = {"customer": buyer.customer, "currency": "eur", "amount": amount, **values}
    return sdk.client().v1.invoice_items.create(params)


def credit(invoice, **params):
    given: Any = {"invoice": invoice, **params}
    return sdk.client().v1.credit_notes.create(given)


class TestSeveralLines:
    def test_every_line_of_a_long_invoice_is_read(self, stripe, plans, buyer):
        subscription = monthly(buyer)
        for _ in range(100):
            item(buyer, 1, metadata={"credits": "0"})
        stripe.renew(subscription["id"])
        invoice = gateway.retrieve_subscription(subscription["id"])["latest_invoice"]
        assert len(gateway.list_invoice_lines(invoice)) == 101

    def test_a_fee_that_rides_on_a_renewal_holds_no_credits_back(self, stripe, plans, buyer):
        subscription = monthly(buyer)
        item(buyer, 700, metadata={"credits": "0"})
        stripe.renew(subscription["id"])
        carry_out(stripe.events())
        assert [amount for _, amount in buyer.journal] == [200, 200]
        assert set(PaymentLine.objects.values_list("kind", "credits")) == {
            ("subscription", 200),
            ("nothing", 0),
        }
        assert not inbox.dead().exists()

    def test_a_fee_beside_a_trial_makes_no_period_of_it(self, stripe, plans, buyer):
        item(buyer, 700, metadata={"credits": "0"})
        monthly(buyer, price="price_sub_pro", trial_period_days=14)
        carry_out(stripe.events())
        assert Payment.objects.get().paid == 700
        assert buyer.journal == [("trial", 50)]

    def test_two_items_give_each_their_own(self, stripe, plans, buyer):
        monthly(buyer, items=[{"price": "price_sub_basic", "quantity": 2}, {"price": "price_sub_pro"}])
        carry_out(stripe.events())
        assert sorted(buyer.journal) == [("subscription", 400), ("subscription", 1000)]
        payment = Payment.objects.get()
        assert (payment.plan, payment.credits) == (plans["pro"], 1000)
        stripe.refund(gateway.retrieve_payment_intent(payment.payment_intent)["latest_charge"]["id"], 2350)
        carry_out(stripe.events("charge.refunded"))
        assert buyer.balance == 700
        assert buyer.verifies()

    def test_a_price_without_a_plan_waits_alone_and_settles_when_its_plan_comes(self, stripe, plans, buyer):
        plan = plans["pro"]
        Plan.objects.filter(pk=plan.pk).delete()
        monthly(buyer, items=[{"price": "price_sub_basic"}, {"price": "price_sub_pro"}])
        carry_out(stripe.events())
        assert buyer.journal == [("subscription", 200)]
        assert not inbox.dead().exists()
        assert not InboxEvent.objects.filter(done_at=None).exists()
        assert ("open_lines", 1) in [(name, dead) for name, _, _, dead in queues.standings()]
        plan.pk = None
        plan.save()
        assert reconcile.settle_open_lines() == 1
        assert sorted(buyer.journal) == [("subscription", 200), ("subscription", 1000)]
        assert [event.data["posted"] for event in ServiceEvent.objects.filter(type="purchase.completed")] == [
            200,
            1000,
        ]

    def test_a_quantity_of_none_is_none(self, stripe, plans, buyer):
        monthly(buyer, items=[{"price": "price_sub_basic", "quantity": 0}, {"price": "price_sub_pro"}])
        carry_out(stripe.events())
        assert buyer.journal == [("subscription", 1000)]


class TestPaidLate:
    def test_kept_money_gives_credits_that_last_a_whole_period(self, stripe, plans, buyer):
        subscription = monthly(buyer, collection_method="send_invoice", days_until_due=30)
        stripe.advance(days=45)
        sdk.client().v1.invoices.pay(subscription["latest_invoice"], {"paid_out_of_band": True})
        carry_out(stripe.events())
        assert buyer.balance == 200
        row = PaymentLine.objects.get()
        assert row.expires_at is not None
        end = gateway.retrieve_invoice(subscription["latest_invoice"])["lines"]["data"][0]["period"]["end"]
        assert row.expires_at.timestamp() == end + 792 * 3600

    def test_beyond_any_grace(self, stripe, plans, buyer):
        """The fake's clock is ahead of ours, so the period that was over is one of a year ago."""
        row, snapshot = self.late(plans, days_ago=365)
        now = timezone.now()
        expires_at = lines.expiry(row, snapshot)
        assert expires_at is not None
        assert timedelta(days=29, hours=23) < expires_at - now < timedelta(days=30, hours=1)

    def test_the_grace_is_chosen_by_how_the_money_comes(self, stripe, plans):
        plan = plans["basic"]
        Plan.objects.filter(pk=plan.pk).update(grace_hours=5)
        plan.refresh_from_db()
        assert [lines.grace(plan, way) for way in Collection] == [
            timedelta(hours=5), timedelta(hours=192), timedelta(hours=792),
        ]  # fmt: skip

    def test_what_an_earlier_version_kept_without_credits_is_found_and_given(
        self, stripe, plans, buyer, capsys
    ):
        session = buyer.buy(plans["basic"])
        Payment.objects.create(
            pk=session["invoice"], user_id=buyer.id, settled_at=timezone.now(), kind="subscription",
            plan=plans["basic"], quantity=1, credits=200, paid=900, kept=900, currency="eur",
            paid_at=timezone.now(), expires_at=timezone.now() - timedelta(days=1),
        )  # fmt: skip
        call_command("settlement_report")
        assert "200 credits not granted" in capsys.readouterr().out
        import_module("billing.migrations.0009_lines_of_earlier_payments").add_lines(
            None, type("Editor", (), {"connection": connection})
        )
        assert ("kept_without_credits", 1) in [(name, dead) for name, _, _, dead in queues.standings()]
        now = timezone.now()
        found = list(reconcile.reconcile(start=now - timedelta(hours=1), end=now + timedelta(hours=1)))
        assert [(row.posted, row.due) for row in found] == [(0, 200)]
        expires_at = PaymentLine.objects.get().expires_at
        assert expires_at is not None
        assert (buyer.balance, expires_at > now) == (200, True)
        call_command("settlement_report")
        told = capsys.readouterr().out
        assert "0 payments kept without credits." in told
        assert "0 open lines." in told

    @staticmethod
    def late(plans, *, days_ago):
        end = timezone.now() - timedelta(days=days_ago)
        row = PaymentLine(line="a", plan=plans["basic"], kind="subscription")
        bought = line(period_start=end - timedelta(days=30), period_end=end)
        snapshot = Snapshot(
            customer="c", paid=True, amount=900, currency="eur", paid_at=timezone.now(), lines=(bought,)
        )
        return row, snapshot


class TestWorth:
    def test_a_coupon_and_tax_on_top(self, stripe, plans, buyer):
        stripe.settings(tax_percent=20)
        coupon = sdk.client().v1.coupons.create({"percent_off": 50})
        monthly(buyer, discounts=[{"coupon": coupon.id}], automatic_tax={"enabled": True})
        carry_out(stripe.events())
        payment = Payment.objects.get()
        assert (payment.paid, buyer.balance) == (540, 200)
        stripe.refund(gateway.retrieve_payment_intent(payment.payment_intent)["latest_charge"]["id"], 270)
        carry_out(stripe.events("charge.refunded"))
        assert buyer.balance == 100

    def test_all_off_gives_all(self, stripe, plans, buyer):
        coupon = sdk.client().v1.coupons.create({"percent_off": 100})
        monthly(buyer, discounts=[{"coupon": coupon.id}])
        carry_out(stripe.events())
        assert (Payment.objects.get().paid, buyer.balance) == (0, 200)

    def test_an_invoice_that_is_written_off_gives_nothing(self, stripe, plans, buyer):
        subscription = monthly(buyer, collection_method="send_invoice", days_until_due=30)
        credit(subscription["latest_invoice"], amount=900)
        carry_out(stripe.events())
        assert gateway.retrieve_invoice(subscription["latest_invoice"])["status"] == "paid"
        assert buyer.journal == []
        assert not ServiceEvent.objects.filter(type="purchase.completed").exists()
        assert not AuditEvent.objects.filter(type="purchased").exists()

    def test_one_that_is_credited_to_the_balance_pays_the_next_one_only(self, stripe, plans, buyer):
        subscription = monthly(buyer)
        credit(subscription["latest_invoice"], amount=900, credit_amount=900)
        carry_out(stripe.events())
        assert buyer.balance == 0
        stripe.renew(subscription["id"])
        carry_out(stripe.events())
        first, second = Payment.objects.order_by("paid_at")
        assert (first.kept, second.paid, second.from_balance, second.kept) == (0, 0, 900, 900)
        assert [amount for _, amount in buyer.journal] == [200, -200, 200]

    def test_a_note_to_the_card_counts_once(self, stripe, plans, buyer):
        subscription = monthly(buyer)
        credit(subscription["latest_invoice"], amount=450, refund_amount=450)
        carry_out(stripe.events())
        assert (Payment.objects.get().kept, buyer.balance) == (450, 100)

    def test_a_note_that_is_told_of_by_nothing_but_itself(self, stripe, plans, buyer):
        subscription = monthly(buyer)
        carry_out(stripe.events())
        seen = {event["id"] for event in stripe.events()}
        credit(subscription["latest_invoice"], amount=450, out_of_band_amount=450)
        carry_out([event for event in stripe.events() if event["id"] not in seen])
        assert buyer.balance == 100

    def test_a_part_that_is_captured_gives_that_part(self, stripe, plans, buyer):
        session = sdk.client().v1.checkout.sessions.create({
            "mode": "payment", "customer": buyer.customer, "success_url": "https://shop.test/",
            "line_items": [{"price": "price_pack_large", "quantity": 1}],
            "payment_intent_data": {"capture_method": "manual"},
        })  # fmt: skip
        stripe.pay_checkout(session.id)
        carry_out(stripe.events())
        assert buyer.journal == []
        intent = gateway.retrieve_checkout_session(session.id)["payment_intent"]
        sdk.client().v1.payment_intents.capture(intent, {"amount_to_capture": 500})
        carry_out(stripe.events())
        assert (Payment.objects.get().paid, buyer.balance) == (500, 125)

    def test_a_change_of_plan_with_proration_gives_what_was_paid_at_the_new_rate(self, stripe, plans, buyer):
        subscription = monthly(buyer)
        self.move(subscription, "price_sub_pro")
        carry_out(stripe.events())
        paid = Payment.objects.get(kind="proration").paid
        assert paid is not None
        assert 0 < paid <= 2000
        assert buyer.balance == 200 + 1000 * paid // 2900

    def test_and_down_again_gives_the_cheap_periods_credits_to_nobody_twice(self, stripe, plans, buyer):
        subscription = monthly(buyer, price="price_sub_pro")
        self.move(subscription, "price_sub_basic")
        carry_out(stripe.events())
        assert buyer.balance == 1000
        stripe.renew(subscription["id"])
        carry_out(stripe.events())
        renewal = Payment.objects.exclude(kind="proration").order_by("paid_at").last()
        assert renewal is not None
        assert (renewal.paid, renewal.from_balance) == (0, 0)
        assert buyer.balance == 1000
        assert buyer.verifies()

    def test_what_is_worth_less_from_the_beginning_is_told_as_that(self, stripe, plans, buyer):
        session = buyer.buy(plans["basic"])
        carry_out(stripe.events())
        deliver_mails()
        before = buyer.balance
        stripe.advance(days=15)
        self.move(gateway.retrieve_subscription(session["subscription"]), "price_sub_pro")
        carry_out(stripe.events("invoice.paid"))
        given = buyer.balance - before
        assert 0 < given < plans["pro"].credits // 2
        told = ServiceEvent.objects.filter(type__startswith="purchase.").order_by("pk").last()
        assert told is not None
        assert (told.type, told.data["posted"]) == ("purchase.completed", given)
        assert f"Credits: {given}\n" in deliver_mails()[-1].body

    @staticmethod
    def move(subscription, price):
        item = subscription["items"]["data"][0]["id"]
        sdk.client().v1.subscriptions.update(
            subscription["id"],
            {"items": [{"id": item, "price": price}], "proration_behavior": "always_invoice"},
        )


class TestToldOnce:
    def test_a_refund_then_a_dispute_that_is_won(self, stripe, plans, buyer):
        charge = buyer.charge_of(buyer.buy(plans["small"]))
        stripe.refund(charge, 100)
        carry_out(stripe.events())
        dispute = stripe.dispute(charge, amount=500)
        carry_out(stripe.events("charge.dispute.created"))
        stripe.close_dispute(dispute["id"], "won")
        carry_out(stripe.events("charge.dispute.closed"))
        told = ServiceEvent.objects.filter(type__startswith="purchase.").order_by("pk")
        assert [(event.type, event.data["posted"]) for event in told] == [
            ("purchase.completed", 100), ("purchase.refunded", -20), ("purchase.disputed", -80),
            ("purchase.restored", 80),
        ]  # fmt: skip
        assert AuditEvent.objects.filter(type="payment_refunded").count() == 1
        assert buyer.balance == 80

    def test_the_credits_that_are_told_are_those_that_were_granted(self, stripe, plans, buyer):
        buyer.buy(plans["basic"])
        carry_out(stripe.events())
        told = ServiceEvent.objects.get(type="purchase.completed").data
        assert (told["credits"], told["posted"]) == (200, 200)
        assert CreditLot.objects.get().issued == 200
        payment = settle.settle(told["payment"])
        assert payment is not None
        assert ServiceEvent.objects.filter(type="purchase.completed").count() == 1

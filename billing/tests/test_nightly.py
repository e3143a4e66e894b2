"""The nightly round: what was kept without credits, links that were lost, and sums that differ from Stripe's."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from billing import customers, queues
from billing.models import CustomerLink, Payment, PaymentDay, Progress, StrangerPayment
from billing.stripe import sdk
from billing.stripe_sync import nightly, reconcile
from billing.tests.conftest import carry_out

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch):
    """Catch what the round hands to workers."""
    tasks: list[tuple[object, ...]] = []
    monkeypatch.setattr("accounts.kit.nudge.send", lambda *task: tasks.append(task))
    return tasks


def whole_round():
    """All that Stripe's lists have, whatever its clock says."""
    now = timezone.now()
    return list(reconcile.reconcile(start=now - timedelta(hours=1), end=now + timedelta(days=90)))


class TestWhatIsFound:
    def test_an_old_invoice_that_was_paid_today(self, stripe, plans, buyer):
        card = sdk.client().v1.payment_methods.attach("pm_card_visa", {"customer": buyer.customer})
        sdk.client().v1.subscriptions.create({
            "customer": buyer.customer, "items": [{"price": "price_sub_basic"}], "default_payment_method": card.id,
            "collection_method": "send_invoice", "days_until_due": 30,
        })  # fmt: skip
        (invoice,) = stripe.objects("invoice")
        stripe.advance(days=20)
        sdk.client().v1.invoices.pay(invoice["id"], {"payment_method": card.id})
        start = timezone.now() + timedelta(days=19)
        assert reconcile.payments_of(start=start, end=start + timedelta(days=2)) == [invoice["id"]]
        (found,) = reconcile.reconcile(start=start, end=start + timedelta(days=2))
        assert (found.posted, found.due, buyer.balance) == (0, 200, 200)

    def test_what_was_paid_outside_stripe_and_what_was_free(self, stripe, plans, buyer):
        card = sdk.client().v1.payment_methods.attach("pm_card_visa", {"customer": buyer.customer})
        coupon = sdk.client().v1.coupons.create({"percent_off": 100})
        free = {"discounts": [{"coupon": coupon.id}]}
        for more in (free, {"collection_method": "send_invoice", "days_until_due": 30}):
            wanted: Any = {"customer": buyer.customer, "items": [{"price": "price_sub_basic"}], **more}
            wanted["default_payment_method"] = card.id
            sdk.client().v1.subscriptions.create(wanted)
        stripe.advance(days=9)
        (waiting,) = [row for row in stripe.objects("invoice") if row["status"] == "open"]
        sdk.client().v1.invoices.pay(waiting["id"], {"paid_out_of_band": True})
        assert [row.due for row in whole_round()] == [200, 200]
        assert whole_round() == []

    def test_a_refund_and_a_dispute_of_a_payment_of_long_ago(self, stripe, plans, buyer):
        sessions = [buyer.buy(plans["small"]), buyer.buy(plans["large"])]
        carry_out(stripe.events())
        stripe.advance(days=60)
        stripe.refund(buyer.charge_of(sessions[0]), 100)
        stripe.dispute(buyer.charge_of(sessions[1]))
        start = timezone.now() + timedelta(days=59)
        found = list(reconcile.reconcile(start=start, end=start + timedelta(days=2)))
        assert sorted((row.posted, row.due) for row in found) == [(100, 80), (500, 0)]

    def test_a_link_that_was_lost_is_made_again(self, stripe, plans, buyer, sent):
        buyer.buy(plans["small"])
        CustomerLink.objects.filter(pk=buyer.id).delete()
        (found,) = whole_round()
        assert (found.user_id, found.due, customers.user_of(buyer.customer)) == (buyer.id, 100, buyer.id)

    def test_one_that_nobody_can_prove_is_named_and_is_linked_when_it_can_be(
        self, stripe, plans, buyer, sent
    ):
        marks = customers.marks(buyer.id)
        sdk.client().v1.customers.update(buyer.customer, {"metadata": {"proof": ""}})
        buyer.buy(plans["small"])
        CustomerLink.objects.filter(pk=buyer.id).delete()
        (found,) = whole_round()
        assert (found.is_of_nobody, found.problem, buyer.journal) == (True, "", [])
        sdk.client().v1.customers.update(buyer.customer, {"metadata": marks})
        nightly.begin()
        assert buyer.balance == 100
        assert not StrangerPayment.objects.filter(assigned_at=None).exists()

    def test_the_command_tells_of_it_and_is_content(self, stripe, plans, buyer, capsys):
        sdk.client().v1.customers.update(buyer.customer, {"metadata": {"proof": ""}})
        buyer.buy(plans["small"])
        CustomerLink.objects.filter(pk=buyer.id).delete()
        call_command("reconcile_stripe", "--since", "2h")
        told = capsys.readouterr().out
        assert "Payments by unknown customers" in told
        assert "0 payments corrected, 0 could not be settled." in told


class TestHours:
    def test_the_tail_is_looked_at_by_the_next_run(self, stripe, plans, buyer, sent, monkeypatch):
        for _ in range(3):
            buyer.buy(plans["small"])
        start = timezone.now().replace(minute=0, second=0, microsecond=0)
        clock = iter([0.0, 0.0, 500.0])
        with monkeypatch.context() as patch:
            patch.setattr(
                nightly, "time", type("Clock", (), {"monotonic": staticmethod(lambda: next(clock))})
            )
            assert nightly.look_at_hour(start) == 1
        row = Progress.objects.get(name__startswith=nightly.PREFIX)
        assert row.after == min(Payment.objects.values_list("pk", flat=True))
        assert [task[0] for task in sent] == ["billing.tasks.reconcile_window"]
        assert nightly.look_at_hour(start) == 2
        assert buyer.balance == 300
        assert not Progress.objects.filter(pk=row.pk).exists()

    def test_an_hour_that_was_never_finished_is_taken_up_the_next_night(self, stripe, sent):
        left = timezone.now() - timedelta(days=9)
        row = Progress.objects.create(name=nightly._name(left), until=left, after="in_1")
        nightly.begin()
        hours = [task[1] for task in sent if task[0] == "billing.tasks.reconcile_window"]
        assert min(hours) == nightly._start_of(row.name).timestamp()
        assert len(hours) in {73, 74}


class TestSums:
    def test_what_is_known_is_the_same_on_both_sides(self, stripe, plans, make_buyer):
        buyer, lost = make_buyer(), make_buyer()
        buyer.buy(plans["small"])
        buyer.buy(plans["basic"])
        sdk.client().v1.customers.update(lost.customer, {"metadata": {"proof": ""}})
        lost.buy(plans["large"])
        CustomerLink.objects.filter(pk=lost.id).delete()
        carry_out(stripe.events())
        assert nightly.compare_days(today=self.tomorrow()) == 0
        row = PaymentDay.objects.get()
        assert (row.currency, row.at_stripe, row.here) == ("eur", 3400, 3400)

    def test_what_nobody_here_has_heard_of_differs_until_it_has(self, stripe, plans, buyer):
        buyer.buy(plans["small"])
        carry_out(stripe.events())
        buyer.buy(plans["large"])
        assert nightly.compare_days(today=self.tomorrow()) == 1
        assert ("days_that_differ", 0, 0.0, 1) in queues.standings()
        carry_out(stripe.events())
        assert nightly.compare_days(today=self.tomorrow()) == 0
        assert ("days_that_differ", 0, 0.0, 0) in queues.standings()

    @staticmethod
    def tomorrow():
        return (timezone.now() + timedelta(days=1)).date()


def test_a_payout_and_a_fee_are_about_no_payment():
    rows: list[dict[str, Any]] = [
        {"source": None},
        {"source": "po_1"},
        {"source": {"object": "payout", "id": "po_1"}},
    ]
    assert reconcile._intents(rows) == set()

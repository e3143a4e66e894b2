"""`verify_ledger` finds where payments and the journal do not say the same, and nothing where they do."""

import json
from datetime import timedelta
from typing import Any, cast

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from structlog.testing import capture_logs

from accounts.models import ServiceEvent, User
from billing.models import Payment, PaymentLine, Plan
from billing.stripe import sdk
from billing.tests.conftest import carry_out
from billing.tests.test_lines import monthly
from credits import ledger, tasks
from credits.ledger import sweeping
from credits.ledger.calls import Call
from credits.models import TransactionType
from credits.tests.conftest import Clock

pytestmark = pytest.mark.django_db


def verified(capsys, *arguments):
    """Return what the command prints, as (user, place, finding), and its exit status."""
    capsys.readouterr()
    status = 0
    try:
        call_command("verify_ledger", *arguments, "--json")
    except SystemExit as end:
        status = int(end.code or 0)
    report = json.loads(capsys.readouterr().out)
    return {(row["user_id"], row["place"], row["finding"]) for row in report["findings"]}, status


@pytest.fixture
def bought(stripe, plans, buyer):
    """A pack that is paid: its payment and its line."""
    buyer.buy(plans["small"])
    carry_out(stripe.events())
    return Payment.objects.get(), PaymentLine.objects.get()


def by_billing(key="planted"):
    return Call(service="billing", key=key, request=key.encode())


class TestWhatIsWrong:
    def finds(self, capsys, buyer, *expected):
        """Both of all users and of this one."""
        rows = {(str(buyer.id), place, finding) for place, finding in expected}
        assert verified(capsys) == (rows, 1)
        assert verified(capsys, str(buyer.id)) == (rows, 1)

    def test_a_posting_of_too_little(self, buyer, bought, capsys):
        payment, line = bought
        ledger.charge_back(user_id=buyer.id, granted_by=line.granted_by, amount=1, call=by_billing())
        self.finds(capsys, buyer, (f"{payment.pk} {line.line}", "worth"), (payment.pk, "told"))

    def test_money_that_went_and_left_its_credits(self, buyer, bought, capsys):
        payment, line = bought
        Payment.objects.update(kept=250, refunded=250)
        PaymentLine.objects.update(covered=250)
        self.finds(capsys, buyer, (f"{payment.pk} {line.line}", "worth"))

    def test_money_that_is_kept_and_gave_nothing(self, buyer, bought, capsys):
        payment, line = bought
        grant = str(line.granted_by)
        PaymentLine.objects.update(granted_by=None)
        place = f"{payment.pk} {line.line}"
        self.finds(capsys, buyer, (place, "not given"), (grant, "unpaid"), (payment.pk, "told"))

    def test_credits_that_nobody_has_paid(self, buyer, capsys):
        made = ledger.add(user_id=buyer.id, amount=5, type=TransactionType.PURCHASE, call=by_billing())
        self.finds(capsys, buyer, (str(made.pk), "unpaid"))

    def test_credits_that_went_to_somebody_else(self, stripe, bought, make_buyer, capsys):
        payment, line = bought
        other, owner = make_buyer(), str(payment.user_id)
        Payment.objects.update(user=other.user)
        found, status = verified(capsys)
        assert status == 1
        assert (owner, str(line.granted_by), "unpaid") in found
        assert (str(other.id), f"{payment.pk} {line.line}", "worth") in found

    def test_lines_that_share_out_more_than_is_kept(self, buyer, bought, capsys):
        payment, _ = bought
        Payment.objects.update(kept=499, refunded=1)
        self.finds(capsys, buyer, (payment.pk, "covered"))

    @pytest.mark.parametrize("posted", [99, 101, None])
    def test_an_event_that_tells_of_other_credits(self, buyer, bought, posted, capsys):
        event = ServiceEvent.objects.get(type="purchase.completed")
        event.data = {**event.data, "posted": posted}
        event.save()
        self.finds(capsys, buyer, (bought[0].pk, "told"))

    def test_what_nobody_was_told(self, buyer, bought, capsys):
        ServiceEvent.objects.all().delete()
        self.finds(capsys, buyer, (bought[0].pk, "told"))

    def test_a_payment_of_a_version_without_lines_that_gave_nothing(self, buyer, bought, capsys):
        payment, line = bought
        PaymentLine.objects.all().delete()
        assert verified(capsys) == (set(), 0)
        Payment.objects.update(granted_by=None)
        self.finds(capsys, buyer, (payment.pk, "not given"), (str(line.granted_by), "unpaid"))

    def test_the_night_names_it(self, buyer, bought):
        Payment.objects.update(kept=499, refunded=1)
        with capture_logs() as logs:
            tasks.verify_ledger_nightly()
        assert [(line["event"], line.get("finding")) for line in logs] == [
            ("ledger_finding", "covered"),
            ("ledger_verified", None),
        ]
        assert logs[0]["place"] == bought[0].pk


class TestWhatIsRight:
    @pytest.fixture(autouse=True)
    def _nothing_is_found(self, capsys):
        yield
        assert verified(capsys) == (set(), 0)

    def test_credits_that_expired_before_their_money_went_back(self, stripe, plans, buyer):
        Plan.objects.filter(code="small").update(credits_expire_days=1)
        charge = buyer.charge_of(buyer.buy(plans["small"]))
        carry_out(stripe.events())
        buyer.use(30)
        Clock()  # years later
        sweeping.sweep_due()
        stripe.refund(charge)
        carry_out(stripe.events("charge.refunded"))
        assert buyer.journal == [("purchase", 100), ("use", -30), ("expiry", -70), ("chargeback", -30)]

    def test_a_refund_of_a_part_and_a_dispute_that_is_won(self, stripe, plans, buyer):
        refunded, disputed = (buyer.charge_of(buyer.buy(plans["small"])) for _ in range(2))
        stripe.refund(refunded, 333)
        dispute = stripe.dispute(disputed)
        carry_out(stripe.events())
        buyer.use(10)
        stripe.close_dispute(dispute["id"], "won")
        carry_out(stripe.events("charge.dispute.closed"))
        assert buyer.balance == 123

    def test_somebody_who_was_erased_before_a_refund(self, stripe, plans, buyer):
        charge = buyer.charge_of(buyer.buy(plans["small"]))
        carry_out(stripe.events())
        User.objects.filter(pk=buyer.id).update(status="deleted", email=None, email_verified_at=None)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE credits_usercredit SET closed_at = now()")
        stripe.refund(charge)
        carry_out(stripe.events("charge.refunded"))
        assert Payment.objects.get().kept == 0

    def test_events_that_are_purged(self, buyer, bought):
        Payment.objects.update(settled_at=timezone.now() - timedelta(days=90))
        ServiceEvent.objects.all().delete()

    def test_a_trial(self, stripe, plans, buyer):
        buyer.buy(plans["pro"], trial=True)
        carry_out(stripe.events())
        assert buyer.journal == [("trial", 50)]
        stripe.advance(days=15)
        carry_out(stripe.events())
        assert buyer.balance == 1050

    @pytest.mark.parametrize("trial_credits", [50, 700])
    def test_what_is_bought_with_a_trial_is_told(self, stripe, plans, buyer, trial_credits):
        Plan.objects.filter(code="pro").update(trial_credits=trial_credits)
        pack = {"customer": buyer.customer, "pricing": {"price": "price_pack_large"}}
        sdk.client().v1.invoice_items.create(cast("Any", pack))
        monthly(buyer, price="price_sub_pro", trial_period_days=14)
        carry_out(stripe.events())
        assert buyer.balance == 500 + trial_credits
        told = ServiceEvent.objects.filter(type="purchase.completed")
        assert [event.data["posted"] for event in told] == [500]

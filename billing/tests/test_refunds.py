"""Refunds by staff: alone within the day's limit, with a second person above it, and given back once at Stripe."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts.approvals import DecisionRefused
from accounts.models import AuditEvent, User
from billing import personal, refunds
from billing.errors import BillingRejected, BillingUnavailable
from billing.models import Payment, RefundRequest
from billing.settlement import settle
from billing.stripe import gateway
from billing.tests.conftest import carry_out
from credits.tests.admin_pages import page, post, signed_in

Decision = RefundRequest.Decision
B = "/admin/billing"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def limit(settings):
    settings.REFUND_APPROVAL_LIMIT = 1000
    return 1000


@pytest.fixture
def bought(buyer, plans):
    """A payment of 20.00 EUR for 500 credits."""
    return settle.settle_session(buyer.buy(plans["large"])["id"])


def someone(name, *permissions):
    user = User.objects.create_user(f"{name}@example.test", is_staff=bool(permissions))
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def ask(payment, staff, amount, *, kind="refund", request_id=None):
    return refunds.request(
        request_id=request_id or uuid.uuid4(),
        payment=Payment.objects.get(pk=payment.pk),
        kind=kind,
        amount=amount,
        reason="asked by mail",
        staff_id=staff.pk,
    )


class TestWithinTheLimit:
    def test_is_given_back_at_once_and_names_who_did_it(self, stripe, bought, buyer):
        staff = someone("staff")
        asked = ask(bought, staff, 1000)
        asked.refresh_from_db()
        assert (asked.decision, asked.done_at is not None, buyer.balance) == (Decision.DIRECT, True, 250)
        event = AuditEvent.objects.get(type="refund_ordered")
        assert (event.actor, event.user_id) == (f"staff {staff.pk}", buyer.id)
        assert (event.detail["amount"], event.detail["reason"]) == (1000, "asked by mail")

    def test_the_same_form_twice_gives_back_once_and_with_another_amount_nothing(self, stripe, bought):
        staff, form = someone("staff"), uuid.uuid4()
        for _ in range(2):
            ask(bought, staff, 300, request_id=form)
        with pytest.raises(DecisionRefused):
            ask(bought, staff, 301, request_id=form)
        assert [one["amount"] for one in stripe.objects("refund")] == [300]

    def test_what_stripe_refuses_uses_nothing_of_it_up(self, stripe, bought, settings):
        settings.REFUND_APPROVAL_LIMIT = 5000
        staff = someone("staff")
        with pytest.raises(BillingRejected):
            ask(bought, staff, 2001)
        assert not RefundRequest.objects.exists()
        assert refunds.left_today(staff.pk, "eur") == 5000

    def test_an_answer_that_was_lost_is_asked_for_again_and_nothing_is_given_back_twice(self, stripe, bought):
        staff, form = someone("staff"), uuid.uuid4()
        stripe.fault(path="/v1/refunds", method="POST", cut=True, times=9)
        with pytest.raises(BillingUnavailable):
            ask(bought, staff, 300, request_id=form)
        stripe.clear_faults()
        assert RefundRequest.objects.get().done_at is None
        assert refunds.left_today(staff.pk, "eur") == 700
        ask(bought, staff, 300, request_id=form)
        assert RefundRequest.objects.get().done_at is not None
        assert [one["amount"] for one in stripe.objects("refund")] == [300]


class TestAboveTheLimit:
    def test_amounts_of_the_day_add_up_by_person_and_currency(self, stripe, bought):
        staff = someone("staff")
        ask(bought, staff, 600)
        assert refunds.left_today(staff.pk, "eur") == 400
        assert refunds.left_today(staff.pk, "usd") == 1000
        assert ask(bought, staff, 401).decision == Decision.PENDING
        assert ask(bought, someone("other"), 401).decision == Decision.DIRECT
        RefundRequest.objects.update(requested_at=F("requested_at") - timedelta(days=1))
        assert ask(bought, staff, 401).decision == Decision.DIRECT
        assert sorted(one["amount"] for one in stripe.objects("refund")) == [401, 401, 600]

    def test_all_that_is_left_counts_as_that(self, stripe, bought, buyer):
        staff, second = someone("staff"), someone("second")
        asked = ask(bought, staff, None)
        assert (asked.decision, asked.at_stake, stripe.count("refund")) == (Decision.PENDING, 2000, 0)
        assert buyer.balance == 500
        refunds.approve(request_id=asked.pk, staff_id=second.pk)
        asked.refresh_from_db()
        assert (asked.decision, asked.decided_by_id, buyer.balance) == (Decision.APPROVED, second.pk, 0)
        assert [event.actor for event in AuditEvent.objects.filter(type="refund_approved")] == [
            f"staff {second.pk}"
        ]
        with pytest.raises(DecisionRefused):
            refunds.approve(request_id=asked.pk, staff_id=someone("third").pk)
        assert stripe.count("refund") == 1

    def test_the_end_of_a_subscription_waits_for_it_too(self, stripe, plans, buyer, settings):
        settings.REFUND_APPROVAL_LIMIT = 899
        payment = settle.settle_session(buyer.buy(plans["basic"])["id"])
        assert payment
        asked = ask(payment, someone("staff"), None, kind="undo")
        assert gateway.retrieve_subscription(payment.subscription)["status"] == "active"
        refunds.approve(request_id=asked.pk, staff_id=someone("second").pk)
        assert gateway.retrieve_subscription(payment.subscription)["status"] == "canceled"
        assert (stripe.count("refund"), buyer.balance) == (1, 0)

    def test_refused_or_too_late_nothing_is_given_back(self, stripe, bought, buyer):
        refused, late = (ask(bought, someone(name), 1500) for name in ("one", "two"))
        refunds.refuse(request_id=refused.pk, staff_id=someone("second").pk)
        RefundRequest.objects.filter(pk=late.pk).update(requested_at=Now() - timedelta(days=14))
        assert refunds.expire() == 1
        for request_id in (refused.pk, late.pk):
            with pytest.raises(DecisionRefused):
                refunds.approve(request_id=request_id, staff_id=someone(str(request_id)[:8]).pk)
        assert (stripe.count("refund"), buyer.balance) == (0, 500)
        assert AuditEvent.objects.filter(type="refund_refused").count() == 1

    def test_what_stripe_refuses_is_open_again(self, stripe, bought):
        asked = ask(bought, someone("staff"), 2001)
        with pytest.raises(BillingRejected):
            refunds.approve(request_id=asked.pk, staff_id=someone("second").pk)
        asked.refresh_from_db()
        assert (asked.decision, asked.decided_by, asked.done_at) == (Decision.PENDING, None, None)

    def test_where_stripe_is_away_somebody_else_goes_on_with_it(self, stripe, bought, buyer):
        staff, second = someone("staff"), someone("second")
        asked = ask(bought, staff, 1500)
        stripe.fault(path="/v1/refunds", method="POST", cut=True, times=9)
        with pytest.raises(BillingUnavailable):
            refunds.approve(request_id=asked.pk, staff_id=second.pk)
        stripe.clear_faults()
        for concerned in (staff, buyer.user):
            with pytest.raises(DecisionRefused):
                refunds.approve(request_id=asked.pk, staff_id=concerned.pk)
        refunds.approve(request_id=asked.pk, staff_id=someone("third").pk)
        asked.refresh_from_db()
        assert (asked.decided_by_id, asked.done_at is not None) == (second.pk, True)
        assert ([one["amount"] for one in stripe.objects("refund")], buyer.balance) == ([1500], 125)


class TestNobodyForThemselves:
    def test_neither_asks_nor_agrees(self, stripe, bought, buyer):
        with pytest.raises(DecisionRefused):
            ask(bought, buyer.user, 1)
        staff = someone("staff")
        asked = ask(bought, staff, 1500)
        for concerned in (buyer.user, staff):
            for decide in (refunds.approve, refunds.refuse):
                with pytest.raises(DecisionRefused):
                    decide(request_id=asked.pk, staff_id=concerned.pk)
        asked.refresh_from_db()
        assert (asked.decision, stripe.count("refund")) == (Decision.PENDING, 0)

    @pytest.mark.parametrize(
        ("constraint", "change"),
        [
            ("refund_not_for_oneself", {"requested_by": F("user")}),
            (
                "refund_not_for_oneself",
                {"decision": "approved", "decided_by": F("user"), "decided_at": F("requested_at")},
            ),
            (
                "refund_not_for_oneself",
                {"decision": "refused", "decided_by": F("requested_by"), "decided_at": F("requested_at")},
            ),
            ("refund_decided_by_somebody", {"decision": "approved"}),
            ("refund_done_only_if_agreed", {"done_at": F("requested_at")}),
            ("refund_amount_is_at_stake", {"amount": 1}),
        ],
    )
    def test_the_database_holds_it(self, stripe, bought, constraint, change):
        asked = ask(bought, someone("staff"), 1500)
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            RefundRequest.objects.filter(pk=asked.pk).update(**change)

    def test_the_reason_goes_with_the_user(self, stripe, bought, buyer):
        ask(bought, someone("staff"), 1500)
        personal.erase(user_id=buyer.id)
        assert RefundRequest.objects.get().reason == ""


class TestPages:
    @pytest.fixture
    def path(self, bought):
        return f"{B}/payment/{bought.pk}/order/refund/"

    def decide(self, user, asked, decision):
        return post(signed_in(user), f"{B}/refundrequest/{asked.pk}/decide/", {"decision": decision})

    def test_a_second_person_agrees(self, stripe, path, bought, buyer):
        names = (
            "view_refundrequest",
            "view_payment",
            "view_billingaccount",
            "refund_payment",
            "approve_refund",
        )
        clerk, second = someone("clerk", *names), someone("second", *names)
        shown = page(signed_in(clerk), path)
        assert "10.00 EUR today; above that, a second person has to approve" in shown
        fields = {"reason": "asked by mail", "order_id": str(uuid.uuid4())}
        assert post(signed_in(clerk), path, fields).status_code == 302
        asked = RefundRequest.objects.get()
        own = page(signed_in(clerk), f"{B}/refundrequest/{asked.pk}/change/")
        assert "Someone else has to decide" in own
        assert "Approve and refund" not in own
        self.decide(clerk, asked, "approve")
        assert stripe.count("refund") == 0
        assert "Approve and refund" in page(signed_in(second), f"{B}/refundrequest/{asked.pk}/change/")
        assert str(asked.payment_id) in page(signed_in(second), f"{B}/refundrequest/")
        assert self.decide(second, asked, "approve").status_code == 302
        assert (stripe.count("refund"), buyer.balance) == (1, 0)

    def test_only_with_the_permission(self, stripe, bought):
        asked = ask(bought, someone("staff"), 1500)
        reader = someone("reader", "view_refundrequest", "refund_payment")
        assert "Approve and refund" not in page(signed_in(reader), f"{B}/refundrequest/{asked.pk}/change/")
        assert self.decide(reader, asked, "approve").status_code == 403
        judge = someone("judge", "view_refundrequest", "approve_refund")
        assert signed_in(judge).get(f"{B}/refundrequest/{asked.pk}/decide/").status_code == 403
        assert post(signed_in(judge), f"{B}/refundrequest/{uuid.uuid4()}/decide/").status_code == 404
        assert self.decide(judge, asked, "refuse").status_code == 302
        asked.refresh_from_db()
        assert (asked.decision, stripe.count("refund")) == (Decision.REFUSED, 0)


def test_what_is_refunded_is_not_reported_as_unanswered(stripe, bought, buyer):
    """The refund is made, but Stripe cannot be asked what is left of the payment."""
    stripe.fault(path="/v1/payment_intents/.*", method="GET", status=503)
    asked = ask(bought, someone("staff"), 1000)
    asked.refresh_from_db()
    assert (asked.done_at is not None, stripe.count("refund"), buyer.balance) == (True, 1, 500)
    carry_out(stripe.events("charge.refunded"))
    assert buyer.balance == 250


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def at_once(self, jobs):
        def run(job):
            try:
                return job()
            except (DecisionRefused, BillingRejected) as refusal:
                return str(refusal)
            finally:
                connection.close()

        with ThreadPoolExecutor(len(jobs)) as threads:
            return list(threads.map(run, jobs))

    def test_eight_approvals_give_back_once(self, stripe, bought, buyer):
        asked = ask(bought, someone("staff"), 1500)
        deciders = [someone(f"second{n}").pk for n in range(8)]
        self.at_once([lambda pk=pk: refunds.approve(request_id=asked.pk, staff_id=pk) for pk in deciders])
        assert [one["amount"] for one in stripe.objects("refund")] == [1500]
        assert AuditEvent.objects.filter(type="refund_approved").count() == 1
        assert buyer.balance == 125

    def test_a_person_in_eight_windows_has_one_limit(self, stripe, bought):
        staff = someone("staff")
        made = self.at_once([lambda: ask(bought, staff, 600)] * 8)
        assert [one.decision for one in made].count(Decision.DIRECT) == 1
        assert stripe.count("refund") == 1

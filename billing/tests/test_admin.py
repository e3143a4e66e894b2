"""Billing in the admin: what staff see, and what they may order, with a reason."""

import re
import time
import uuid
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from accounts.models import AuditEvent, User
from billing import customers
from billing.admin.orders import RefundForm
from billing.models import BillingAccount, InboxEvent, Payment, Plan, RefundRequest
from billing.settlement import lifecycle, settle
from billing.stripe import gateway, sdk
from billing.tests.conftest import Buyer, carry_out
from credits.tests.admin_pages import page, post, signed_in

pytestmark = pytest.mark.django_db
B = "/admin/billing"


@pytest.fixture
def site():
    return signed_in(User.objects.create_user("boss@example.test", is_staff=True, is_superuser=True))


@pytest.fixture
def viewer():
    user = User.objects.create_user("viewer@example.test", is_staff=True)
    names = [f"view_{name}" for name in ("payment", "billingaccount", "inboxevent", "plan")]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return signed_in(user)


@pytest.fixture
def bought(buyer: Buyer, plans):
    session = buyer.buy(plans["large"])
    payment = settle.settle_session(session["id"])
    assert payment is not None
    return payment


def order(site, path, **fields):
    return post(site, path, {"reason": "asked by mail", "order_id": str(uuid.uuid4()), **fields})


def test_every_page_opens(site, bought, buyer):
    for path in ("plan", "payment", "billingaccount", "inboxevent", "customerchange", "revenue", "plan/add"):
        assert site.get(f"{B}/{path}/").status_code == 200, path
    shown = page(site, f"{B}/billingaccount/{buyer.id}/change/")
    assert bought.pk in shown
    assert "20.00 EUR" in shown
    assert site.get(f"{B}/billingaccount/{uuid.uuid4()}/change/").status_code == 404
    assert "20.00 EUR" in page(site, f"{B}/revenue/")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("trialing", "Trial until"),
        ("active", "Paid until"),
        ("past_due", "Unpaid period until"),
        ("frozen", "Unpaid period until"),
        ("canceled", "Last period until"),
    ],
)
def test_a_period_is_called_paid_once_it_is(site, make_user, status, words):
    user = make_user()
    end = datetime(2027, 1, 29, tzinfo=UTC)
    BillingAccount.objects.create(user=user, status=status, subscription="sub_1", current_period_end=end)
    for path in (f"{B}/billingaccount/{user.pk}/change/", f"/admin/accounts/user/{user.pk}/change/"):
        shown = page(site, path)
        assert words in shown
        assert "2027-01-29" in shown


def test_a_payment_says_what_was_refunded_of_it(site, bought, buyer, stripe):
    for amount in (150, 200):
        stripe.refund(bought_charge(bought), amount)
    settle.settle(bought.pk)
    shown = page(site, f"{B}/payment/{bought.pk}/change/")
    assert "3.50 EUR" in shown
    assert "16.50 EUR" in shown


def bought_charge(payment: Payment) -> str:
    return str(gateway.retrieve_payment_intent(payment.payment_intent)["latest_charge"]["id"])


def test_a_refund_takes_the_credits_back_and_is_audited(site, viewer, bought, buyer, stripe):
    path = f"{B}/payment/{bought.pk}/order/refund/"
    assert viewer.get(path).status_code == 403
    assert order(viewer, path).status_code == 403
    assert post(site, path, {"reason": "", "order_id": str(uuid.uuid4())}).status_code == 200
    assert stripe.count("refund") == 0
    same = str(uuid.uuid4())
    for _ in range(2):
        assert order(site, path, amount="5.00", order_id=same).status_code == 302
    assert stripe.count("refund") == 1
    assert buyer.balance == 375
    assert order(site, path).status_code == 302
    assert buyer.balance == 0
    assert order(site, path).status_code == 200
    kinds = AuditEvent.objects.filter(user=buyer.id).values_list("type", flat=True)
    assert set(kinds) >= {"purchased", "refund_ordered", "payment_refunded"}


def test_what_stripe_refuses_is_told_with_its_reason(site, bought, buyer, stripe, settings):
    """The bank has part of it already: at once, and where a second person agrees."""
    charge = gateway.retrieve_payment_intent(bought.payment_intent)["latest_charge"]["id"]
    stripe.dispute(charge, amount=500)
    settle.settle(bought.pk)
    path = f"{B}/payment/{bought.pk}/order/refund/"
    answer = order(site, path, amount="5.00")
    assert "(reason charge_disputed)" in answer.content.decode()
    settings.REFUND_APPROVAL_LIMIT = 0
    assert order(site, path, amount="5.00").status_code == 302
    other = signed_in(User.objects.create_user("second@example.test", is_staff=True, is_superuser=True))
    decided = post(
        other, f"{B}/refundrequest/{RefundRequest.objects.get().pk}/decide/", {"decision": "approve"}
    )
    assert "(reason charge_disputed)" in page(other, decided["Location"])
    assert RefundRequest.objects.get().decision == "pending"


def test_a_refund_is_asked_for_in_the_payments_currency(site, bought, stripe):
    path = f"{B}/payment/{bought.pk}/order/refund/"
    shown = page(site, path)
    assert "Amount in EUR" in shown
    assert "everything that is left, 20.00 EUR" in shown
    assert f"{B}/billingaccount/{bought.user_id}/change/" in shown
    for amount in ("0", "-1", "1.234", "a lot"):
        assert order(site, path, amount=amount).status_code == 200, amount
    assert stripe.count("refund") == 0
    assert order(site, path, amount="1.25").status_code == 302
    bought.refresh_from_db()
    assert bought.kept == 2000 - 125
    assert "everything that is left, 18.75 EUR" in page(site, path)


@pytest.mark.parametrize(
    ("currency", "given", "units"), [("jpy", "5", 5), ("kwd", "0.005", 5), ("eur", "5", 500)]
)
def test_what_is_given_counts_in_the_smallest_unit(currency, given, units):
    form = RefundForm(
        {"amount": given, "reason": "asked", "order_id": str(uuid.uuid4())},
        subject=Payment(kept=10_000, currency=currency),
    )
    assert form.is_valid(), form.errors
    assert form.cleaned_data["amount"] == units


def test_settling_again_posts_nothing_twice(site, bought, buyer):
    assert order(site, f"{B}/payment/{bought.pk}/order/settle/").status_code == 302
    assert buyer.balance == 500


def test_cancelling(site, buyer, plans):
    settle.settle_session(buyer.buy(plans["basic"])["id"])
    lifecycle.follow(buyer.id)
    path = f"{B}/billingaccount/{buyer.id}/order/cancel/"
    assert order(site, path).status_code == 302
    buyer.user.billing_account.refresh_from_db()
    assert buyer.user.billing_account.cancel_at_period_end
    assert order(site, path, at_once="on").status_code == 302
    buyer.user.billing_account.refresh_from_db()
    assert buyer.user.billing_account.status == "canceled"


def test_a_dead_event_is_carried_out_again(site, db):
    now = timezone.now()
    event = InboxEvent.objects.create(
        event_id="evt_1", type="x", created=now, livemode=False, dead_at=now, body='{"data": {"object": {}}}'
    )
    assert "Retry…" in page(site, f"{B}/inboxevent/")
    assert order(site, f"{B}/inboxevent/{event.pk}/order/replay/").status_code == 302
    event.refresh_from_db()
    assert event.dead_at is None
    assert AuditEvent.objects.filter(type="stripe_event_replayed").exists()


def test_plans_are_the_superusers_with_a_reason(site, viewer, plans):
    plan = plans["small"]
    path = f"{B}/plan/{plan.pk}/change/"
    fields = {
        "code": "small", "name": "Small", "kind": "pack", "credits": "150", "amount": "500", "currency": "eur",
        "stripe_price": plan.stripe_price, "active": "on",
        "interval_count": "1", "grace_hours": "72", "grace_debit_hours": "192", "grace_invoice_hours": "792",
    }  # fmt: skip
    assert post(viewer, path, {**fields, "reason": "x"}).status_code == 403
    assert post(site, path, fields).status_code == 200
    assert Plan.objects.get(pk=plan.pk).credits == 100
    assert post(site, path, {**fields, "reason": "more for less"}).status_code == 302
    assert Plan.objects.get(pk=plan.pk).credits == 150
    detail = AuditEvent.objects.get(type="plan_changed").detail
    assert detail["changed"] == {"credits": [100, 150]}
    assert site.get(f"{B}/plan/{plan.pk}/delete/").status_code == 403


def test_is_found_by_the_user_and_by_ids_of_stripe(site, bought, buyer):
    other = User.objects.create_user("other@elsewhere.test")
    Payment.objects.create(id="in_other", user=other, subscription="sub_other")
    for term in (buyer.user.email[:6], bought.pk, bought.payment_intent, customers.customer_of(buyer.id)):
        shown = page(site, f"{B}/payment/?q={term}")
        assert bought.pk in shown, term
        assert "in_other" not in shown, term
    assert "in_other" in page(site, f"{B}/payment/?q=sub_other")
    assert "in_other" in page(site, f"{B}/payment/?q=sub_oth")


def test_events_are_found_by_whole_ids_and_by_type(site, db):
    for number, type_ in enumerate(("invoice.paid", "refund.created")):
        event = {"event_id": f"evt_{number}", "customer": f"cus_{number}", "type": type_}
        InboxEvent.objects.create(created=timezone.now(), livemode=False, body="{}", **event)
    for query in ("q=evt_1", "q=cus_1", "type=refund.created"):
        shown = page(site, f"{B}/inboxevent/?{query}")
        assert "evt_1" in shown
        assert "evt_0" not in shown


def test_revenue_adds_up_days_and_plans(site, bought, buyer, plans):
    settle.settle_session(buyer.buy(plans["large"])["id"])
    shown = page(site, f"{B}/revenue/")
    assert "40.00 EUR" in shown  # by plan
    assert re.search(r"Net in 30 days, EUR</dt><dd[^>]*>40.00<", shown)
    assert re.search(r'data-label="Payments" class="number">2<', shown)


def test_an_end_at_a_date_is_shown_as_that(site, buyer, plans):
    subscription = buyer.buy(plans["basic"])["subscription"]
    end = int(time.time()) + 5 * 86_400
    sdk.client().v1.subscriptions.update(subscription, {"cancel_at": end})
    lifecycle.follow(buyer.id)
    for path in (f"{B}/billingaccount/{buyer.id}/change/", f"/admin/accounts/user/{buyer.id}/change/"):
        assert f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d}" in page(site, path)


@pytest.mark.parametrize("status", ["open", "uncollectible"])
def test_what_is_owed_is_shown(site, buyer, plans, stripe, status):
    subscription = buyer.buy(plans["basic"])["subscription"]
    card = gateway.retrieve_subscription(subscription)["default_payment_method"]["id"]
    stripe.break_card(card)
    stripe.renew(subscription)
    owed = next(one for one in stripe.objects("invoice") if one["status"] == "open")
    if status == "uncollectible":
        sdk.client().v1.invoices.mark_uncollectible(owed["id"])
    carry_out(stripe.events())
    pages = (f"{B}/billingaccount/{buyer.id}/change/", f"/admin/accounts/user/{buyer.id}/change/")
    for path in pages:
        shown = page(site, path)
        assert re.search(rf"{owed['number']}.*>{status}<.*>9.00 EUR<", shown, re.DOTALL), path
    stripe.break_card(card, None)
    sdk.client().v1.invoices.pay(owed["id"])
    carry_out(stripe.events("invoice.paid"))
    for path in pages:
        assert "Unpaid invoices" not in page(site, path)

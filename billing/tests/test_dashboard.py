"""Cover what staff do in Stripe's Dashboard: several payments, items, quantities, pauses, balances, plans, debits."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.models import AuditEvent, ServiceEvent
from billing.models import BillingAccount, Payment, PaymentLine, Plan, RefundRequest, StrangerPayment
from billing.shop import plan_sync
from billing.stripe import gateway, sdk, shapes
from billing.stripe_sync import inbox, nightly
from billing.tests.conftest import carry_out
from billing.tests.test_lines import monthly
from billing.tests.test_plan_changes import Subscriber
from credits.tests.admin_pages import page, post
from tests.fixtures import staff_session

pytestmark = pytest.mark.django_db
B = "/admin/billing"


@pytest.fixture
def site(make_user):
    return staff_session(make_user("boss@staff.example", is_staff=True, is_superuser=True))


def paid_in_part(buyer, invoice, amount):
    given: Any = {"amount": amount, "currency": "eur", "customer": buyer.customer, "confirm": True,
                  "payment_method": "pm_card_visa"}  # fmt: skip
    intent = sdk.client().v1.payment_intents.create(given)
    sdk.client().v1.invoices.attach_payment(invoice, {"payment_intent": intent.id})
    return intent.id


def changed(subscription, **params):
    given: Any = params
    return sdk.client().v1.subscriptions.update(subscription, given)


def another_price(**values):
    given: Any = {"currency": "eur", "unit_amount": 300, "product_data": {"name": "Support"}, **values}
    return sdk.client().v1.prices.create(given).id


class TestAnInvoiceThatWasPaidInSeveralPayments:
    @pytest.fixture
    def invoice(self, stripe, plans, buyer):
        """29.00 EUR for 1,000 credits, paid as 10.00 and 19.00."""
        made = monthly(buyer, price="price_sub_pro", collection_method="send_invoice", days_until_due=30)
        invoice = shapes.id_of(made["latest_invoice"])
        self.intents = [paid_in_part(buyer, invoice, amount) for amount in (1000, 1900)]
        carry_out(stripe.events())
        return invoice

    def refund(self, site, invoice, amount):
        fields = {"reason": "asked by mail", "order_id": str(uuid.uuid4()), "amount": amount}
        return post(site, f"{B}/payment/{invoice}/order/refund/", fields)

    def refunded(self):
        rows = [sdk.client().v1.refunds.list({"payment_intent": intent}).data for intent in self.intents]
        return [sum(row.amount for row in found) for found in rows]

    def test_gives_its_credits_once_it_is_paid(self, buyer, invoice):
        assert buyer.journal == [("subscription", 1000)]

    def test_is_refunded_beyond_the_first_payment(self, site, buyer, invoice):
        assert self.refund(site, invoice, "20.00").status_code == 302
        assert self.refunded() == [1000, 1000]
        assert (Payment.objects.get().kept, buyer.balance) == (900, 310)
        assert buyer.verifies()

    def test_is_refunded_whole(self, site, stripe, buyer, invoice):
        assert self.refund(site, invoice, "").status_code == 302
        assert (self.refunded(), buyer.balance) == ([1000, 1900], 0)
        carry_out(stripe.events())
        assert (buyer.balance, RefundRequest.objects.filter(done_at=None).exists()) == (0, False)

    def test_is_not_refunded_where_it_is_disputed(self, site, stripe, buyer, invoice):
        stripe.dispute(gateway.retrieve_payment_intent(self.intents[0])["latest_charge"]["id"])
        carry_out(stripe.events("charge.dispute.created"))
        assert self.refund(site, invoice, "").status_code == 302
        assert (self.refunded(), buyer.balance) == ([0, 1900], 0)

    def test_a_lost_answer_refunds_no_part_twice(self, site, stripe, buyer, invoice):
        stripe.fault(path="/v1/refunds", method="POST", cut=True, times=1)
        fields = {"reason": "asked by mail", "order_id": str(uuid.uuid4()), "amount": "20.00"}
        for _ in range(2):
            post(site, f"{B}/payment/{invoice}/order/refund/", fields)
        assert (self.refunded(), buyer.balance) == ([1000, 1000], 310)


def test_parts_paid_on_several_days_are_no_difference_of_a_day(stripe, plans, buyer):
    made = monthly(buyer, price="price_sub_pro", collection_method="send_invoice", days_until_due=30)
    invoice = shapes.id_of(made["latest_invoice"])
    for amount in (1000, 1900):
        paid_in_part(buyer, invoice, amount)
        stripe.advance(days=2)
    carry_out(stripe.events())
    days = {datetime.fromtimestamp(one["created"], UTC).date() for one in stripe.objects("charge")}
    sums = [(row.at_stripe, row.here) for day in sorted(days) for row in nightly.sums_of(day)]
    assert sums == [(1000, 1000), (1900, 1900)]


def test_a_balance_in_another_currency_pays_nothing(stripe, plans, buyer):
    """Give nothing again for what a proration left on the balance, whatever money there is in dollars."""
    given: Any = {"amount": -5000, "currency": "usd"}
    sdk.client().v1.customers.balance_transactions.create(buyer.customer, given)
    made = monthly(buyer, price="price_sub_pro")
    item = made["items"]["data"][0]["id"]
    changed(made["id"], items=[{"id": item, "price": "price_sub_basic"}], proration_behavior="always_invoice")
    stripe.renew(made["id"])
    carry_out(stripe.events())
    assert buyer.journal == [("subscription", 1000)]
    assert [row.kept for row in Payment.objects.order_by("paid_at")] == [2900, 0, 0]
    assert buyer.verifies()


class TestSeveralItems:
    @pytest.fixture
    def subscriber(self, shop, stripe, plans, make_buyer):
        """A subscription whose first item is not the plan."""
        buyer = make_buyer()
        support = another_price(recurring={"interval": "month"})
        self.made = monthly(buyer, items=[{"price": support}, {"price": "price_sub_basic"}])
        self.support, self.id = support, self.made["id"]
        carry_out(stripe.events())
        return buyer

    def prices(self):
        return {item["price"]["id"] for item in gateway.retrieve_subscription(self.id)["items"]["data"]}

    def test_the_plan_is_shown_whatever_is_first(self, shop, subscriber):
        assert BillingAccount.objects.get().plan == Plan.objects.get(code="basic")
        assert shop.get("status", user_id=subscriber.id).json()["subscription"]["plan"] == "basic"

    def test_a_change_replaces_the_plan_and_leaves_the_rest(self, stripe, shop, subscriber):
        answer = shop.post(f"subscriptions/{self.id}/change", user_id=subscriber.id, plan="pro")
        assert (answer.status_code, answer.json()["plan"]) == (200, "pro")
        assert self.prices() == {self.support, "price_sub_pro"}

    def test_a_planned_change_does_too(self, stripe, shop, subscriber):
        body = {"user_id": subscriber.id, "plan": "pro", "when": "period_end"}
        answer = shop.post(f"subscriptions/{self.id}/change", **body)
        assert (answer.status_code, answer.json().get("next_plan")) == (200, "pro"), answer.content
        stripe.renew(self.id)
        assert self.prices() == {self.support, "price_sub_pro"}


@pytest.mark.django_db(transaction=True)
def test_a_change_that_waits_for_the_bank_names_what_the_quantity_costs(
    shop, stripe, plans, make_user, mailoutbox
):
    ada = make_user()
    subscriber = Subscriber(shop, stripe, ada, "basic")
    item = subscriber.at_stripe["items"]["data"][0]["id"]
    changed(subscriber.id, items=[{"id": item, "quantity": 3}], proration_behavior="none")
    carry_out(stripe.events())
    card = shop.store_card(stripe, ada.pk, "pm_card_authenticationRequired")
    shop.post(f"payment-methods/{card}/default", user_id=ada.pk)
    assert subscriber.changed("pro")["pending_plan"] == "pro"
    carry_out(stripe.events())
    (told,) = ServiceEvent.objects.filter(type="subscription.change_pending")
    assert told.data["pending_amount"] == 3 * 2900
    (mail,) = [mail for mail in mailoutbox if mail.subject == "Confirm your change of plan"]
    assert "87.00 EUR" in mail.body


class TestPauses:
    @pytest.mark.parametrize("behavior", ["void", "keep_as_draft", "mark_uncollectible"])
    def test_give_nothing_until_something_is_paid(self, stripe, plans, buyer, behavior):
        subscription = monthly(buyer)["id"]
        changed(subscription, pause_collection={"behavior": behavior})
        for _ in range(2):
            stripe.renew(subscription)
        carry_out(stripe.events())
        assert buyer.journal == [("subscription", 200)]
        assert BillingAccount.objects.get().status == "active"
        assert not ServiceEvent.objects.filter(type="subscription.payment_failed").exists()
        changed(subscription, pause_collection="")
        for row in stripe.objects("invoice"):
            if row["status"] == "draft":
                sdk.client().v1.invoices.pay(row["id"])
        carry_out(stripe.events())
        assert len(buyer.journal) == (3 if behavior == "keep_as_draft" else 1)


@pytest.mark.parametrize("coupon", [{"percent_off": 100}, {"amount_off": 5000, "currency": "eur"}])
def test_a_coupon_put_on_a_subscription_makes_the_next_period_free(stripe, plans, buyer, coupon):
    subscription = monthly(buyer)["id"]
    changed(subscription, discounts=[{"coupon": sdk.client().v1.coupons.create(coupon).id}])
    for _ in range(2):
        stripe.renew(subscription)
    carry_out(stripe.events())
    assert buyer.journal == [("subscription", 200)] * 3
    assert [row.kept for row in Payment.objects.order_by("paid_at")] == [900, 0, 900]


def test_a_payment_is_assigned_once(site, stripe, plans, make_user):
    """Two of staff may have its page open. The second one is told, and the first one's user keeps the credits."""
    given: Any = {"amount": 700, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
    sdk.client().v1.payment_intents.create(given)
    carry_out(stripe.events())
    payment, ada, bob = StrangerPayment.objects.get(), make_user(), make_user()
    path = f"{B}/strangerpayment/{payment.pk}/order/assign/"
    assert path in page(site, f"{B}/strangerpayment/{payment.pk}/change/")
    fields = {"reason": "asked by mail", "order_id": str(uuid.uuid4()), "person": str(ada.pk)}
    assert post(site, path, fields).status_code == 302
    again = {**fields, "order_id": str(uuid.uuid4()), "person": str(bob.pk)}
    assert "assigned to another user" in post(site, path, again).content.decode()
    payment.refresh_from_db()
    assert payment.user == ada
    assert not AuditEvent.objects.filter(type="payment_assigned", user=bob).exists()
    assert path not in page(site, f"{B}/strangerpayment/{payment.pk}/change/")


class TestPlansBesideStripesPrices:
    def edit(self, site, plan, **values):
        names = ("code", "name", "kind", "credits", "amount", "currency", "interval", "interval_count",
                 "trial_days", "trial_credits", "credits_expire_days", "grace_hours", "grace_debit_hours",
                 "grace_invoice_hours", "stripe_price")  # fmt: skip
        own = {name: "" if getattr(plan, name) is None else getattr(plan, name) for name in names}
        fields = {**own, "active": "on", "reason": "asked by mail", **values}
        answer = post(site, f"{B}/plan/{plan.pk}/change/", fields)
        plan.refresh_from_db()
        return answer

    def test_a_shown_price_that_stripe_does_not_charge_is_refused(self, site, stripe, plans):
        answer = self.edit(site, plans["small"], amount=100)
        assert "Stripe has 500 here." in answer.content.decode()
        assert plans["small"].amount == 500
        assert (
            "no price with this id"
            in self.edit(site, plans["small"], stripe_price="price_x").content.decode()
        )

    def test_the_price_that_stripe_charges_is_saved(self, site, stripe, plans):
        Plan.objects.filter(code="small").update(amount=1)
        plans["small"].refresh_from_db()
        assert self.edit(site, plans["small"], amount=500).status_code == 302
        assert plans["small"].amount == 500

    def test_credits_are_edited_while_stripe_is_away(self, site, stripe, plans):
        stripe.fault(status=500)
        assert self.edit(site, plans["small"], credits=111).status_code == 302
        answer = self.edit(site, plans["small"], amount=100)
        assert "Stripe cannot be asked" in answer.content.decode()
        assert (plans["small"].credits, plans["small"].amount) == (111, 500)

    def test_the_night_finds_a_plan_that_differs(self, stripe, plans):
        assert plan_sync.warn_of_differences() == 0
        Plan.objects.filter(code__in=["small", "basic"]).update(amount=1)
        assert plan_sync.warn_of_differences() == 2

    @pytest.mark.parametrize(
        "odd",
        [
            {"unit_amount": None},
            {"transform_quantity": {"divide_by": 10, "round": "up"}},
            {"recurring": {"interval": "month", "usage_type": "metered"}},
        ],
    )
    def test_a_price_that_is_not_fixed_is_not_proposed(self, odd):
        price = {"id": "price_1", "unit_amount": 500, "currency": "eur", "recurring": None,
                 "metadata": {"credits": "100", "plan": "odd"}, **odd}  # fmt: skip
        proposal = plan_sync._proposal(price)
        assert (proposal.action, proposal.problem) == ("skip", "no fixed amount")


class TestDebitsThatTakeDays:
    @pytest.mark.parametrize("plan", ["small", "basic"])
    def test_give_credits_once_they_arrive(self, shop, stripe, plans, buyer, plan):
        session = shop.checkout(buyer.id, plan).json()["id"]
        stripe.pay_checkout(session, "pm_sepaDebit")
        carry_out(stripe.events())
        shown = shop.get(f"checkout-sessions/{session}", user_id=buyer.id).json()
        assert (shown["status"], shown["credited"], buyer.balance) == ("complete", False, 0)
        stripe.advance(days=6)
        carry_out(stripe.events())
        shown = shop.get(f"checkout-sessions/{session}", user_id=buyer.id).json()
        assert (shown["credited"], buyer.balance) == (True, plans[plan].credits)
        assert ServiceEvent.objects.filter(type="purchase.completed").count() == 1
        assert not inbox.dead().exists()

    @pytest.mark.parametrize("plan", ["small", "basic"])
    def test_give_nothing_if_they_bounce(self, shop, stripe, plans, buyer, plan):
        stripe.pay_checkout(shop.checkout(buyer.id, plan).json()["id"], "pm_sepaDebitFails")
        stripe.advance(days=6)
        carry_out(stripe.events())
        assert (buyer.journal, inbox.dead().exists()) == ([], False)
        (told,) = ServiceEvent.objects.filter(type="purchase.failed")
        assert told.data["amount"] == plans[plan].amount

    def test_a_renewal_that_bounces_is_told_with_its_sum(self, shop, stripe, plans, buyer):
        made = monthly(buyer)
        card = sdk.client().v1.payment_methods.attach("pm_sepaDebitFails", {"customer": buyer.customer})
        changed(made["id"], default_payment_method=card.id)
        stripe.renew(made["id"])
        carry_out(stripe.events())
        assert (BillingAccount.objects.get().status, buyer.balance) == ("active", 200)
        stripe.advance(days=6)
        carry_out(stripe.events())
        assert (BillingAccount.objects.get().status, buyer.balance) == ("past_due", 200)
        (told,) = ServiceEvent.objects.filter(type="subscription.payment_failed")
        assert told.data["amount"] == 900

    def test_a_renewal_that_arrives_outlives_its_period_by_eight_days(self, shop, stripe, plans, buyer):
        made = monthly(buyer)
        card = sdk.client().v1.payment_methods.attach("pm_sepaDebit", {"customer": buyer.customer})
        changed(made["id"], default_payment_method=card.id)
        stripe.renew(made["id"])
        stripe.advance(days=6)
        carry_out(stripe.events())
        assert buyer.journal == [("subscription", 200)] * 2
        line = PaymentLine.objects.latest("expires_at")
        found = gateway.retrieve_invoice(line.payment_id)["lines"]["data"][0]
        assert line.expires_at is not None
        assert line.expires_at.timestamp() == found["period"]["end"] + 192 * 3600


def test_a_checkout_of_a_customer_that_was_deleted_is_found(shop, stripe, plans, buyer):
    session = buyer.buy(plans["small"])["id"]
    sdk.client().v1.customers.delete(buyer.customer)
    carry_out(stripe.events())
    found = shop.get(f"checkout-sessions/{session}", user_id=buyer.id)
    assert (found.status_code, found.json().get("credited")) == (200, True)

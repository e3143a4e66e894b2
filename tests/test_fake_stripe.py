"""The fake Stripe, driven by Stripe's own SDK: how money and subscriptions go."""

from typing import Any

import pytest
import stripe

from tests.fake_stripe.control import Control
from tests.fake_stripe.stories import client, person

DAY = 86_400


@pytest.fixture
def sdk(fake_stripe: Control) -> Any:
    return client(fake_stripe).v1


@pytest.fixture
def customer(fake_stripe: Control, sdk: Any) -> Any:
    return sdk.customers.retrieve(person(client(fake_stripe)))


def buy_pack(sdk: Any, fake_stripe: Control, customer: Any, price: str = "price_pack_large") -> Any:
    session = sdk.checkout.sessions.create(
        {
            "mode": "payment",
            "customer": customer.id,
            "line_items": [{"price": price, "quantity": 1}],
            "success_url": "https://shop.test/{CHECKOUT_SESSION_ID}",
            "payment_intent_data": {"metadata": {"attempt": "1"}},
        }
    )
    assert fake_stripe.pay_checkout(session.id)["status"] == "complete"
    return sdk.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge"]})


def subscribe(sdk: Any, customer: Any, price: str = "price_sub_basic", **params: Any) -> Any:
    return sdk.subscriptions.create({"customer": customer.id, "items": [{"price": price}], **params})


class TestCheckout:
    def test_a_pack_is_paid(self, sdk, fake_stripe, customer):
        session = buy_pack(sdk, fake_stripe, customer)
        assert (session.status, session.payment_status, session.amount_total) == ("complete", "paid", 2000)
        assert session.payment_intent.status == "succeeded"
        assert session.payment_intent.metadata["attempt"] == "1"
        assert session.payment_intent.latest_charge.payment_method_details.card.last4 == "4242"

    def test_a_declined_card_leaves_it_open(self, sdk, fake_stripe, customer):
        session = sdk.checkout.sessions.create(
            {
                "mode": "payment",
                "customer": customer.id,
                "line_items": [{"price": "price_pack_small", "quantity": 2}],
                "success_url": "https://shop.test/",
            }
        )
        paid = fake_stripe.pay_checkout(session.id, "pm_card_chargeDeclinedInsufficientFunds")
        assert paid["status"] == "declined"
        assert sdk.checkout.sessions.retrieve(session.id).status == "open"
        assert len(fake_stripe.events("payment_intent.payment_failed", "charge.failed")) == 2

    def test_a_subscription_with_3d_secure(self, sdk, fake_stripe, customer):
        session = sdk.checkout.sessions.create(
            {
                "mode": "subscription",
                "customer": customer.id,
                "line_items": [{"price": "price_sub_basic", "quantity": 1}],
                "success_url": "https://shop.test/",
            }
        )
        refused = fake_stripe.pay_checkout(session.id, "pm_card_threeDSecure2Required", authenticate=False)
        assert refused["status"] == "declined"
        assert fake_stripe.pay_checkout(session.id, "pm_card_threeDSecure2Required")["status"] == "complete"
        paid = sdk.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]})
        assert paid.subscription.status == "active"

    def test_expires_by_time(self, sdk, fake_stripe, customer):
        session = sdk.checkout.sessions.create({"mode": "setup", "success_url": "https://x.test/"})
        fake_stripe.advance(seconds=DAY + 1)
        assert sdk.checkout.sessions.retrieve(session.id).status == "expired"
        assert len(fake_stripe.events("checkout.session.expired")) == 1


class TestSubscriptions:
    def test_begins_paid_and_renews_by_the_clock(self, sdk, fake_stripe, customer):
        subscription = subscribe(sdk, customer)
        assert subscription.status == "active"
        end = subscription["items"].data[0].current_period_end
        fake_stripe.renew(subscription.id)
        renewed = sdk.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice.payments"]})
        assert renewed["items"].data[0].current_period_start == end
        invoice = renewed.latest_invoice
        assert (invoice.status, invoice.billing_reason, invoice.amount_paid) == (
            "paid",
            "subscription_cycle",
            900,
        )
        assert invoice.parent.subscription_details.subscription == subscription.id
        assert invoice.lines.data[0].pricing.price_details.price == "price_sub_basic"
        assert invoice.payments.data[0].payment.payment_intent.startswith("pi_")
        for dropped in ("subscription", "charge", "payment_intent", "paid"):
            assert dropped not in invoice

    def test_a_trial_warns_and_is_charged_at_its_end(self, sdk, fake_stripe, customer):
        trial = subscribe(sdk, customer, "price_sub_pro", trial_period_days=14)
        assert trial.status == "trialing"
        assert sdk.invoices.retrieve(trial.latest_invoice).amount_paid == 0
        fake_stripe.advance(days=11.1)
        assert len(fake_stripe.events("customer.subscription.trial_will_end")) == 1
        fake_stripe.advance(days=3)
        assert sdk.subscriptions.retrieve(trial.id).status == "active"
        assert [one.amount_paid for one in sdk.invoices.list({"subscription": trial.id}).data] == [2900, 0]

    def test_a_trial_without_a_card_gets_one_by_its_setup_intent(self, sdk, fake_stripe):
        poor = sdk.customers.create({})
        trial = subscribe(sdk, poor, "price_sub_pro", trial_period_days=14)
        fake_stripe.confirm(trial.pending_setup_intent)
        fake_stripe.advance(days=14.1)
        paid = sdk.subscriptions.retrieve(trial.id, {"expand": ["latest_invoice"]})
        assert (paid.status, paid.latest_invoice.amount_paid) == ("active", 2900)

    def test_a_failing_card_makes_it_past_due_then_ends_it(self, sdk, fake_stripe, customer):
        subscription = subscribe(sdk, customer)
        fake_stripe.break_card(customer.invoice_settings.default_payment_method)
        assert fake_stripe.renew(subscription.id)["status"] == "past_due"
        fake_stripe.advance(days=20)
        ended = sdk.subscriptions.retrieve(subscription.id)
        assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
        assert len(fake_stripe.events("invoice.payment_failed")) == 4

    def test_a_mended_card_makes_it_active_again(self, sdk, fake_stripe, customer):
        subscription = subscribe(sdk, customer)
        card = customer.invoice_settings.default_payment_method
        fake_stripe.settings(dunning_end="unpaid")
        fake_stripe.break_card(card)
        fake_stripe.renew(subscription.id)
        fake_stripe.advance(days=16)
        unpaid = sdk.subscriptions.retrieve(subscription.id)
        assert unpaid.status == "unpaid"
        fake_stripe.break_card(card, None)
        sdk.invoices.pay(unpaid.latest_invoice)
        assert sdk.subscriptions.retrieve(subscription.id).status == "active"

    def test_another_price_is_prorated(self, sdk, customer):
        subscription = subscribe(sdk, customer)
        changed = sdk.subscriptions.update(
            subscription.id,
            {
                "items": [{"id": subscription["items"].data[0].id, "price": "price_sub_pro"}],
                "proration_behavior": "always_invoice",
                "expand": ["latest_invoice"],
            },
        )
        invoice = changed.latest_invoice
        assert changed["items"].data[0].price.id == "price_sub_pro"
        assert (invoice.billing_reason, invoice.amount_paid) == ("subscription_update", 2000)
        assert [line.amount for line in invoice.lines.data] == [-900, 2900]
        assert all(line.parent.subscription_item_details.proration for line in invoice.lines.data)

    def test_cancels_at_the_end_or_not_after_all(self, sdk, fake_stripe, customer):
        subscription = subscribe(sdk, customer)
        ending = sdk.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
        assert ending.cancel_at == ending["items"].data[0].current_period_end
        staying = sdk.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
        assert (staying.cancel_at, staying.canceled_at) == (None, None)
        sdk.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
        assert fake_stripe.renew(subscription.id)["status"] == "canceled"
        assert len(fake_stripe.events("customer.subscription.deleted")) == 1

    def test_default_incomplete_waits_for_the_customer(self, sdk, fake_stripe, customer):
        subscription = subscribe(
            sdk,
            customer,
            payment_behavior="default_incomplete",
            expand=["latest_invoice.confirmation_secret"],
        )
        assert subscription.status == "incomplete"
        secret = subscription.latest_invoice.confirmation_secret.client_secret
        fake_stripe.confirm(secret.partition("_secret_")[0], "pm_card_mastercard")
        assert sdk.subscriptions.retrieve(subscription.id).status == "active"

    def test_unpaid_for_a_day_it_expires(self, sdk, fake_stripe, customer):
        subscription = subscribe(sdk, customer, payment_behavior="default_incomplete")
        fake_stripe.advance(days=1)
        assert sdk.subscriptions.retrieve(subscription.id).status == "incomplete_expired"
        assert sdk.invoices.retrieve(subscription.latest_invoice).status == "void"

    def test_error_if_incomplete_makes_nothing(self, sdk, fake_stripe):
        poor = sdk.customers.create({})
        card = sdk.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": poor.id})
        before = fake_stripe.count("subscription"), fake_stripe.count("invoice")
        with pytest.raises(stripe.CardError) as refused:
            subscribe(sdk, poor, default_payment_method=card.id, payment_behavior="error_if_incomplete")
        assert refused.value.code == "card_declined"
        assert (fake_stripe.count("subscription"), fake_stripe.count("invoice")) == before


class TestMoneyBack:
    def test_refunds_in_parts_up_to_the_whole(self, sdk, fake_stripe, customer):
        intent = buy_pack(sdk, fake_stripe, customer).payment_intent
        sdk.refunds.create({"payment_intent": intent.id, "amount": 500})
        charge = sdk.charges.retrieve(intent.latest_charge.id)
        assert (charge.amount_refunded, charge.refunded) == (500, False)
        with pytest.raises(stripe.InvalidRequestError):
            sdk.refunds.create({"payment_intent": intent.id, "amount": 1501})
        fake_stripe.refund(charge.id)
        assert sdk.charges.retrieve(charge.id).refunded is True
        with pytest.raises(stripe.InvalidRequestError) as refused:
            sdk.refunds.create({"charge": charge.id})
        assert refused.value.code == "charge_already_refunded"

    def test_a_failed_refund_is_ours_again(self, sdk, fake_stripe, customer):
        charge = buy_pack(sdk, fake_stripe, customer).payment_intent.latest_charge
        refund = sdk.refunds.create({"charge": charge.id})
        assert fake_stripe.fail_refund(refund.id)["status"] == "failed"
        assert sdk.charges.retrieve(charge.id).amount_refunded == 0
        assert len(fake_stripe.events("refund.failed")) == 1

    def test_a_dispute_takes_the_money_and_a_won_one_returns_it(self, sdk, fake_stripe, customer):
        charge = buy_pack(sdk, fake_stripe, customer).payment_intent.latest_charge
        dispute = fake_stripe.dispute(charge.id)
        assert sdk.charges.retrieve(charge.id).disputed is True
        assert fake_stripe.close_dispute(dispute["id"], "won")["status"] == "won"
        names = [event["type"] for event in fake_stripe.events() if "dispute" in event["type"]]
        assert names == [
            f"charge.dispute.{name}" for name in ("created", "funds_withdrawn", "closed", "funds_reinstated")
        ]
        moved = [one["net"] for one in sdk.disputes.retrieve(dispute["id"]).balance_transactions]
        assert moved == [-3500, 2000]

    def test_an_inquiry_takes_nothing(self, sdk, fake_stripe, customer):
        charge = buy_pack(sdk, fake_stripe, customer).payment_intent.latest_charge
        inquiry = fake_stripe.dispute(charge.id, inquiry=True)
        assert (inquiry["status"], inquiry["balance_transactions"]) == ("warning_needs_response", [])
        assert fake_stripe.close_dispute(inquiry["id"], "warning_closed")["balance_transactions"] == []

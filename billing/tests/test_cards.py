"""Cards that replace others, invoices that are open, and the last card of a subscription."""

import pytest

from billing.models import BillingAccount
from billing.stripe import gateway, sdk
from billing.tests.calls import refused
from billing.tests.conftest import carry_out

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def overdue(shop, stripe, plans, buyer):
    """A subscriber whose card stopped working; `buyer.invoice` is what they owe."""
    buyer.subscription = buyer.buy(plans["basic"])["subscription"]
    buyer.old = gateway.retrieve_subscription(buyer.subscription)["default_payment_method"]["id"]
    stripe.break_card(buyer.old)
    stripe.renew(buyer.subscription)
    carry_out(stripe.events())
    buyer.invoice = next(one["id"] for one in stripe.objects("invoice") if one["status"] == "open")
    return buyer


def default(shop, buyer, card, **more):
    return shop.post(f"payment-methods/{card}/default", user_id=buyer.id, **more)


class TestDefault:
    def test_moves_the_subscription_and_names_what_is_open(self, shop, stripe, overdue):
        card = shop.store_card(stripe, overdue.id, "pm_card_mastercard")
        answer = default(shop, overdue, card).json()
        assert answer["open_invoices"] == [{"id": overdue.invoice, "amount_due": 900, "currency": "eur"}]
        assert gateway.retrieve_subscription(overdue.subscription)["default_payment_method"]["id"] == card
        assert gateway.retrieve_invoice(overdue.invoice)["status"] == "open"
        assert BillingAccount.objects.get().status == "past_due"

    def test_pays_it_when_asked(self, shop, stripe, overdue):
        card = shop.store_card(stripe, overdue.id, "pm_card_mastercard")
        assert default(shop, overdue, card, pay_open=True).json()["open_invoices"] == []
        assert (BillingAccount.objects.get().status, overdue.balance) == ("active", 400)

    def test_a_card_that_is_declined_is_the_default_all_the_same(self, shop, stripe, overdue):
        card = shop.store_card(stripe, overdue.id, "pm_card_chargeCustomerFail")
        refused(default(shop, overdue, card, pay_open=True), 402, "payment_failed")
        assert gateway.retrieve_subscription(overdue.subscription)["default_payment_method"]["id"] == card


class TestPaying:
    def test_an_open_invoice_once(self, shop, stripe, overdue, make_buyer):
        path = f"invoices/{overdue.invoice}/pay"
        owed = {
            row["id"]: row["amount_due"] for row in shop.get("invoices", user_id=overdue.id).json()["results"]
        }
        assert owed.pop(overdue.invoice) == 900
        assert set(owed.values()) == {0}
        refused(shop.post(path, user_id=overdue.id), 402, "payment_failed")
        refused(shop.post(path, user_id=make_buyer().id), 404, "not_found")
        stripe.break_card(overdue.old, None)
        for _ in range(2):
            paid = shop.post(path, user_id=overdue.id, key="one")
            assert (paid.status_code, paid.json()["status"], paid.json()["amount_paid"]) == (200, "paid", 900)
        assert (BillingAccount.objects.get(pk=overdue.id).status, overdue.balance) == ("active", 400)
        refused(shop.post(path, user_id=overdue.id), 400, "billing_rejected")

    def test_one_that_was_given_up(self, shop, stripe, overdue):
        """Stripe asks for it no more, and takes the money of who pays it all the same."""
        sdk.client().v1.invoices.mark_uncollectible(overdue.invoice)
        path = f"invoices/{overdue.invoice}/pay"
        refused(shop.post(path, user_id=overdue.id), 402, "payment_failed")
        stripe.break_card(overdue.old, None)
        assert shop.post(path, user_id=overdue.id).json()["status"] == "paid"
        assert overdue.balance == 400

    def test_nothing_that_is_void(self, shop, stripe, overdue):
        stripe.break_card(overdue.old, None)
        sdk.client().v1.invoices.void_invoice(overdue.invoice)
        problem = refused(
            shop.post(f"invoices/{overdue.invoice}/pay", user_id=overdue.id), 400, "billing_rejected"
        )
        assert problem["reason"] == "invoice_not_open"
        carry_out(stripe.events("invoice.voided"))
        shown = shop.get("invoices", user_id=overdue.id).json()["results"]
        assert [(row["status"], row["amount_due"]) for row in shown] == [("void", 0), ("paid", 0)]
        assert overdue.balance == 200


class TestRemoving:
    def test_the_only_card_of_a_subscription_that_renews_stays(self, shop, stripe, plans, buyer):
        subscription = buyer.buy(plans["basic"])["subscription"]
        carry_out(stripe.events())
        card = gateway.retrieve_subscription(subscription)["default_payment_method"]["id"]
        refused(shop.delete(f"payment-methods/{card}", user_id=buyer.id), 409, "last_payment_method")
        assert stripe.objects("payment_method")[0]["customer"] == buyer.customer
        gone = shop.delete(f"payment-methods/{card}", user_id=buyer.id, cancel_at_period_end="true")
        assert gone.status_code == 204
        assert BillingAccount.objects.get().cancel_at_period_end is True

    def test_with_another_one_it_goes(self, shop, stripe, plans, buyer):
        subscription = buyer.buy(plans["basic"])["subscription"]
        shop.store_card(stripe, buyer.id, "pm_card_mastercard")
        card = gateway.retrieve_subscription(subscription)["default_payment_method"]["id"]
        assert shop.delete(f"payment-methods/{card}", user_id=buyer.id).status_code == 204
        assert BillingAccount.objects.get().cancel_at_period_end is False

"""The fake Stripe, driven by Stripe's own SDK: changes that wait for their payment, or for the end of the period."""

import json
from typing import Any

import pytest
import stripe

from tests.fake_stripe import conformity
from tests.fake_stripe.control import Control
from tests.fake_stripe.stories import client, person

DAY = 86_400
NOW = {
    "billing_cycle_anchor": "now",
    "proration_behavior": "none",
    "payment_behavior": "pending_if_incomplete",
}


@pytest.fixture
def sdk(fake_stripe: Control) -> Any:
    return client(fake_stripe).v1


@pytest.fixture
def subscription(fake_stripe: Control, sdk: Any) -> Any:
    customer = person(client(fake_stripe))
    return sdk.subscriptions.create({"customer": customer, "items": [{"price": "price_sub_basic"}]})


def to(subscription: Any, price: str = "price_sub_pro") -> dict[str, Any]:
    return {"items": [{"id": subscription["items"].data[0].id, "price": price}]}


def price_of(subscription: Any) -> str:
    return str(subscription["items"].data[0].price.id)


class TestNow:
    def test_a_whole_period_is_billed_and_begins(self, sdk, fake_stripe, subscription):
        fake_stripe.advance(days=10)
        changed = sdk.subscriptions.update(subscription.id, {**to(subscription), **NOW})
        invoice = sdk.invoices.retrieve(changed.latest_invoice)
        assert (invoice.status, invoice.amount_paid) == ("paid", 2900)
        assert [line.amount for line in invoice.lines.data] == [2900]
        item = changed["items"].data[0]
        assert item.current_period_start >= subscription["items"].data[0].current_period_start + 10 * DAY
        assert changed.billing_cycle_anchor == item.current_period_start
        assert price_of(changed) == "price_sub_pro"

    def test_declined_it_waits_for_23_hours_and_changes_nothing(self, sdk, fake_stripe, subscription):
        decline(fake_stripe, sdk, subscription)
        waiting = sdk.subscriptions.update(subscription.id, {**to(subscription), **NOW})
        assert (price_of(waiting), waiting.status) == ("price_sub_basic", "active")
        assert waiting.billing_cycle_anchor == subscription.billing_cycle_anchor
        assert waiting.pending_update.subscription_items[0].price.id == "price_sub_pro"
        fake_stripe.advance(seconds=23 * 3600 + 1)
        after = sdk.subscriptions.retrieve(subscription.id)
        assert (after.pending_update, price_of(after)) == (None, "price_sub_basic")
        assert sdk.invoices.retrieve(waiting.latest_invoice).status == "void"
        assert len(fake_stripe.events("customer.subscription.pending_update_expired")) == 1

    def test_it_expires_with_the_period_at_the_latest(self, sdk, fake_stripe, subscription):
        end = subscription["items"].data[0].current_period_end
        fake_stripe.advance(to=end - 60)
        decline(fake_stripe, sdk, subscription)
        waiting = sdk.subscriptions.update(subscription.id, {**to(subscription), **NOW})
        assert waiting.pending_update.expires_at == end

    def test_a_void_invoice_takes_it_away(self, sdk, fake_stripe, subscription):
        decline(fake_stripe, sdk, subscription)
        waiting = sdk.subscriptions.update(subscription.id, {**to(subscription), **NOW})
        sdk.invoices.void_invoice(waiting.latest_invoice)
        assert sdk.subscriptions.retrieve(subscription.id).pending_update is None
        assert len(fake_stripe.events("customer.subscription.pending_update_expired")) == 1

    def test_paid_later_it_is_applied_from_when_it_was_asked_for(self, sdk, fake_stripe, subscription):
        card = decline(fake_stripe, sdk, subscription)
        waiting = sdk.subscriptions.update(subscription.id, {**to(subscription), **NOW})
        fake_stripe.break_card(card, None)
        fake_stripe.advance(seconds=3600)
        sdk.invoices.pay(waiting.latest_invoice)
        applied = sdk.subscriptions.retrieve(subscription.id)
        assert (applied.pending_update, price_of(applied)) == (None, "price_sub_pro")
        assert applied["items"].data[0].current_period_start == waiting.pending_update.billing_cycle_anchor
        assert len(fake_stripe.events("customer.subscription.pending_update_applied")) == 1

    def test_another_change_takes_its_place(self, sdk, fake_stripe, subscription):
        decline(fake_stripe, sdk, subscription)
        first = sdk.subscriptions.update(subscription.id, {**to(subscription), **NOW})
        second = sdk.subscriptions.update(subscription.id, {**to(subscription), **NOW})
        assert sdk.invoices.retrieve(first.latest_invoice).status == "void"
        assert sdk.invoices.retrieve(second.latest_invoice).status == "open"

    def test_only_some_fields_can_wait(self, sdk, subscription):
        with pytest.raises(stripe.InvalidRequestError, match="cancel_at_period_end"):
            sdk.subscriptions.update(
                subscription.id, {**to(subscription), **NOW, "cancel_at_period_end": True}
            )

    def test_nor_where_invoices_are_sent(self, sdk, subscription):
        sent = sdk.subscriptions.create(
            {
                "customer": subscription.customer,
                "items": [{"price": "price_sub_basic"}],
                "collection_method": "send_invoice",
                "days_until_due": 30,
            }
        )
        with pytest.raises(stripe.InvalidRequestError, match="charged automatically"):
            sdk.subscriptions.update(sent.id, {**to(sent), **NOW})


class TestSchedules:
    def test_the_next_period_has_the_other_price_and_then_it_lets_go(self, sdk, fake_stripe, subscription):
        schedule = phased(sdk, subscription)
        assert [len(schedule.phases), schedule.current_phase.end_date] == [2, schedule.phases[1].start_date]
        fake_stripe.renew(subscription.id)
        renewed = sdk.subscriptions.retrieve(subscription.id)
        assert (price_of(renewed), renewed.schedule) == ("price_sub_pro", schedule.id)
        assert sdk.invoices.retrieve(renewed.latest_invoice).amount_paid == 2900
        fake_stripe.renew(subscription.id)
        assert sdk.subscriptions.retrieve(subscription.id).schedule is None
        assert sdk.subscription_schedules.retrieve(schedule.id).status == "released"
        assert price_of(sdk.subscriptions.retrieve(subscription.id)) == "price_sub_pro"

    def test_released_nothing_changes(self, sdk, fake_stripe, subscription):
        schedule = phased(sdk, subscription)
        released = sdk.subscription_schedules.release(schedule.id)
        assert (released.status, released.released_subscription) == ("released", subscription.id)
        with pytest.raises(stripe.InvalidRequestError, match="`released` status"):
            sdk.subscription_schedules.release(schedule.id)
        fake_stripe.renew(subscription.id)
        assert price_of(sdk.subscriptions.retrieve(subscription.id)) == "price_sub_basic"

    def test_while_it_manages_a_subscription_only_it_ends_it(self, sdk, subscription):
        schedule = phased(sdk, subscription)
        with pytest.raises(stripe.InvalidRequestError, match=schedule.id):
            sdk.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
        with pytest.raises(stripe.InvalidRequestError, match="already attached"):
            sdk.subscription_schedules.create({"from_subscription": subscription.id})
        sdk.subscriptions.cancel(subscription.id)
        assert sdk.subscription_schedules.retrieve(schedule.id).status == "canceled"

    def test_a_year_after_a_month_moves_the_anchor(self, sdk, fake_stripe, subscription):
        year = sdk.prices.create(
            {
                "product": "prod_sub_basic",
                "unit_amount": 9000,
                "currency": "eur",
                "recurring": {"interval": "year"},
            }
        )
        end = subscription["items"].data[0].current_period_end
        phased(sdk, subscription, year.id, "year")
        fake_stripe.renew(subscription.id)
        renewed = sdk.subscriptions.retrieve(subscription.id)
        assert renewed.billing_cycle_anchor == end
        assert renewed["items"].data[0].current_period_end > end + 364 * DAY


class TestPreviews:
    def test_of_a_change_now_and_of_the_next_renewal(self, sdk, fake_stripe, subscription):
        before = fake_stripe.count("invoice")
        now = preview(sdk, subscription, billing_cycle_anchor="now")
        then = preview(sdk, subscription)
        assert (now.amount_due, then.amount_due) == (2900, 2900)
        end = subscription["items"].data[0].current_period_end
        assert then.lines.data[0].period.start == end
        assert now.lines.data[0].period.start < end
        assert fake_stripe.count("invoice") == before
        assert conformity.differences(json.loads(str(now))) == []

    def test_discount_and_balance_count(self, sdk, subscription):
        sdk.customers.balance_transactions.create(subscription.customer, {"amount": -900, "currency": "eur"})
        assert preview(sdk, subscription, billing_cycle_anchor="now").amount_due == 2000


def preview(sdk: Any, subscription: Any, **how: Any) -> Any:
    details = {**to(subscription), "proration_behavior": "none", **how}
    return sdk.invoices.create_preview({"subscription": subscription.id, "subscription_details": details})


def decline(fake_stripe: Control, sdk: Any, subscription: Any) -> str:
    default = sdk.customers.retrieve(subscription.customer).invoice_settings.default_payment_method
    fake_stripe.break_card(default)
    return str(default)


def phased(sdk: Any, subscription: Any, price: str = "price_sub_pro", interval: str = "month") -> Any:
    made = sdk.subscription_schedules.create({"from_subscription": subscription.id})
    running = made.phases[0]
    first: Any = {"items": [{"price": price_of(subscription)}], "start_date": running.start_date}
    second: Any = {"items": [{"price": price}], "duration": {"interval": interval, "interval_count": 1}}
    phases = [{**first, "end_date": running.end_date}, {**second, "proration_behavior": "none"}]
    return sdk.subscription_schedules.update(made.id, {"phases": phases, "end_behavior": "release"})

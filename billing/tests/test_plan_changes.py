"""Changes of plan, over HTTP against the fake Stripe: now, with the period, and whatever comes in between."""

import time
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now

from accounts.models import ServiceEvent, User
from billing import personal
from billing.models import BillingAccount, CustomerLink, Payment, Plan
from billing.shop import plan_changes
from billing.stripe import gateway, sdk
from billing.stripe_sync import changes
from billing.tests.calls import refused
from billing.tests.conftest import Buyer, carry_out
from credits.models import CreditTransaction

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ada(make_user):
    return make_user()


class Subscriber:
    """A user with a subscription, and the calls that their service makes about it."""

    def __init__(self, shop, fake, user, plan="basic", card="pm_card_visa"):
        self.shop, self.fake, self.user = shop, fake, user
        self.card = shop.store_card(fake, user.pk, card)
        begun = shop.post("subscriptions", user_id=user.pk, plan=plan, payment_method=self.card, trial=False)
        assert begun.json()["status"] == "active", begun.content
        self.id = begun.json()["id"]

    def change(self, plan=None, **more):
        fields = {"plan": plan, **more} if plan else more
        return self.shop.post(f"subscriptions/{self.id}/change", user_id=self.user.pk, **fields)

    def changed(self, plan=None, **more):
        answer = self.change(plan, **more)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def cancel(self, **more):
        return self.shop.post(f"subscriptions/{self.id}/cancel", user_id=self.user.pk, **more)

    def preview(self, plan, **more):
        return self.shop.get(
            f"subscriptions/{self.id}/change-preview", user_id=self.user.pk, plan=plan, **more
        )

    @property
    def shown(self):
        return self.shop.get("status", user_id=self.user.pk).json()["subscription"]

    @property
    def at_stripe(self):
        return gateway.retrieve_subscription(self.id)

    @property
    def price(self):
        return self.at_stripe["items"]["data"][0]["price"]["id"]

    @property
    def journal(self):
        rows = CreditTransaction.objects.filter(holder_id=self.user.pk).order_by("at")
        return [row.amount for row in rows]

    @property
    def paid(self):
        """Return what cards have paid, in the order of the payments."""
        return [one["amount"] for one in self.fake.objects("charge") if one["paid"]]

    def renew(self):
        self.fake.renew(self.id)
        carry_out(self.fake.events())


@pytest.fixture
def subscribing(shop, stripe, ada):
    return lambda plan: Subscriber(shop, stripe, ada, plan)


@pytest.fixture
def subscriber(subscribing):
    return subscribing("basic")


@pytest.fixture
def yearly(plans, stripe):
    product = gateway.list_prices()[0]["product"]["id"]
    price = sdk.client().v1.prices.create(
        {"product": product, "unit_amount": 9000, "currency": "eur", "recurring": {"interval": "year"}}
    )
    return Plan.objects.create(
        code="year", name="Year", kind="subscription", credits=3000, amount=9000, currency="eur",
        interval="year", stripe_price=price.id,
    )  # fmt: skip


def told(*types):
    rows = ServiceEvent.objects.filter(type__in=types).order_by("id")
    return [row.data for row in rows]


def at_once(*acts):
    answers = []

    def run(act):
        try:
            answers.append(act())
        finally:
            connection.close()

    threads = [Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


class TestNow:
    def test_a_dearer_plan_is_paid_whole_and_gives_all_its_credits_on_top(self, stripe, subscriber):
        stripe.advance(days=10)
        before = subscriber.at_stripe["items"]["data"][0]["current_period_end"]
        answer = subscriber.changed("pro")
        assert (answer["plan"], answer["status"]) == ("pro", "active")
        assert answer.keys().isdisjoint({"next_plan", "pending_plan", "client_secret"})
        assert subscriber.paid == [900, 2900]
        assert subscriber.journal == [200, 1000]
        assert subscriber.shown["plan"] == "pro"
        assert subscriber.at_stripe["items"]["data"][0]["current_period_end"] > before + 9 * 86_400
        carry_out(stripe.events())
        assert subscriber.journal == [200, 1000]

    def test_it_renews_as_the_new_plan(self, stripe, subscriber):
        subscriber.changed("pro")
        subscriber.renew()
        assert (subscriber.paid, subscriber.journal) == ([900, 2900, 2900], [200, 1000, 1000])

    def test_declined_nothing_has_changed_and_nothing_waits(self, stripe, subscriber, mailoutbox):
        stripe.break_card(subscriber.card)
        refused(subscriber.change("pro", key="k"), 402, "payment_failed")
        found = subscriber.at_stripe
        assert (found["pending_update"], found["status"], subscriber.price) == (
            None, "active", "price_sub_basic",
        )  # fmt: skip
        assert gateway.retrieve_invoice(found["latest_invoice"])["status"] == "void"
        carry_out(stripe.events())
        shown = subscriber.shown
        assert (shown["plan"], shown["status"], subscriber.journal) == ("basic", "active", [200])
        assert told("subscription.change_pending", "subscription.change_expired") == []
        assert "Confirm your change of plan" not in [mail.subject for mail in mailoutbox]
        stripe.break_card(subscriber.card, None)
        assert subscriber.changed("pro", key="k")["plan"] == "pro"
        assert subscriber.paid == [900, 2900]

    def test_what_was_paid_before_gives_its_credits_first(self, shop, stripe, plans, buyer):
        subscription = buyer.buy(plans["basic"])["subscription"]
        assert buyer.journal == []
        answer = shop.post(f"subscriptions/{subscription}/change", user_id=buyer.id, plan="pro")
        assert answer.status_code == 200, answer.content
        assert buyer.journal == [("subscription", 200), ("subscription", 1000)]

    def test_to_the_plan_that_it_has_changes_nothing(self, stripe, subscriber):
        subscriber.changed("pro")
        assert subscriber.changed("pro", when="now")["plan"] == "pro"
        assert subscriber.paid == [900, 2900]

    def test_events_and_mails(self, stripe, subscriber, mailoutbox):
        subscriber.changed("pro")
        carry_out(stripe.events())
        assert [row["plan"] for row in told("subscription.changed")] == ["pro"]
        assert [mail.subject for mail in mailoutbox][1:] == [
            "Your subscription was renewed", "Your plan change",
        ]  # fmt: skip
        assert "Your plan is now Pro." in mailoutbox[2].body

    def test_a_user_that_may_not_buy_changes_nothing(self, stripe, subscriber):
        User.objects.filter(pk=subscriber.user.pk).update(status="suspended")
        refused(subscriber.change("pro"), 403, "account_suspended")
        assert subscriber.price == "price_sub_basic"


class TestTheBankAsksTheUser:
    @pytest.fixture
    def waiting(self, stripe, subscriber):
        """One whose upgrade waits for 3-D Secure."""
        subscriber.card = subscriber.shop.store_card(
            stripe, subscriber.user.pk, "pm_card_authenticationRequired"
        )
        default = subscriber.shop.post(
            f"payment-methods/{subscriber.card}/default", user_id=subscriber.user.pk
        )
        assert default.status_code == 200, default.content
        subscriber.asked = subscriber.changed("pro", key="k")
        return subscriber

    def confirm(self, waiting, *, success=True):
        waiting.fake.authenticate(waiting.asked["client_secret"].partition("_secret_")[0], success=success)
        carry_out(waiting.fake.events())

    def test_the_answer_says_what_waits_and_uses_the_key(self, stripe, waiting, mailoutbox):
        assert (waiting.asked["plan"], waiting.asked["pending_plan"]) == ("basic", "pro")
        assert waiting.asked["pending_expires_at"]
        again = waiting.change("pro", key="k")
        assert (again.json(), again.headers["Idempotency-Replayed"]) == (waiting.asked, "true")
        assert waiting.journal == [200]
        shown = waiting.shown
        assert (shown["plan"], shown["pending_plan"]) == ("basic", "pro")
        assert shown["pending_expires_at"] == waiting.asked["pending_expires_at"]
        (listed,) = waiting.shop.get("subscriptions", user_id=waiting.user.pk).json()["results"]
        assert (listed["plan"], listed["pending_plan"]) == ("basic", "pro")
        carry_out(stripe.events())
        assert [row["pending_plan"] for row in told("subscription.change_pending")] == ["pro"]
        assert [mail.subject for mail in mailoutbox].count("Confirm your change of plan") == 1

    def test_confirmed_it_is_paid_and_gives_its_credits(self, waiting):
        self.confirm(waiting)
        assert (waiting.journal, waiting.paid) == ([200, 1000], [900, 2900])
        shown = waiting.shown
        assert (shown["plan"], "pending_plan" in shown) == ("pro", False)
        assert told("subscription.change_expired") == []
        assert [row["plan"] for row in told("subscription.changed")] == ["pro"]

    @pytest.mark.parametrize("plan", ["pro", "year"])
    def test_meanwhile_another_change_is_refused(self, waiting, yearly, plan):
        refused(waiting.change(plan), 409, "change_pending")
        assert waiting.at_stripe["pending_update"]

    def test_after_a_day_the_old_plan_is_what_there_is(self, stripe, waiting, mailoutbox):
        stripe.advance(days=1)
        carry_out(stripe.events())
        shown = waiting.shown
        assert (shown["plan"], shown["status"], "pending_plan" in shown) == ("basic", "active", False)
        assert (waiting.journal, waiting.paid) == ([200], [900])
        assert [row["pending_plan"] for row in told("subscription.change_expired")] == ["pro"]
        assert [mail.subject for mail in mailoutbox][-1] == "Your plan has not changed"
        assert waiting.changed("pro")["pending_plan"] == "pro"

    def test_one_who_fails_to_confirm_may_try_again(self, stripe, waiting):
        self.confirm(waiting, success=False)
        assert waiting.shown["pending_plan"] == "pro"
        refused(waiting.change("pro"), 409, "change_pending")
        stripe.confirm(waiting.asked["client_secret"].partition("_secret_")[0], "pm_card_visa")
        carry_out(stripe.events())
        assert (waiting.shown["plan"], waiting.journal) == ("pro", [200, 1000])

    def test_what_was_offered_holds_until_it_is_confirmed(self, waiting, plans):
        Plan.objects.filter(code="pro").update(credits=1)
        self.confirm(waiting)
        assert waiting.journal == [200, 1000]

    @pytest.mark.parametrize("at_period_end", [True, False])
    def test_a_cancellation_drops_it(self, stripe, waiting, at_period_end):
        assert waiting.cancel(at_period_end=at_period_end).status_code == 200
        assert waiting.at_stripe["pending_update"] is None
        invoice = next(one for one in stripe.objects("invoice") if one["total"] == 2900)
        assert invoice["status"] == "void"
        assert "pending_plan" not in waiting.shown


class TestWhen:
    @pytest.mark.parametrize(
        ("begun", "wanted", "when"),
        [
            ("basic", "pro", "now"),  # dearer, the same interval
            ("basic", "year", "now"),  # dearer, longer
            ("pro", "basic", "period_end"),  # cheaper
            ("year", "pro", "period_end"),  # shorter
        ],
    )
    def test_without_a_wish(self, subscribing, yearly, begun, wanted, when):
        found = subscribing(begun)
        assert found.preview(wanted).json()["when"] == when
        answer = found.changed(wanted)
        assert answer["plan"] == (wanted if when == "now" else begun)
        assert answer.get("next_plan") == (None if when == "now" else wanted)

    def test_as_wished(self, shop, stripe, ada):
        found = Subscriber(shop, stripe, ada, "pro")
        answer = found.changed("basic", when="now")
        assert (answer["plan"], found.paid, found.journal) == ("basic", [2900, 900], [1000, 200])
        later = found.changed("pro", when="period_end")
        assert (later["plan"], later["next_plan"], found.paid) == ("basic", "pro", [2900, 900])

    def test_where_invoices_are_sent_it_is_the_end_of_the_period(self, shop, stripe, plans, buyer):
        sent = sdk.client().v1.subscriptions.create(
            {
                "customer": buyer.customer,
                "items": [{"price": "price_sub_basic"}],
                "collection_method": "send_invoice",
                "days_until_due": 30,
            }
        )
        path = f"subscriptions/{sent.id}/change"
        problem = refused(shop.post(path, user_id=buyer.id, plan="pro", when="now"), 400, "billing_rejected")
        assert problem["reason"] == "invoices_are_sent"
        assert shop.post(path, user_id=buyer.id, plan="pro").json()["next_plan"] == "pro"

    def test_a_bank_account_is_not_charged_at_once(self, stripe, subscriber):
        found = {**subscriber.at_stripe, "default_payment_method": {"type": "sepa_debit"}}
        assert plan_changes._hindrance(found) == "not_a_card"
        assert plan_changes._moment(found, Plan.objects.get(code="pro"), None) == "period_end"

    @pytest.mark.parametrize(
        "body",
        [{}, {"plan": "pro", "next_plan": None}, {"plan": "pro", "when": "later"}, {"next_plan": "pro"}],
    )
    def test_either_a_plan_or_none(self, subscriber, body):
        refused(subscriber.change(**body), 400, "validation_error")
        assert subscriber.price == "price_sub_basic"


class TestWithThePeriod:
    @pytest.fixture
    def pro(self, shop, stripe, ada):
        return Subscriber(shop, stripe, ada, "pro")

    def test_the_paid_plan_is_shown_until_the_next_is_paid(self, stripe, pro, mailoutbox):
        answer = pro.changed("basic")
        assert (answer["plan"], answer["next_plan"]) == ("pro", "basic")
        assert (pro.shown["plan"], pro.shown["next_plan"]) == ("pro", "basic")
        (listed,) = pro.shop.get("subscriptions", user_id=pro.user.pk).json()["results"]
        assert (listed["plan"], listed["next_plan"]) == ("pro", "basic")
        assert (pro.price, pro.paid) == ("price_sub_pro", [2900])
        pro.renew()
        assert (pro.shown["plan"], "next_plan" in pro.shown) == ("basic", False)
        assert (pro.paid, pro.journal) == ([2900, 900], [1000, 200])
        changes_told = told("subscription.changed")
        assert [(row["plan"], row["next_plan"]) for row in changes_told] == [
            ("pro", "basic"),
            ("basic", None),
        ]
        assert [mail.subject for mail in mailoutbox].count("Your plan change") == 1
        assert "Your plan changes to Basic on" in mailoutbox[1].body.replace("\n", " ")
        pro.renew()
        assert (pro.at_stripe["schedule"], pro.journal) == (None, [1000, 200, 200])

    def test_one_that_is_not_paid_at_the_renewal_is_not_shown_as_paid(self, stripe, pro):
        pro.changed("basic")
        stripe.break_card(pro.card)
        pro.renew()
        assert (pro.shown["plan"], pro.shown["next_plan"], pro.shown["status"]) == (
            "pro",
            "basic",
            "past_due",
        )
        stripe.break_card(pro.card, None)
        sdk.client().v1.invoices.pay(pro.at_stripe["latest_invoice"])
        carry_out(stripe.events())
        assert (pro.shown["plan"], "next_plan" in pro.shown) == ("basic", False)

    def test_a_change_up_and_back_before_the_renewal_gives_nothing_for_nothing(self, stripe, subscriber):
        subscriber.changed("pro", when="period_end")
        assert subscriber.shown["plan"] == "basic"
        subscriber.changed(next_plan=None)
        subscriber.renew()
        assert (subscriber.paid, subscriber.journal) == ([900, 900], [200, 200])

    @pytest.mark.parametrize("undo", [{"next_plan": None}, {"plan": "pro"}])
    def test_it_is_undone(self, stripe, pro, undo):
        pro.changed("basic")
        answer = pro.changed(**undo)
        assert (answer["plan"], "next_plan" in answer) == ("pro", False)
        assert "next_plan" not in pro.shown
        pro.renew()
        assert (pro.paid, pro.at_stripe["schedule"]) == ([2900, 2900], None)

    def test_nothing_planned_is_undone_as_well(self, pro):
        assert pro.changed(next_plan=None)["plan"] == "pro"

    def test_another_plan_takes_its_place(self, stripe, pro, yearly):
        pro.changed("basic")
        assert pro.changed("year", when="period_end")["next_plan"] == "year"
        pro.renew()
        assert (pro.paid, pro.journal) == ([2900, 9000], [1000, 3000])
        end = pro.at_stripe["items"]["data"][0]["current_period_end"]
        assert end > stripe.advance()["now"] + 350 * 86_400

    def test_a_change_now_takes_its_place(self, stripe, pro, yearly):
        pro.changed("basic")
        answer = pro.changed("year", when="now")
        assert (answer["plan"], "next_plan" in answer, pro.at_stripe["schedule"]) == ("year", False, None)
        assert (pro.paid, pro.journal) == ([2900, 9000], [1000, 3000])

    def test_a_coupon_stays(self, shop, stripe, plans, buyer):
        coupon = sdk.client().v1.coupons.create({"percent_off": 50, "duration": "forever"})
        card = shop.store_card(stripe, buyer.id)
        made = sdk.client().v1.subscriptions.create(
            {
                "customer": buyer.customer,
                "items": [{"price": "price_sub_pro"}],
                "default_payment_method": card,
                "discounts": [{"coupon": coupon.id}],
            }
        )
        answer = shop.post(f"subscriptions/{made.id}/change", user_id=buyer.id, plan="basic")
        assert answer.status_code == 200, answer.content
        stripe.renew(made.id)
        carry_out(stripe.events())
        assert [row.paid for row in Payment.objects.order_by("paid_at")] == [1450, 450]

    def test_by_the_dashboard_without_proration_the_unpaid_plan_is_not_shown_as_paid(
        self, stripe, subscriber
    ):
        item = subscriber.at_stripe["items"]["data"][0]["id"]
        change: Any = {"items": [{"id": item, "price": "price_sub_pro"}], "proration_behavior": "none"}
        sdk.client().v1.subscriptions.update(subscriber.id, change)
        carry_out(stripe.events())
        assert (subscriber.shown["plan"], subscriber.shown["next_plan"]) == ("basic", "pro")
        subscriber.renew()
        assert (subscriber.shown["plan"], "next_plan" in subscriber.shown) == ("pro", False)


class TestWhatEndsASubscriptionReleasesItFirst:
    @pytest.fixture
    def planned(self, shop, stripe, ada):
        found = Subscriber(shop, stripe, ada, "pro")
        found.changed("basic")
        return found

    def ends(self, planned):
        found = planned.at_stripe
        assert (found["schedule"], found["cancel_at_period_end"]) == (None, True)
        planned.renew()
        assert (planned.at_stripe["status"], planned.paid) == ("canceled", [2900])

    def test_a_cancellation_with_the_period(self, planned):
        answer = planned.cancel().json()
        assert (answer["cancel_at_period_end"], "next_plan" in answer) == (True, False)
        assert "next_plan" not in planned.shown
        self.ends(planned)

    def test_a_cancellation_at_once(self, planned):
        assert planned.cancel(at_period_end=False).json()["status"] == "canceled"
        assert planned.at_stripe["schedule"] is None

    def test_closing_the_account(self, planned):
        User.objects.filter(pk=planned.user.pk).update(status="pending_deletion", deletes_at=Now())
        personal.close(user_id=planned.user.pk)
        changes.carry_out()
        self.ends(planned)

    def test_erasing_it(self, stripe, planned):
        User.objects.filter(pk=planned.user.pk).update(status="deleted", email=None, email_verified_at=None)
        personal.erase(user_id=planned.user.pk)
        changes.carry_out()
        assert planned.at_stripe["status"] == "canceled"
        assert [one["status"] for one in stripe.objects("subscription_schedule")] == ["released"]
        assert CustomerLink.objects.get(pk=planned.user.pk).deleted_at is not None

    def test_removing_the_only_card(self, planned):
        gone = planned.shop.delete(
            f"payment-methods/{planned.card}", user_id=planned.user.pk, cancel_at_period_end="true"
        )
        assert gone.status_code == 204, gone.content
        assert planned.at_stripe["cancel_at_period_end"] is True

    def test_a_resumption_keeps_what_is_planned_where_nothing_ends(self, planned):
        path = f"subscriptions/{planned.id}/resume"
        assert planned.shop.post(path, user_id=planned.user.pk).json()["next_plan"] == "basic"

    def test_a_resumption_of_an_end_that_a_schedule_has(self, stripe, planned):
        """Made in the Dashboard: it ends the subscription with its phase."""
        schedule = planned.at_stripe["schedule"]["id"]
        gateway.release_schedule(schedule)
        gateway.end_with_period(subscription=planned.id)
        gateway.create_schedule(subscription=planned.id, key=uuid4().hex)
        answer = planned.shop.post(f"subscriptions/{planned.id}/resume", user_id=planned.user.pk)
        assert (answer.status_code, answer.json()["cancel_at_period_end"]) == (200, False), answer.content


class TestAPendingCancellation:
    @pytest.mark.parametrize("when", ["now", "period_end"])
    def test_a_change_says_so_and_takes_it_back_if_that_is_wanted(self, stripe, subscriber, when):
        subscriber.cancel()
        refused(subscriber.change("pro", when=when), 409, "cancellation_pending")
        assert (subscriber.at_stripe["cancel_at_period_end"], subscriber.price) == (True, "price_sub_basic")
        answer = subscriber.changed("pro", when=when, resume=True)
        assert (answer["cancel_at_period_end"], answer.get("next_plan", answer["plan"])) == (False, "pro")
        subscriber.renew()
        assert subscriber.at_stripe["status"] == "active"
        assert 2900 in subscriber.paid

    @pytest.mark.parametrize("by_portal", [True, False])
    def test_a_declined_card_leaves_it(self, stripe, subscriber, by_portal):
        if by_portal:
            stripe.portal_end(subscriber.id)
        else:
            subscriber.cancel()
        before = subscriber.at_stripe
        stripe.break_card(subscriber.card)
        refused(subscriber.change("pro", resume=True), 402, "payment_failed")
        after = subscriber.at_stripe
        for name in ("cancel_at", "cancel_at_period_end", "status", "pending_update"):
            assert after[name] == before[name], name
        assert subscriber.price == "price_sub_basic"

    def test_so_does_a_refusal_before_anything_is_paid(self, stripe, subscriber):
        stripe.break_card(subscriber.card)
        subscriber.renew()
        subscriber.cancel()
        refused(subscriber.change("pro", resume=True), 409, "payment_overdue")
        assert subscriber.at_stripe["cancel_at_period_end"] is True

    def test_one_by_the_portal_is_one_too(self, stripe, subscriber):
        stripe.portal_end(subscriber.id)
        refused(subscriber.change("pro"), 409, "cancellation_pending")
        assert subscriber.changed("pro", resume=True)["plan"] == "pro"

    def test_without_one_resume_is_no_matter(self, subscriber):
        assert subscriber.changed("pro", resume=True)["plan"] == "pro"


@pytest.mark.parametrize("when", [None, "now", "period_end"])
def test_a_plan_in_another_currency_is_refused_as_that(subscriber, when):
    price = sdk.client().v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 1500,
            "recurring": {"interval": "month"},
            "product_data": {"name": "Dollars"},
        }
    )
    Plan.objects.create(
        code="dollars", name="Dollars", kind="subscription", credits=300, amount=1500, currency="usd",
        interval="month", stripe_price=price.id,
    )  # fmt: skip
    wish = {"when": when} if when else {}
    for answer in (subscriber.change("dollars", **wish), subscriber.preview("dollars", **wish)):
        assert refused(answer, 400, "billing_rejected")["reason"] == "other_currency"
    assert subscriber.at_stripe["items"]["data"][0]["price"]["id"] == "price_sub_basic"
    assert subscriber.at_stripe["schedule"] is None


class TestStates:
    def test_in_a_trial_it_comes_with_its_end(self, shop, stripe, plans, buyer):
        subscription = buyer.buy(plans["pro"], trial=True)["subscription"]
        carry_out(stripe.events())
        path = f"subscriptions/{subscription}/change"
        problem = refused(
            shop.post(path, user_id=buyer.id, plan="basic", when="now"), 400, "billing_rejected"
        )
        assert problem["reason"] == "in_trial"
        answer = shop.post(path, user_id=buyer.id, plan="basic").json()
        assert (answer["status"], answer["plan"], answer["next_plan"]) == ("trialing", "pro", "basic")
        stripe.advance(days=15)
        carry_out(stripe.events())
        shown = shop.get("status", user_id=buyer.id).json()["subscription"]
        assert (shown["plan"], shown["status"]) == ("basic", "active")
        assert buyer.journal == [("trial", 50), ("subscription", 200)]

    def test_a_trial_that_is_ended_early_begins_what_was_planned(self, shop, stripe, plans, buyer):
        subscription = buyer.buy(plans["pro"], trial=True)["subscription"]
        carry_out(stripe.events())
        shop.post(f"subscriptions/{subscription}/change", user_id=buyer.id, plan="basic")
        ended = shop.post(f"subscriptions/{subscription}/end-trial", user_id=buyer.id).json()
        assert (ended["status"], ended["plan"], "next_plan" in ended) == ("active", "basic", False)
        assert [one["amount"] for one in stripe.objects("charge")] == [900]
        assert buyer.journal == [("trial", 50), ("subscription", 200)]

    @pytest.mark.parametrize("ending", ["cancel", "unpaid"])
    def test_with_an_unpaid_invoice_a_new_period_waits_for_it(self, stripe, subscriber, ending):
        stripe.settings(dunning_end=ending)
        stripe.break_card(subscriber.card)
        subscriber.renew()
        if ending == "unpaid":
            stripe.advance(days=20)
        assert subscriber.at_stripe["status"] in {"past_due", "unpaid"}
        refused(subscriber.change("pro"), 409, "payment_overdue")
        refused(subscriber.preview("pro"), 409, "payment_overdue")
        answer = subscriber.changed("pro", when="period_end")
        assert (answer["plan"], answer["next_plan"]) == ("basic", "pro")

    def test_paused_it_stays(self, shop, stripe, plans, buyer):
        made = sdk.client().v1.subscriptions.create(
            {
                "customer": buyer.customer,
                "items": [{"price": "price_sub_pro"}],
                "trial_period_days": 3,
                "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
            }
        )
        stripe.advance(days=4)
        assert gateway.retrieve_subscription(made.id)["status"] == "paused"
        answer = shop.post(f"subscriptions/{made.id}/change", user_id=buyer.id, plan="basic")
        assert refused(answer, 400, "billing_rejected")["reason"] == "subscription_paused"

    def test_before_it_has_begun(self, shop, stripe, ada):
        begun = shop.post("subscriptions", user_id=ada.pk, plan="basic").json()
        answer = shop.post(f"subscriptions/{begun['id']}/change", user_id=ada.pk, plan="pro")
        assert refused(answer, 400, "billing_rejected")["reason"] == "subscription_incomplete"

    def test_after_it_has_ended(self, subscriber):
        subscriber.cancel(at_period_end=False)
        refused(subscriber.change("pro"), 400, "billing_rejected")
        refused(subscriber.change(next_plan=None), 400, "billing_rejected")


class TestPreview:
    def test_now(self, stripe, subscriber):
        found = subscriber.preview("pro").json()
        assert found == {
            "plan": "pro", "when": "now", "date": found["date"], "amount_due": 2900, "currency": "eur",
            "credits": 1000,
        }  # fmt: skip
        assert subscriber.paid == [900]

    def test_with_the_period(self, subscriber):
        found = subscriber.preview("pro", when="period_end").json()
        assert (found["when"], found["date"]) == ("period_end", subscriber.shown["current_period_end"])
        assert (found["amount_due"], found["credits"]) == (2900, 1000)

    def test_it_is_what_is_charged(self, stripe, subscriber):
        balance: Any = {"amount": -400, "currency": "eur"}
        sdk.client().v1.customers.balance_transactions.create(subscriber.at_stripe["customer"], balance)
        assert subscriber.preview("pro").json()["amount_due"] == 2500
        subscriber.changed("pro")
        assert subscriber.paid == [900, 2500]

    def test_refusals(self, subscriber, make_user):
        refused(subscriber.preview("small"), 404, "plan_not_found")
        stranger = make_user()
        path = f"subscriptions/{subscriber.id}/change-preview"
        refused(subscriber.shop.get(path, user_id=stranger.pk, plan="pro"), 404, "not_found")

    def test_what_stripe_refuses(self, stripe, subscriber):
        stripe.fault(path="/v1/invoices/create_preview", status=400)
        refused(subscriber.preview("pro"), 400, "billing_rejected")

    def test_while_stripe_is_away(self, stripe, subscriber):
        stripe.fault(refuse=True, times=100)
        refused(subscriber.preview("pro"), 503, "billing_unavailable")


# A request of each kind that a change makes, by method and path.
OF_NOW = [
    ("GET", "/v1/subscriptions/sub_[^/]+"),
    ("GET", "/v1/invoices/in_[^/]+"),
    ("POST", "/v1/subscriptions/sub_[^/]+"),
]
OF_THE_PERIOD = [
    ("GET", "/v1/subscriptions/sub_[^/]+"),
    ("POST", "/v1/subscription_schedules"),
    ("POST", "/v1/subscription_schedules/sub_sched_[^/]+"),
]
LOST = [{"cut": True}, {"status": 500, "committed": True}, {"refuse": True}]


class TestLostAnswers:
    @pytest.mark.parametrize("fault", LOST)
    @pytest.mark.parametrize(("method", "path"), OF_NOW)
    def test_a_change_now_is_paid_once(self, stripe, subscriber, method, path, fault):
        stripe.fault(method=method, path=path, **fault)
        first = subscriber.change("pro", key="k")
        assert first.status_code in {200, 503}, first.content
        stripe.clear_faults()
        assert subscriber.changed("pro", key="k")["plan"] == "pro"
        carry_out(stripe.events())
        assert (subscriber.paid, subscriber.journal) == ([900, 2900], [200, 1000])
        assert subscriber.shown["plan"] == "pro"

    @pytest.mark.parametrize("fault", LOST)
    @pytest.mark.parametrize(("method", "path"), OF_THE_PERIOD)
    def test_a_change_with_the_period_comes_once(self, stripe, subscriber, method, path, fault):
        stripe.fault(method=method, path=path, **fault)
        subscriber.change("pro", when="period_end", key="k")
        stripe.clear_faults()
        assert subscriber.changed("pro", when="period_end", key="k")["next_plan"] == "pro"
        active = [one for one in stripe.objects("subscription_schedule") if one["status"] == "active"]
        assert [len(one["phases"]) for one in active] == [2]
        subscriber.renew()
        assert (subscriber.paid, subscriber.journal) == ([900, 2900], [200, 1000])

    @pytest.mark.parametrize("fault", LOST)
    @pytest.mark.parametrize(
        "path", ["/v1/subscription_schedules/[^/]+/release", "/v1/subscriptions/sub_[^/]+"]
    )
    def test_an_undoing(self, stripe, subscriber, path, fault):
        subscriber.changed("pro", when="period_end")
        stripe.fault(path=path, **fault)
        subscriber.change(next_plan=None, key="k")
        stripe.clear_faults()
        assert "next_plan" not in subscriber.changed(next_plan=None, key="k")
        assert subscriber.at_stripe["schedule"] is None

    @pytest.mark.parametrize("fault", LOST)
    def test_a_declined_one_leaves_nothing(self, stripe, subscriber, mailoutbox, fault):
        """The answer to the void is lost, and events come before the second try."""
        stripe.break_card(subscriber.card)
        stripe.fault(path="/v1/invoices/in_[^/]+/void", **fault)
        refused(subscriber.change("pro", key="k"), 503, "billing_unavailable")
        carry_out(stripe.events())
        assert "pending_plan" not in subscriber.shown
        refused(subscriber.change("pro", key="k"), 402, "payment_failed")
        assert subscriber.at_stripe["pending_update"] is None
        carry_out(stripe.events())
        assert told("subscription.change_pending", "subscription.change_expired") == []

    def test_what_a_dead_process_has_left_of_a_declined_one_is_dropped_by_the_next(
        self, stripe, subscriber, yearly
    ):
        stripe.break_card(subscriber.card)
        stripe.fault(path="/v1/invoices/in_[^/]+/void", refuse=True)
        refused(subscriber.change("pro"), 503, "billing_unavailable")
        stripe.break_card(subscriber.card, None)
        assert subscriber.changed("year")["plan"] == "year"
        assert subscriber.paid == [900, 9000]

    def test_a_lost_answer_that_waits_for_the_user(self, shop, stripe, ada):
        found = Subscriber(shop, stripe, ada)
        card = shop.store_card(stripe, ada.pk, "pm_card_authenticationRequired")
        shop.post(f"payment-methods/{card}/default", user_id=ada.pk)
        stripe.fault(method="POST", path="/v1/subscriptions/sub_[^/]+", cut=True)
        refused(found.change("pro", key="k"), 503, "billing_unavailable")
        refused(found.change("pro", key="other"), 409, "change_pending")
        answer = found.changed("pro", key="k")
        assert (answer["plan"], answer["pending_plan"], bool(answer["client_secret"])) == (
            "basic",
            "pro",
            True,
        )
        assert len([one for one in stripe.objects("invoice") if one["total"] == 2900]) == 1


class TestAtOnce:
    def test_two_changes_are_paid_once(self, stripe, subscriber):
        answers = at_once(*[lambda: subscriber.change("pro") for _ in range(4)])
        assert {answer.status_code for answer in answers} <= {200, 409}
        assert subscriber.paid == [900, 2900]
        assert subscriber.journal == [200, 1000]

    def test_two_different_ones_come_one_after_the_other(self, stripe, subscriber, yearly):
        answers = at_once(lambda: subscriber.change("pro"), lambda: subscriber.change("year"))
        assert all(answer.status_code in {200, 409} for answer in answers), [one.content for one in answers]
        carry_out(stripe.events())
        assert len(subscriber.paid) == len(subscriber.journal)
        assert BillingAccount.objects.get(pk=subscriber.user.pk).pending_plan is None

    @pytest.mark.parametrize("when", ["now", "period_end"])
    def test_beside_a_cancellation(self, stripe, subscriber, when):
        """Whichever comes first, what is answered is what there is."""
        change, ended = None, None
        for answer in at_once(lambda: subscriber.change("pro", when=when), subscriber.cancel):
            if "plan" in answer.json() and answer.json()["cancel_at_period_end"]:
                ended = answer
            else:
                change = answer
        assert ended is not None
        found = subscriber.at_stripe
        assert (found["cancel_at_period_end"], found["pending_update"], found["schedule"]) == (
            True,
            None,
            None,
        )
        assert change is None or change.status_code in {200, 409, 503}
        carry_out(stripe.events())
        assert subscriber.shown["cancel_at_period_end"] is True
        assert "next_plan" not in subscriber.shown
        stripe.renew(subscriber.id)
        assert subscriber.at_stripe["status"] == "canceled"

    def test_an_event_that_comes_before_the_answer(self, stripe, subscriber):
        """Stripe has answered late: its events were carried out before."""
        stripe.fault(method="POST", path="/v1/subscriptions/sub_[^/]+", late=2.0)

        def hear():
            while not [
                event for event in stripe.events("invoice.paid") if event["data"]["object"]["total"] == 2900
            ]:
                time.sleep(0.05)
            carry_out(stripe.events())

        answers = at_once(lambda: subscriber.change("pro"), hear)
        assert [answer.json()["plan"] for answer in answers if answer is not None] == ["pro"]
        assert (subscriber.paid, subscriber.journal) == ([900, 2900], [200, 1000])
        assert [row["plan"] for row in told("subscription.changed")] == ["pro"]


class TestProrationsMadeAtStripe:
    def prorated(self, subscription, price):
        item = gateway.retrieve_subscription(subscription)["items"]["data"][0]["id"]
        change: Any = {"items": [{"id": item, "price": price}], "proration_behavior": "always_invoice"}
        sdk.client().v1.subscriptions.update(subscription, change)

    def test_the_least_that_is_kept_gives_a_credit(self, stripe, plans, buyer):
        subscription = buyer.buy(plans["basic"])["subscription"]
        carry_out(stripe.events())
        end = gateway.retrieve_subscription(subscription)["items"]["data"][0]["current_period_end"]
        stripe.advance(to=end - 86_400)
        Plan.objects.filter(code="pro").update(credits=1)
        self.prorated(subscription, "price_sub_pro")
        carry_out(stripe.events())
        assert Payment.objects.get(kind="proration").kept
        assert buyer.journal == [("subscription", 200), ("subscription", 1)]
        assert buyer.verifies()

    def test_what_lands_on_the_balance_is_told(self, stripe, plans, buyer):
        subscription = buyer.buy(plans["pro"])["subscription"]
        carry_out(stripe.events())
        self.prorated(subscription, "price_sub_basic")
        carry_out(stripe.events())
        carry_out(stripe.events())
        (row,) = told("billing.balance_credited")
        assert (row["amount"], row["currency"], row["subscription"]) == (2000, "eur", subscription)
        assert Payment.objects.get(pk=row["payment"]).to_balance == 2000
        assert buyer.journal == [("subscription", 1000)]

    def test_a_subscriber_is_shown_what_was_paid_for(self, stripe, plans, buyer, shop):
        subscription = buyer.buy(plans["basic"])["subscription"]
        carry_out(stripe.events())
        self.prorated(subscription, "price_sub_pro")
        carry_out(stripe.events())
        shown = shop.get("status", user_id=buyer.id).json()["subscription"]
        assert (shown["plan"], "next_plan" in shown) == ("pro", False)
        assert buyer.verifies()


def test_a_stranger_changes_nothing(subscriber, make_user):
    other = Buyer(subscriber.fake, make_user())
    path = f"subscriptions/{subscriber.id}/change"
    refused(subscriber.shop.post(path, user_id=other.id, plan="pro"), 404, "not_found")
    refused(subscriber.shop.post(path, user_id=other.id, next_plan=None), 404, "not_found")
    assert subscriber.price == "price_sub_basic"

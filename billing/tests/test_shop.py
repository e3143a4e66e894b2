"""Calls billing as services do, over HTTP, against the fake Stripe."""

from datetime import date
from threading import Thread
from uuid import uuid4

import pytest
from django.db import connection

from accounts.models import ServiceEvent, User
from billing.models import BillingAccount, CustomerLink, Payment, Request
from billing.settlement import expiring_cards
from billing.stripe import mirror
from billing.tests.calls import RETURN, Shop, refused
from billing.tests.conftest import carry_out

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ada(make_user):
    return make_user()


@pytest.fixture
def bob(make_user):
    return make_user()


def balance(shop: Shop, user: User) -> int:
    return int(shop.get("status", user_id=user.pk).json()["credits"]["balance"])


class TestPlans:
    def test_lists_what_is_sold(self, shop, plans):
        plans["large"].active = False
        plans["large"].save()
        results = shop.get("plans").json()["results"]
        assert [plan["code"] for plan in results] == ["basic", "pro", "small"]
        assert results[1] == {
            "code": "pro", "name": "Pro", "kind": "subscription", "credits": 1000, "amount": 2900,
            "currency": "eur", "interval": "month", "interval_count": 1, "trial_days": 14,
        }  # fmt: skip
        assert "interval" not in results[2]


class TestCheckout:
    def test_a_pack_is_bought_and_settled_on_the_spot(self, shop, stripe, ada):
        begun = shop.checkout(ada.pk, quantity=3)
        assert begun.status_code == 201, begun.content
        session = begun.json()
        assert session.keys() == {"id", "url", "expires_at", "status", "credited"}
        assert (session["status"], session["credited"]) == ("open", False)
        stripe.pay_checkout(session["id"])
        seen = shop.get(f"checkout-sessions/{session['id']}", user_id=ada.pk)
        assert (seen.json()["status"], seen.json()["credited"]) == ("complete", True)
        assert balance(shop, ada) == 300

    def test_a_subscription_with_its_trial(self, shop, stripe, ada):
        session = shop.checkout(ada.pk, "pro").json()
        stripe.pay_checkout(session["id"])
        assert shop.get(f"checkout-sessions/{session['id']}", user_id=ada.pk).json()["credited"]
        status = shop.get("status", user_id=ada.pk).json()
        assert status["account_status"] == "trialing"
        assert status["subscription"]["plan"] == "pro"
        assert status["credits"]["balance"] == 50
        assert shop.get("trial-eligibility", user_id=ada.pk).json() == {
            "eligible": False,
            "reason": "in_trial",
        }
        refused(shop.checkout(ada.pk, "basic"), 409, "already_subscribed")

    def test_the_same_key_is_one_session(self, shop, stripe, ada):
        first = shop.checkout(ada.pk, key="k")
        again = shop.checkout(ada.pk, key="k")
        assert (again.status_code, again.json()) == (201, first.json())
        assert again.headers["Idempotency-Replayed"] == "true"
        refused(shop.checkout(ada.pk, "large", key="k"), 422, "idempotency_key_reused")
        assert stripe.count("checkout.session") == 1

    def test_a_replay_comes_before_any_check_of_state(self, shop, ada, plans):
        first = shop.checkout(ada.pk, key="k")
        User.objects.filter(pk=ada.pk).update(status="suspended")
        plans["small"].delete()
        assert shop.checkout(ada.pk, key="k").json() == first.json()

    def test_a_refused_call_does_not_use_its_key_up(self, shop, ada):
        refused(shop.checkout(ada.pk, "nothing", key="k"), 404, "plan_not_found")
        assert shop.checkout(ada.pk, "small", key="k").status_code == 201

    def test_refusals(self, shop, stripe, ada, make_user):
        refused(shop.checkout(uuid4()), 404, "user_not_found")
        refused(shop.checkout(make_user(status="deleted").pk), 404, "user_not_found")
        refused(shop.checkout(make_user(status="suspended").pk), 403, "account_suspended")
        leaving = refused(shop.checkout(make_user(status="pending_deletion").pk), 403, "account_suspended")
        assert "being deleted" in leaving["detail"]
        refused(shop.checkout(ada.pk, quantity=0), 400, "validation_error")
        refused(shop.checkout(ada.pk, "basic", quantity=2), 400, "validation_error")
        refused(shop.checkout(ada.pk, amount=1), 400, "unknown_field")
        refused(shop.checkout(ada.pk, credits=10**9), 400, "unknown_field")
        assert stripe.count("checkout.session") == 0

    def test_another_users_session_is_unknown(self, shop, stripe, ada, bob):
        session = shop.checkout(ada.pk).json()["id"]
        assert shop.checkout(bob.pk).status_code == 201
        for user in (bob.pk, uuid4()):
            refused(shop.get(f"checkout-sessions/{session}", user_id=user), 404, "not_found")
        for odd in ("cs_unknown", "..", "cs%2F..%2Fcustomers", "a" * 300):
            assert shop.get(f"checkout-sessions/{odd}", user_id=ada.pk).status_code == 404

    def test_scopes(self, internal, service_key, ada):
        reader = Shop(internal, service_key("reader", "billing:read"))
        refused(reader.checkout(ada.pk), 403, "scope_missing")
        assert reader.get("plans").status_code == 200


OPEN_REDIRECTS = [
    "https://evil.example/",
    "//evil.example/",
    "https:evil.example",
    "https://shop.test@evil.example/",
    "https://shop.test.evil.example/",
    "https://evil.example/shop.test",
    "https://evil.example\\@shop.test/",
    "https://shop.test\\.evil.example/",
    "javascript://shop.test/%0aalert(1)",
    "data:text/html,shop.test",
    "http://shop.test/",
    "https://shop.test:444/",
    "https://shop.test#@evil.example\r\nX: y",
    " https://shop.test/",
    "https://shop.test%2eevil.example/",
    "https://shop。test/",
    "/\\evil.example",
    "https://[::1",
]


class TestReturnUrls:
    @pytest.mark.parametrize("url", OPEN_REDIRECTS)
    def test_lead_nowhere_else(self, shop, stripe, ada, url):
        problem = refused(shop.checkout(ada.pk, success_url=url), 400, "validation_error")
        assert [each["field"] for each in problem["errors"]] == ["success_url"]
        refused(shop.checkout(ada.pk, cancel_url=url), 400, "validation_error")
        refused(shop.post("portal-sessions", user_id=ada.pk, return_url=url), 400, "validation_error")
        assert stripe.count("checkout.session") == 0

    def test_on_the_list(self, shop, ada, settings):
        settings.BILLING_RETURN_HOSTS = ["shop.test", "localhost:3000", "127.0.0.1"]
        good = "https://shop.test/thanks?session={CHECKOUT_SESSION_ID}#top"
        for cancel_url in ("http://localhost:3000/", "http://127.0.0.1:8000/demo"):
            assert shop.checkout(ada.pk, success_url=good, cancel_url=cancel_url).status_code == 201
        refused(shop.checkout(ada.pk, success_url="http://localhost:3001/"), 400, "validation_error")


class TestPortal:
    def test_opens(self, shop, stripe, ada):
        answer = shop.post("portal-sessions", user_id=ada.pk, return_url=RETURN)
        assert answer.status_code == 201
        assert answer.json()["url"].startswith(stripe.url)


class TestPaymentMethods:
    def test_stored_listed_made_default_and_removed(self, shop, stripe, ada, bob):
        card = shop.store_card(stripe, ada.pk)
        carry_out(stripe.events())
        listed = shop.get("payment-methods", user_id=ada.pk).json()["results"]
        assert listed == [
            {"id": card, "brand": "visa", "last4": "4242", "exp_month": listed[0]["exp_month"],
             "exp_year": listed[0]["exp_year"], "default": False},
        ]  # fmt: skip
        chosen = shop.post(f"payment-methods/{card}/default", user_id=ada.pk)
        assert chosen.json() == {**listed[0], "default": True, "open_invoices": []}
        assert shop.get("payment-methods", user_id=ada.pk).json()["results"][0]["default"] is True
        shop.store_card(stripe, bob.pk)
        for stranger in (bob.pk, uuid4()):
            refused(shop.delete(f"payment-methods/{card}", user_id=stranger), 404, "not_found")
            refused(shop.post(f"payment-methods/{card}/default", user_id=stranger), 404, "not_found")
        assert shop.delete(f"payment-methods/{card}", user_id=ada.pk).status_code == 204
        assert shop.get("payment-methods", user_id=ada.pk).json()["results"] == []
        refused(shop.delete(f"payment-methods/{card}", user_id=ada.pk), 404, "not_found")


class TestSubscribing:
    def test_with_a_stored_card(self, shop, stripe, ada):
        card = shop.store_card(stripe, ada.pk)
        begun = shop.post("subscriptions", user_id=ada.pk, plan="basic", payment_method=card)
        assert begun.status_code == 201, begun.content
        found = begun.json()
        assert (found["plan"], found["status"], found["cancel_at_period_end"]) == ("basic", "active", False)
        assert "client_secret" not in found
        assert "trial_end" not in found
        assert balance(shop, ada) == 200
        listed = shop.get("subscriptions", user_id=ada.pk).json()["results"]
        assert [(one["id"], one["status"]) for one in listed] == [(found["id"], "active")]
        refused(
            shop.post("subscriptions", user_id=ada.pk, plan="pro", payment_method=card),
            409,
            "already_subscribed",
        )
        carry_out(stripe.events())
        assert balance(shop, ada) == 200

    def test_a_trial(self, shop, stripe, ada, bob):
        refused(shop.post("subscriptions", user_id=ada.pk, plan="pro"), 400, "payment_method_required")
        card = shop.store_card(stripe, ada.pk)
        begun = shop.post("subscriptions", user_id=ada.pk, plan="pro", payment_method=card).json()
        assert begun["status"] == "trialing"
        assert begun["trial_end"] == begun["current_period_end"]
        assert balance(shop, ada) == 50
        same_card = shop.store_card(stripe, bob.pk)
        refused(
            shop.post("subscriptions", user_id=bob.pk, plan="pro", payment_method=same_card),
            409,
            "trial_used",
        )
        assert shop.get("trial-eligibility", user_id=bob.pk).json()["eligible"]
        paid = shop.post("subscriptions", user_id=bob.pk, plan="pro", payment_method=same_card, trial=False)
        assert paid.json()["status"] == "active"
        shop.post(f"subscriptions/{begun['id']}/cancel", user_id=ada.pk, at_period_end=False)
        assert shop.get("trial-eligibility", user_id=ada.pk).json()["reason"] == "trial_used"
        refused(
            shop.post("subscriptions", user_id=ada.pk, plan="pro", payment_method=card), 409, "trial_used"
        )

    def test_a_declined_card_leaves_nothing_and_costs_no_trial(self, shop, stripe, ada):
        card = shop.store_card(stripe, ada.pk, "pm_card_chargeCustomerFail")
        answer = shop.post("subscriptions", user_id=ada.pk, plan="basic", payment_method=card, key="k")
        refused(answer, 402, "payment_failed")
        assert balance(shop, ada) == 0
        assert shop.get("status", user_id=ada.pk).json()["account_status"] == "none"
        stripe.break_card(card, None)
        again = shop.post("subscriptions", user_id=ada.pk, plan="basic", payment_method=card, key="k")
        assert again.json()["status"] == "active"
        assert [one["status"] for one in stripe.objects("subscription") if one["status"] == "active"]

    def test_three_d_secure(self, shop, stripe, ada):
        card = shop.store_card(stripe, ada.pk, "pm_card_authenticationRequired")
        begun = shop.post("subscriptions", user_id=ada.pk, plan="basic", payment_method=card).json()
        assert begun["status"] == "incomplete"
        intent = begun["client_secret"].partition("_secret_")[0]
        assert balance(shop, ada) == 0
        stripe.authenticate(intent)
        carry_out(stripe.events())
        assert shop.get("status", user_id=ada.pk).json()["account_status"] == "active"
        assert balance(shop, ada) == 200

    def test_without_a_card_it_waits_for_one(self, shop, stripe, ada):
        begun = shop.post("subscriptions", user_id=ada.pk, plan="basic").json()
        assert begun["status"] == "incomplete"
        stripe.confirm(begun["client_secret"].partition("_secret_")[0])
        carry_out(stripe.events())
        assert balance(shop, ada) == 200

    def test_refusals(self, shop, stripe, ada, bob, make_user):
        card = shop.store_card(stripe, bob.pk)
        shop.store_card(stripe, ada.pk)
        theirs = shop.post("subscriptions", user_id=ada.pk, plan="basic", payment_method=card)
        refused(theirs, 404, "not_found")
        refused(shop.post("subscriptions", user_id=ada.pk, plan="small"), 404, "plan_not_found")
        refused(shop.post("subscriptions", user_id=uuid4(), plan="basic"), 404, "user_not_found")
        suspended = make_user(status="suspended").pk
        refused(shop.post("subscriptions", user_id=suspended, plan="basic"), 403, "account_suspended")
        assert stripe.count("subscription") == 0


class TestKeepingASubscription:
    @pytest.fixture
    def subscription(self, shop, stripe, ada) -> str:
        card = shop.store_card(stripe, ada.pk)
        begun = shop.post("subscriptions", user_id=ada.pk, plan="basic", payment_method=card)
        return str(begun.json()["id"])

    def test_changed_without_proration(self, shop, stripe, ada, subscription):
        wish = {"user_id": ada.pk, "plan": "pro", "when": "period_end"}
        changed = shop.post(f"subscriptions/{subscription}/change", key="k", **wish)
        assert (changed.status_code, changed.json()["plan"]) == (200, "basic")
        assert changed.json()["next_plan"] == "pro"
        again = shop.post(f"subscriptions/{subscription}/change", key="k", **wish)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert balance(shop, ada) == 200
        stripe.renew(subscription)
        carry_out(stripe.events())
        grants = Payment.objects.filter(user=ada.pk, granted_by__isnull=False).values_list(
            "credits", flat=True
        )
        assert set(grants) == {200, 1000}
        assert len(grants) == 2

    def test_cancelled_with_the_period_and_resumed(self, shop, stripe, ada, subscription):
        ending = shop.post(f"subscriptions/{subscription}/cancel", user_id=ada.pk).json()
        assert (ending["status"], ending["cancel_at_period_end"]) == ("active", True)
        resumed = shop.post(f"subscriptions/{subscription}/resume", user_id=ada.pk).json()
        assert resumed["cancel_at_period_end"] is False
        assert BillingAccount.objects.get(pk=ada.pk).cancel_at_period_end is False

    def test_cancelled_at_once(self, shop, ada, subscription):
        for _ in range(2):
            ended = shop.post(f"subscriptions/{subscription}/cancel", user_id=ada.pk, at_period_end=False)
            assert ended.json()["status"] == "canceled"
        assert shop.get("status", user_id=ada.pk).json()["account_status"] == "canceled"
        refused(shop.post(f"subscriptions/{subscription}/resume", user_id=ada.pk), 400, "billing_rejected")

    def test_another_users_is_unknown(self, shop, stripe, bob, subscription):
        shop.store_card(stripe, bob.pk)
        for verb, more in (("cancel", {}), ("resume", {}), ("change", {"plan": "pro"})):
            for stranger, code in ((bob.pk, "not_found"), (uuid4(), None)):
                answer = shop.post(f"subscriptions/{subscription}/{verb}", user_id=stranger, **more)
                assert answer.status_code == 404
                assert code is None or answer.json()["code"] == code
        assert stripe.objects("subscription")[0]["cancel_at_period_end"] is False

    def test_invoices(self, shop, stripe, ada, bob, subscription):
        carry_out(stripe.events())
        (invoice,) = shop.get("invoices", user_id=ada.pk).json()["results"]
        assert (invoice["status"], invoice["amount_paid"], invoice["currency"]) == ("paid", 900, "eur")
        assert invoice["amount_due"] == 0
        assert invoice.keys() == {
            "id", "number", "status", "amount_paid", "amount_due", "currency", "created_at", "hosted_url", "pdf_url",
        }  # fmt: skip
        assert shop.get("invoices", user_id=bob.pk).json()["results"] == []
        refused(shop.get("invoices", user_id=uuid4()), 404, "user_not_found")


def test_twins_in_parallel_make_one_object(shop, stripe, ada):
    card = shop.store_card(stripe, ada.pk)
    answers = []

    def subscribe() -> None:
        answers.append(
            shop.post("subscriptions", user_id=ada.pk, plan="basic", payment_method=card, key="one")
        )
        connection.close()

    threads = [Thread(target=subscribe) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    assert len(set(made)) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert stripe.count("subscription") == 1
    assert Request.objects.filter(operation="subscribe").count() == 1


def test_different_keys_in_parallel_make_one_subscription(shop, stripe, ada):
    card = shop.store_card(stripe, ada.pk)
    answers = []

    def subscribe() -> None:
        answers.append(shop.post("subscriptions", user_id=ada.pk, plan="basic", payment_method=card))
        connection.close()

    threads = [Thread(target=subscribe) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers].count(201) == 1
    assert stripe.count("subscription") == 1
    assert CustomerLink.objects.count() == 1


def test_mails_and_events_of_a_subscription(shop, stripe, ada, mailoutbox):
    card = shop.store_card(stripe, ada.pk)
    begun = shop.post("subscriptions", user_id=ada.pk, plan="basic", payment_method=card).json()
    carry_out(stripe.events())
    row = mirror.payment_methods(CustomerLink.objects.get().customer).get()
    expiry = date(row.stripe_data["card"]["exp_year"], row.stripe_data["card"]["exp_month"], 1)
    for _ in range(2):
        expiring_cards.tell(expiry)
    seen = {event["id"] for event in stripe.events()}
    stripe.renew(begun["id"])
    carry_out(one for one in stripe.events() if one["id"] not in seen)
    shop.post(f"subscriptions/{begun['id']}/cancel", user_id=ada.pk)
    stripe.refund(stripe.objects("charge")[-1]["id"])
    carry_out(stripe.events("refund.created"))
    assert [mail.subject for mail in mailoutbox] == [
        "Thank you for your purchase",
        "Your card is about to expire",
        "Your subscription was renewed",
        "Your subscription ends",
        "Your payment was refunded",
    ]
    assert "9.00 EUR" in mailoutbox[0].body
    told = ServiceEvent.objects.exclude(type__startswith="credits.").order_by("id")
    assert list(told.values_list("type", flat=True)) == [
        "billing.status_changed", "subscription.created", "purchase.completed", "card.expiring",
        "subscription.renewed", "subscription.changed", "purchase.refunded",
    ]  # fmt: skip

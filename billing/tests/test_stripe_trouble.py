"""Stripe in trouble: a 503 before it answers, nothing half done; the same call with the same key leaves one object."""

import time
from datetime import timedelta
from threading import Thread
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from billing.models import CustomerLink, Request, RequestAttempt
from billing.shop.requests import STRIPE_REMEMBERS
from billing.tests.calls import RETURN, Shop, refused
from billing.tests.conftest import carry_out
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

SILENCE = 30  # seconds: far more than anybody waits for Stripe (test_gateway.py says how long)
FAULTS = {
    "500": {"status": 500},
    "500 that is not kept": {"status": 500, "stored": False},
    "500 after it was done": {"status": 500, "committed": True},
    "429": {"status": 429},
    "cut off after it was done": {"cut": True},
    "refused connection": {"refuse": True},
    "black hole": {"black_hole": True, "delay": SILENCE},
    "slow, 30 s": {"delay": SILENCE},
    "late, 30 s after it was done": {"late": SILENCE},
}


@pytest.fixture
def ada(make_user):
    return make_user()


@pytest.fixture(params=FAULTS)
def fault(request):
    return FAULTS[request.param]


def unavailable_before_stripe_answers(call) -> None:
    began = time.monotonic()
    answer = call()
    refused(answer, 503, "billing_unavailable")
    assert answer.headers["Retry-After"]
    assert time.monotonic() - began < SILENCE


URLS = {"success_url": RETURN, "cancel_url": RETURN}
CALLS = {
    "checkout.session": ("/v1/checkout/sessions", "checkout-sessions", {"plan": "small", **URLS}),
    "subscription": ("/v1/subscriptions", "subscriptions", {"plan": "basic"}),
}


@pytest.mark.parametrize("made", CALLS)
def test_a_repeat_leaves_one_object(shop, stripe, ada, fault, made):
    shop.store_card(stripe, ada.pk)
    path, endpoint, fields = CALLS[made]

    def call():
        return shop.post(endpoint, user_id=ada.pk, key="k", **fields)

    stripe.fault(path=path, method="POST", **fault)
    unavailable_before_stripe_answers(call)
    stripe.clear_faults()
    again = call()
    assert again.status_code == 201, again.content
    assert call().json() == again.json()
    assert stripe.count(made) == 1
    assert Request.objects.filter(key="k").count() == 1


@pytest.mark.parametrize(
    "fault", ["500", "500 after it was done", "cut off after it was done", "429"], indirect=True
)
def test_one_customer(shop, stripe, ada, fault):
    stripe.settings(search_lag=60)
    stripe.fault(path="/v1/customers", method="POST", **fault)
    first = shop.post("setup-intents", user_id=ada.pk, key="k")
    assert first.status_code in {201, 503}
    assert shop.post("setup-intents", user_id=ada.pk, key="k").status_code == 201
    assert stripe.count("customer") == stripe.count("setup_intent") == CustomerLink.objects.count() == 1


def test_after_a_day_what_was_made_is_looked_for(shop, stripe, ada):
    stripe.fault(path="/v1/checkout/sessions", method="POST", cut=True)
    refused(shop.checkout(ada.pk, key="k"), 503, "billing_unavailable")
    RequestAttempt.objects.update(started_at=timezone.now() - 2 * STRIPE_REMEMBERS)
    assert shop.checkout(ada.pk, key="k").status_code == 201
    assert stripe.count("checkout.session") == 1
    assert RequestAttempt.objects.count() == 2


def test_a_worker_that_died_keeps_its_twin_waiting_no_longer_than_its_lease(shop, stripe, ada):
    assert shop.checkout(ada.pk, key="k").status_code == 201
    Request.objects.update(status=None, answer=None, leased_until=timezone.now() + timedelta(hours=1))
    refused(shop.checkout(ada.pk, key="k"), 409, "idempotency_in_progress")
    Request.objects.update(leased_until=timezone.now())
    assert shop.checkout(ada.pk, key="k").status_code == 201
    assert stripe.count("checkout.session") == 1


def test_an_open_call_is_not_taken_over_by_another(shop, stripe, ada):
    stripe.fault(path="/v1/checkout/sessions", method="POST", cut=True)
    refused(shop.checkout(ada.pk, key="k"), 503, "billing_unavailable")
    refused(shop.checkout(ada.pk, "large", key="k"), 422, "idempotency_key_reused")


def test_reads_answer_from_the_mirror(shop, stripe, ada):
    card = shop.store_card(stripe, ada.pk)
    shop.post("subscriptions", user_id=ada.pk, plan="basic", payment_method=card)
    session = shop.checkout(ada.pk).json()["id"]
    stripe.pay_checkout(session)
    carry_out(stripe.events())
    stripe.fault(black_hole=True, delay=SILENCE, times=1000)
    for path in ("payment-methods", "subscriptions", "invoices"):
        assert len(shop.get(path, user_id=ada.pk).json()["results"]) == 1
    for path in ("status", "trial-eligibility"):
        assert shop.get(path, user_id=ada.pk).status_code == 200
    assert shop.get("plans").status_code == 200
    assert [fault["used"] for fault in stripe.faults()] == [0]
    began = time.monotonic()
    seen = shop.get(f"checkout-sessions/{session}", user_id=ada.pk)
    assert (seen.status_code, seen.json()["status"], seen.json()["credited"]) == (200, "complete", True)
    assert time.monotonic() - began < SILENCE
    unavailable_before_stripe_answers(lambda: shop.delete(f"payment-methods/{card}", user_id=ada.pk))


def test_others_are_unaffected(shop, stripe, ada, internal, service_key):
    headers = {"X-API-Key": service_key("studio")}
    stripe.fault(black_hole=True, delay=SILENCE, times=100)

    def wait_for_stripe() -> None:
        shop.checkout(ada.pk)
        connection.close()

    waiting = [Thread(target=wait_for_stripe) for _ in range(3)]
    for thread in waiting:
        thread.start()
    eventually(lambda: stripe.faults()[0]["used"], "a call to Stripe")
    for _ in range(5):
        answer = internal.get("/v1/credits/balance", {"user_id": ada.pk}, headers=headers)
        assert answer.status_code == 200
    assert any(thread.is_alive() for thread in waiting)
    for thread in waiting:
        thread.join()


def test_without_stripe_there_is_a_503_and_reads_go_on(internal, service_key, ada, settings, plans):
    settings.BILLING_RETURN_HOSTS = ["shop.test"]
    shop = Shop(internal, service_key(f"shop-{uuid4().hex[:6]}"))
    refused(shop.checkout(ada.pk), 503, "billing_unavailable")
    assert shop.get("status", user_id=ada.pk).json()["account_status"] == "none"


def test_answers_are_sealed_in_the_database(shop, ada):
    answer = shop.post("setup-intents", user_id=ada.pk).json()
    stored = str(Request.objects.get().answer)
    assert stored.startswith("sealed1:")
    assert answer["client_secret"] not in stored


def test_a_look_up_whose_payment_cannot_be_read_says_that_it_is_not_credited_yet(shop, stripe, ada):
    session = shop.checkout(ada.pk).json()["id"]
    stripe.pay_checkout(session)
    stripe.fault(path="/v1/payment_intents.*", status=503, times=1)
    for credited in (False, True):
        seen = shop.get(f"checkout-sessions/{session}", user_id=ada.pk)
        assert (seen.status_code, seen.json().get("credited")) == (200, credited)

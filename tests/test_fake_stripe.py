"""The fake Stripe, driven by Stripe's own SDK: what a client may rely on."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from tests.fake_stripe.control import Control
from tests.fake_stripe.kinds import API_VERSION
from tests.fake_stripe.stories import client

DAY = 86_400


@pytest.fixture
def sdk(fake_stripe: Control) -> Any:
    return client(fake_stripe).v1


@pytest.fixture
def customer(sdk: Any) -> Any:
    """With a card that works, as the default."""
    made = sdk.customers.create({"email": "ada@example.com", "metadata": {"user_id": "7"}})
    card = sdk.payment_methods.attach("pm_card_visa", {"customer": made.id})
    return sdk.customers.update(made.id, {"invoice_settings": {"default_payment_method": card.id}})


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


def error_of(refused: stripe.StripeError) -> Any:
    """The envelope as it was sent."""
    return json.loads(str(refused.http_body))["error"]


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


class TestIdempotency:
    def test_the_same_key_makes_one_object(self, sdk, fake_stripe):
        first, again = (
            sdk.customers.create({"email": "a@example.com"}, {"idempotency_key": "one"}) for _ in range(2)
        )
        assert first.id == again.id
        assert fake_stripe.count("customer") == 1
        assert again.last_response.headers["idempotent-replayed"] == "true"
        assert again.last_response.headers["original-request"] == first.last_response.request_id

    def test_with_other_parameters_it_is_refused(self, sdk):
        sdk.customers.create({"email": "a@example.com"}, {"idempotency_key": "one"})
        with pytest.raises(stripe.IdempotencyError):
            sdk.customers.create({"email": "b@example.com"}, {"idempotency_key": "one"})

    def test_a_decline_is_kept(self, sdk, fake_stripe, customer):
        params = {
            "amount": 500,
            "currency": "eur",
            "payment_method": "pm_card_chargeCustomerFail",
            "confirm": True,
            "payment_method_types": ["card"],
        }
        found = []
        for _ in range(2):
            with pytest.raises(stripe.CardError) as refused:
                sdk.payment_intents.create(params, {"idempotency_key": "one"})
            found.append(error_of(refused.value)["payment_intent"]["id"])
        assert found[0] == found[1]
        assert fake_stripe.count("charge") == 1

    def test_a_500_is_kept_and_a_429_is_not(self, sdk, fake_stripe):
        fake_stripe.fault(status=500)
        for _ in range(2):
            with pytest.raises(stripe.APIError):
                sdk.customers.create({}, {"idempotency_key": "one"})
        fake_stripe.fault(status=429)
        with pytest.raises(stripe.RateLimitError):
            sdk.customers.create({}, {"idempotency_key": "two"})
        sdk.customers.create({}, {"idempotency_key": "two"})
        assert fake_stripe.count("customer") == 1

    def test_wrong_parameters_do_not_use_it_up(self, sdk):
        with pytest.raises(stripe.InvalidRequestError):
            sdk.customers.create({"emial": "x"}, {"idempotency_key": "one"})
        sdk.customers.create({"email": "x"}, {"idempotency_key": "one"})

    def test_two_at_once_conflict(self, sdk, fake_stripe):
        fake_stripe.fault(delay=1.0)
        options: Any = {"idempotency_key": "one"}
        slow = threading.Thread(target=sdk.customers.create, args=({}, options))
        slow.start()
        while not any(line["used"] for line in fake_stripe.faults()):
            pass
        with pytest.raises(stripe.StripeError) as refused:
            sdk.customers.create({}, options)
        slow.join()
        assert refused.value.http_status == 409
        assert error_of(refused.value)["code"] == "idempotency_key_in_use"
        assert fake_stripe.count("customer") == 1

    def test_is_forgotten_after_a_day(self, sdk, fake_stripe):
        sdk.customers.create({}, {"idempotency_key": "one"})
        fake_stripe.advance(seconds=DAY)
        sdk.customers.create({}, {"idempotency_key": "one"})
        assert fake_stripe.count("customer") == 2


class TestFaults:
    def test_an_answer_cut_after_the_commit_is_repeated_by_the_key(self, sdk, fake_stripe):
        fake_stripe.fault(path="/v1/customers", cut=True)
        with pytest.raises(stripe.APIConnectionError):
            sdk.customers.create({}, {"idempotency_key": "one"})
        assert fake_stripe.count("customer") == 1
        sdk.customers.create({}, {"idempotency_key": "one"})
        assert fake_stripe.count("customer") == 1

    def test_a_black_hole_does_nothing_and_never_answers(self, fake_stripe):
        fake_stripe.fault(black_hole=True)
        impatient = client(fake_stripe, http_client=stripe.RequestsClient(timeout=0.3))
        with pytest.raises(stripe.APIConnectionError):
            impatient.v1.customers.create({})
        assert fake_stripe.count("customer") == 0
        impatient.v1.customers.create({})

    def test_a_failure_may_come_after_the_commit(self, sdk, fake_stripe):
        fake_stripe.fault(status=500, committed=True)
        with pytest.raises(stripe.APIError):
            sdk.customers.create({})
        assert fake_stripe.count("customer") == 1

    def test_only_the_named_path_and_only_so_often(self, sdk, fake_stripe):
        fake_stripe.fault(path="/v1/refunds", status=503, times=2)
        sdk.customers.create({})
        for _ in range(2):
            with pytest.raises(stripe.APIError):
                sdk.refunds.list()
        assert sdk.refunds.list().data == []


class TestRequests:
    @pytest.mark.parametrize(
        ("params", "code", "param"),
        [
            ({"sucess_url": "https://x.test"}, "parameter_unknown", "sucess_url"),
            ({"line_items": [{"prise": "p"}]}, "parameter_unknown", "line_items[0][prise]"),
            (
                {"line_items": [{"price": "p", "quantity": "two"}]},
                "parameter_invalid_integer",
                "line_items[0][quantity]",
            ),
            ({"mode": "pay"}, None, "mode"),
            ({"customer": "cus_nobody", "mode": "setup", "success_url": "x"}, "resource_missing", "customer"),
            ({"mode": "setup", "success_url": "x", "ui_mode": "elements"}, "fake_unsupported", "ui_mode"),
            ({"mode": "setup", "success_url": "x", "expand": ["nothing"]}, None, "expand"),
        ],
    )
    def test_are_checked(self, sdk, fake_stripe, params, code, param):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            sdk.checkout.sessions.create(params)
        assert (refused.value.code, refused.value.param) == (code, param)

    def test_need_a_key_and_a_known_version(self, fake_stripe):
        for key, version in (("pk_live_1", API_VERSION), ("sk_test_1", "2024-06-20")):
            other = stripe.StripeClient(
                key, stripe_version=version, base_addresses={"api": fake_stripe.url}, max_network_retries=0
            )
            with pytest.raises((stripe.AuthenticationError, stripe.InvalidRequestError)):
                other.v1.customers.list()

    def test_a_missing_object_is_a_404(self, sdk):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            sdk.invoices.retrieve("in_nothing")
        assert refused.value.http_status == 404

    def test_no_more_than_four_levels_are_expanded(self, sdk, customer):
        subscribe(sdk, customer)
        with pytest.raises(stripe.InvalidRequestError, match="4 levels"):
            sdk.subscriptions.list({"expand": ["data.items.data.price.product"]})


class TestLists:
    def test_pages_follow_one_another(self, sdk):
        made = [sdk.customers.create({"description": str(number)}).id for number in range(7)]
        listed = sdk.customers.list({"limit": 3})
        assert listed.has_more
        assert [one.id for one in listed.auto_paging_iter()] == made[::-1]
        before = sdk.customers.list({"limit": 2, "ending_before": made[2]})
        assert [one.id for one in before.data] == [made[4], made[3]]

    def test_search_by_metadata_lags_as_told(self, sdk, fake_stripe, customer):
        query = {"query": "metadata['user_id']:'7' AND email:'ada@example.com'"}
        assert [one.id for one in sdk.customers.search(query).data] == [customer.id]
        fake_stripe.settings(search_lag=60)
        assert sdk.customers.search(query).data == []

    def test_events_by_type_and_time(self, sdk, fake_stripe, customer):
        buy_pack(sdk, fake_stripe, customer)
        found = sdk.events.list({"types": ["checkout.session.completed", "charge.*"]}).data
        assert {one.type for one in found} == {"checkout.session.completed", "charge.succeeded"}
        assert sdk.events.list({"created": {"gt": found[0].created + 5}}).data == []


class Receiver(BaseHTTPRequestHandler):
    """Takes what the fake sends; `answers` are the statuses to give, 200 after them."""

    answers: list[int]
    taken: list[tuple[bytes, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.answers.pop(0) if self.answers else 200
        self.taken.append((body, self.headers["Stripe-Signature"]))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """The test reads `taken`."""


@pytest.fixture
def receiver(fake_stripe: Control) -> Iterator[type[Receiver]]:
    class Own(Receiver):
        answers: list[int] = []
        taken: list[tuple[bytes, str]] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), Own) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        fake_stripe.webhook_to(f"http://127.0.0.1:{server.server_address[1]}/hook")
        yield Own
        server.shutdown()


class TestWebhooks:
    def events(self, fake_stripe: Control, receiver: type[Receiver]) -> list[Any]:
        assert fake_stripe.settle()
        secret = fake_stripe.webhook_secret
        return [stripe.Webhook.construct_event(body, header, secret) for body, header in receiver.taken]

    def test_are_signed_as_the_sdk_checks_it(self, sdk, fake_stripe, receiver):
        made = sdk.customers.create({}, {"idempotency_key": "mine"})
        (event,) = self.events(fake_stripe, receiver)
        assert (event.type, event.data.object.id) == ("customer.created", made.id)
        assert (event.api_version, event["request"]["idempotency_key"]) == (API_VERSION, "mine")
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(receiver.taken[0][0], receiver.taken[0][1], "whsec_other")

    def test_are_tried_again_until_taken(self, sdk, fake_stripe, receiver):
        receiver.answers[:] = [500, 503]
        fake_stripe.webhooks(retries=[0.01, 0.01])
        sdk.customers.create({})
        assert len({event.id for event in self.events(fake_stripe, receiver)}) == 1
        assert [line["status"] for line in fake_stripe.deliveries()] == [500, 503, 200]
        assert sdk.events.list({"delivery_success": True}).data

    def test_are_held_shuffled_and_repeated(self, sdk, fake_stripe, receiver):
        fake_stripe.webhooks(hold=True)
        for _ in range(6):
            sdk.customers.create({})
        made = [event["id"] for event in fake_stripe.events()]
        assert self.events(fake_stripe, receiver) == []
        assert fake_stripe.release(order="shuffled", repeated=0.5, seed=3) == 9
        got = [event.id for event in self.events(fake_stripe, receiver)]
        assert set(got) == set(made)
        assert len(got) == 9
        assert list(dict.fromkeys(got)) != made

    def test_are_lost_or_sent_twice(self, sdk, fake_stripe, receiver):
        fake_stripe.webhooks(drop=1, copies=2)
        first, second = sdk.customers.create({}), sdk.customers.create({})
        got = [event.data.object.id for event in self.events(fake_stripe, receiver)]
        assert got == [second.id, second.id]
        lost = fake_stripe.events()[0]
        assert lost["data"]["object"]["id"] == first.id
        assert fake_stripe.deliver(lost["id"]) == [200]

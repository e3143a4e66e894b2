"""The fake Stripe as a server: idempotency keys, faults, checked parameters, lists, webhooks."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from tests.fake_stripe.control import Control
from tests.fake_stripe.kinds import API_VERSION
from tests.fake_stripe.stories import client, person

DAY = 86_400


@pytest.fixture
def sdk(fake_stripe: Control) -> Any:
    return client(fake_stripe).v1


@pytest.fixture
def customer(fake_stripe: Control, sdk: Any) -> Any:
    return sdk.customers.retrieve(person(client(fake_stripe)))


def error_of(refused: stripe.StripeError) -> Any:
    """The envelope as it was sent."""
    return json.loads(str(refused.http_body))["error"]


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
        fake_stripe.fault(delay=60)
        options: Any = {"idempotency_key": "one"}
        slow = threading.Thread(target=sdk.customers.create, args=({}, options))
        slow.start()
        while not any(line["used"] for line in fake_stripe.faults()):
            pass
        with pytest.raises(stripe.StripeError) as refused:
            sdk.customers.create({}, options)
        fake_stripe.clear_faults()
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

    def test_a_black_hole_does_nothing_and_never_answers(self, sdk, fake_stripe):
        fake_stripe.fault(black_hole=True)
        impatient = client(fake_stripe, http_client=stripe.RequestsClient(timeout=0.3))
        with pytest.raises(stripe.APIConnectionError):
            impatient.v1.customers.create({})
        assert fake_stripe.count("customer") == 0
        sdk.customers.create({})

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
            (
                {"customer": "cus_nobody", "mode": "setup", "success_url": "https://x.test"},
                "resource_missing",
                "customer",
            ),
            (
                {"mode": "setup", "success_url": "https://x.test", "ui_mode": "elements"},
                "fake_unsupported",
                "ui_mode",
            ),
            ({"mode": "setup", "success_url": "https://x.test", "expand": ["nothing"]}, None, "expand"),
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
        sdk.subscriptions.create({"customer": customer.id, "items": [{"price": "price_sub_basic"}]})
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
        intent = {"amount": 500, "currency": "eur", "customer": customer.id, "confirm": True}
        sdk.payment_intents.create({**intent, "payment_method": "pm_card_visa"})
        found = sdk.events.list({"types": ["payment_intent.created", "charge.*"]}).data
        assert {one.type for one in found} == {"payment_intent.created", "charge.succeeded"}
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

    def test_a_test_may_post_them_itself(self, sdk, fake_stripe):
        sdk.customers.create({})
        body, header = fake_stripe.signed(fake_stripe.events()[0])
        assert (
            stripe.Webhook.construct_event(body, header, fake_stripe.webhook_secret).type
            == "customer.created"
        )
        old = fake_stripe.signed(fake_stripe.events()[0], at=1)[1]
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body, old, fake_stripe.webhook_secret)

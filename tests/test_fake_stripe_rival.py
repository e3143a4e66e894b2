"""The fake Stripe and localstripe, which others wrote: where both have a thing, they agree on it.

localstripe has neither prices nor idempotency keys nor today's invoices, so this is about cards and payments.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from free_ports import free_port
from tests.fake_stripe.control import Control

# Its own start() listens on every interface and keeps its state in a file.
SERVE = """
import sys
from aiohttp import web
from localstripe.resources import Store
Store.dump_to_disk = lambda self: None
from localstripe.server import app
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""


@pytest.fixture(scope="module")
def localstripe() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-c", SERVE, str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_for(port: int) -> None:
    for _ in range(1200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


@pytest.fixture(params=["ours", "localstripe"])
def api(request: pytest.FixtureRequest) -> Any:
    """The same client on one and on the other."""
    if request.param == "ours":
        fake: Control = request.getfixturevalue("fake_stripe")
        bases: Any = {"api": fake.url}
    else:
        bases = {"api": request.getfixturevalue("localstripe")}
    return stripe.StripeClient("sk_test_12345", base_addresses=bases, max_network_retries=0).v1


@pytest.fixture
def customer(api: Any) -> Any:
    return api.customers.create({"email": "ada@example.com", "metadata": {"user_id": "7"}})


def card(api: Any, number: str) -> Any:
    details = {"number": number, "exp_month": 12, "exp_year": 2035, "cvc": "123"}
    return api.payment_methods.create({"type": "card", "card": details})


def pay(api: Any, customer: Any, method: Any) -> Any:
    params = {"amount": 500, "currency": "eur", "customer": customer.id}
    return api.payment_intents.create({**params, "payment_method": method.id, "confirm": True})


def test_a_customer_comes_back_as_made(api, customer):
    found = api.customers.retrieve(customer.id)
    assert (found.email, found.metadata["user_id"]) == ("ada@example.com", "7")


def test_unknown_parameters_and_objects_are_refused(api):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.customers.create({"emial": "x"})
    assert refused.value.http_status == 400
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.customers.retrieve("cus_nobody")
    assert refused.value.http_status == 404


def test_a_card_is_attached_listed_and_detached(api, customer):
    made = api.payment_methods.attach(card(api, "4242424242424242").id, {"customer": customer.id})
    assert (made.card.brand, made.card.last4) == ("visa", "4242")
    assert [one.id for one in api.payment_methods.list({"customer": customer.id, "type": "card"})] == [
        made.id
    ]
    assert api.payment_methods.detach(made.id).customer is None


def test_this_card_is_declined_when_it_is_attached(api, customer):
    with pytest.raises(stripe.CardError) as refused:
        api.payment_methods.attach(card(api, "4000000000000002").id, {"customer": customer.id})
    assert (refused.value.http_status, refused.value.code) == (402, "card_declined")


def test_this_one_only_when_it_is_charged(api, customer):
    made = api.payment_methods.attach(card(api, "4000000000000341").id, {"customer": customer.id})
    with pytest.raises(stripe.CardError) as refused:
        pay(api, customer, made)
    assert (refused.value.http_status, refused.value.code) == (402, "card_declined")


def test_a_payment_and_a_part_of_it_back(api, customer):
    made = api.payment_methods.attach(card(api, "4242424242424242").id, {"customer": customer.id})
    intent = pay(api, customer, made)
    assert (intent.status, intent.amount) == ("succeeded", 500)
    refund = api.refunds.create({"payment_intent": intent.id, "amount": 100})
    assert (refund.status, refund.amount) == ("succeeded", 100)


def test_a_setup_intent_waits_for_a_card(api, customer):
    made = api.setup_intents.create({"customer": customer.id})
    assert made.status == "requires_payment_method"
    assert made.client_secret.startswith("seti_")

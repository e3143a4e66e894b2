"""The fake Stripe's pages, as a person in a browser goes through them."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.fake_stripe import stories
from tests.fake_stripe.control import Control


@pytest.fixture
def browser(fake_stripe: Control) -> Any:
    with httpx.Client(base_url=fake_stripe.url) as client:
        yield client


@pytest.fixture
def session(fake_stripe: Control) -> Any:
    return stories.client(fake_stripe).v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [{"price": "price_pack_small", "quantity": 1}],
            "success_url": "https://shop.test/done?id={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://shop.test/basket",
        }
    )


def path_of(url: str) -> str:
    return urlsplit(url).path


class TestCheckout:
    def test_pays_and_leads_back(self, fake_stripe, browser, session):
        page = browser.get(path_of(session.url))
        assert "5.00 EUR" in page.text
        paid = browser.post(path_of(session.url), data={"card": "pm_card_visa"})
        assert (paid.status_code, paid.headers["location"]) == (
            303,
            f"https://shop.test/done?id={session.id}",
        )
        assert fake_stripe.objects("checkout.session")[0]["payment_status"] == "paid"
        assert browser.get(path_of(session.url)).status_code == 410

    def test_a_decline_stays_on_the_page(self, fake_stripe, browser, session):
        refused = browser.post(path_of(session.url), data={"card": "pm_card_chargeDeclinedInsufficientFunds"})
        assert "insufficient funds" in refused.text
        assert fake_stripe.objects("checkout.session")[0]["status"] == "open"

    def test_cancel_leads_to_the_other_address(self, browser, session):
        left = browser.post(path_of(session.url), data={"action": "cancel"})
        assert left.headers["location"] == "https://shop.test/basket"

    @pytest.mark.parametrize(("answer", "status"), [("yes", "complete"), ("no", "open")])
    def test_3d_secure_asks_first(self, fake_stripe, browser, session, answer, status):
        asked = browser.post(path_of(session.url), data={"card": "pm_card_threeDSecure2Required"})
        challenge = asked.headers["location"]
        assert "Your bank asks" in browser.get(challenge).text
        after = browser.post(challenge, data={"answer": answer}).headers["location"]
        assert fake_stripe.objects("checkout.session")[0]["status"] == status
        assert after.startswith("https://shop.test/done" if answer == "yes" else "/c/pay/")


class TestPortal:
    def test_cancels_takes_back_and_removes_a_card(self, fake_stripe, browser):
        sdk = stories.client(fake_stripe)
        customer = stories.person(sdk)
        made = sdk.v1.subscriptions.create({"customer": customer, "items": [{"price": "price_sub_basic"}]})
        portal = sdk.v1.billing_portal.sessions.create(
            {"customer": customer, "return_url": "https://shop.test/"}
        )
        here = path_of(portal.url)
        assert "https://shop.test/" in browser.get(here).text
        for action, ends in (("cancel", True), ("resume", False)):
            browser.post(here, data={"action": action, "id": made.id})
            found = sdk.v1.subscriptions.retrieve(made.id)
            assert (found.cancel_at_period_end, found.cancel_at is not None) == (False, ends)
        card = sdk.v1.payment_methods.list({"customer": customer}).data[0]
        browser.post(here, data={"action": "detach", "id": card.id})
        assert sdk.v1.payment_methods.list({"customer": customer}).data == []

    def test_another_customers_card_is_not_there(self, fake_stripe, browser):
        sdk = stories.client(fake_stripe)
        stories.person(sdk)
        card = fake_stripe.objects("payment_method")[0]["id"]
        stranger = sdk.v1.customers.create({})
        portal = sdk.v1.billing_portal.sessions.create({"customer": stranger.id})
        refused = browser.post(path_of(portal.url), data={"action": "detach", "id": card})
        assert refused.status_code == 404
        assert fake_stripe.objects("payment_method")[0]["customer"] is not None

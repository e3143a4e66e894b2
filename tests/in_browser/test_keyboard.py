"""Staff do their work without a mouse: nothing is out of reach, nothing holds the focus, and it is always seen."""

import re
from typing import Any

import pytest
from django.conf import settings

from accounts.models import Session, User
from billing.models import Payment, RefundRequest
from credits.models import AdjustmentRequest
from tests.fixtures import staff_session
from tests.in_browser.chromium import NEEDED, WIDTHS, opened_page
from tests.in_browser.keyboard import Keyboard

pytestmark = NEEDED
REACHED = {
    "the first page": "/admin/",
    "a list": "/admin/accounts/outboxmessage/",
    "a user": "/admin/accounts/user/{user}/change/",
    "an order": "/admin/credits/usercredit/{user}/adjust/",
}


@pytest.fixture
def keyboard(browser: Any, cookies: list[Any]) -> Keyboard:
    return Keyboard(opened_page(browser, cookies, []))


@pytest.fixture
def second(browser: Any, server: str, make_user: Any) -> Keyboard:
    """The admin in the hands of another superuser."""
    client = staff_session(make_user("second@example.com", is_staff=True, is_superuser=True))
    name = settings.SESSION_COOKIE_NAME
    cookie = {"name": name, "value": client.cookies[name].value, "url": server}
    return Keyboard(opened_page(browser, [cookie], []))


@pytest.mark.parametrize("name", REACHED)
def test_all_of_a_page_is_reached_and_nothing_holds_the_focus(keyboard, server, ada, name) -> None:
    keyboard.page.goto(server + REACHED[name].format(user=ada.pk))
    there, missed = keyboard.walk()
    assert len(there) > 35
    assert missed == []


def test_a_phone_has_its_menu(browser, cookies, server, ada) -> None:
    keyboard = Keyboard(opened_page(browser, cookies, [], width=WIDTHS["phone"]))
    keyboard.page.goto(f"{server}/admin/")
    keyboard.use("Show or hide the menu")
    keyboard.page.wait_for_function("document.activeElement.closest('#nav-sidebar')")
    keyboard.use("Payments")
    keyboard.page.wait_for_url("**/admin/billing/payment/")


def test_the_first_stop_leads_past_the_menu(keyboard, server, ada) -> None:
    keyboard.page.goto(f"{server}/admin/")
    keyboard.skip()
    stop = keyboard.tab()
    assert stop is not None
    assert stop["in"] == "content"


def test_menus_are_opened_by_enter_and_left_by_escape(keyboard, server, ada, boss) -> None:
    keyboard.page.goto(f"{server}/admin/accounts/outboxmessage/")
    keyboard.use("Filters")
    keyboard.page.wait_for_function("document.activeElement.closest('#changelist-filter')")
    keyboard.press("Escape")
    keyboard.page.wait_for_selector("#changelist-filter", state="hidden")
    assert keyboard.focused() == "Filters"
    keyboard.use(boss.email)
    keyboard.page.wait_for_function("document.activeElement.innerText.includes('Light')")
    keyboard.use("Dark")
    keyboard.page.wait_for_selector("html.dark")
    keyboard.press("Escape")
    keyboard.page.wait_for_selector("#logout-form", state="hidden")
    assert boss.email in keyboard.focused()


def test_a_user_is_found_and_signed_out_everywhere(keyboard, server, ada) -> None:
    keyboard.page.goto(f"{server}/admin/")
    keyboard.skip()
    keyboard.fill("Find a user", "lovelace")
    keyboard.press("Enter")
    keyboard.page.wait_for_url("**/accounts/user/?q=lovelace")
    keyboard.skip()
    keyboard.use(ada.email)
    keyboard.page.wait_for_url(f"**/{ada.pk}/change/**")
    keyboard.skip()
    keyboard.use("Sign out everywhere")
    keyboard.page.wait_for_url("**/sign-out")
    keyboard.skip()
    keyboard.fill("Reason", "lost the phone")
    keyboard.use("End all sessions")
    keyboard.page.wait_for_url(f"**/{ada.pk}/change/**")
    assert not Session.objects.filter(user=ada, ended_at=None).exists()


def test_an_adjustment_is_asked_for_and_approved_by_another(keyboard, second, server, ada) -> None:
    AdjustmentRequest.objects.all().delete()
    keyboard.page.goto(f"{server}/admin/credits/usercredit/{ada.pk}/change/")
    keyboard.skip()
    keyboard.use("Adjust…")
    keyboard.page.wait_for_url("**/adjust/")
    keyboard.skip()
    keyboard.fill("Amount", str(2 * settings.CREDITS_APPROVAL_LIMIT))
    keyboard.fill("Reason", "a long outage")
    keyboard.use("Continue")
    keyboard.page.wait_for_selector("text=needs a second approver")
    keyboard.use("Ask for approval")
    keyboard.page.wait_for_url(re.compile("usercredit/.*/change/"))
    asked = AdjustmentRequest.objects.get()
    assert asked.decision == "pending"

    second.page.goto(f"{server}/admin/")
    second.skip()
    second.use("Adjustments to approve")
    second.page.wait_for_url("**/adjustmentrequest/**")
    second.page.goto(f"{server}/admin/credits/adjustmentrequest/{asked.pk}/change/")
    second.skip()
    second.use("Approve and post")
    second.page.wait_for_selector("text=Approved and posted")
    asked.refresh_from_db()
    assert asked.decision == "approved"


def test_a_refund_is_asked_for_and_declined_by_another(keyboard, second, server, ada, settings) -> None:
    settings.REFUND_APPROVAL_LIMIT = 0
    payment = Payment.objects.latest("paid_at")
    keyboard.page.goto(f"{server}/admin/billing/payment/{payment.pk}/change/")
    keyboard.skip()
    keyboard.use("Refund…")
    keyboard.page.wait_for_url("**/order/refund/")
    keyboard.skip()
    keyboard.fill("Amount in EUR", "1.50")
    keyboard.fill("Reason", "it did not work")
    keyboard.use("Refund")
    keyboard.page.wait_for_selector("text=needs a second approver")
    asked = RefundRequest.objects.get()
    assert (asked.amount, asked.decision) == (150, "pending")

    second.page.goto(f"{server}/admin/billing/refundrequest/{asked.pk}/change/")
    second.skip()
    second.use("Decline")
    second.page.wait_for_selector("text=Nothing was refunded")
    asked.refresh_from_db()
    assert asked.decision == "refused"


def test_signing_in_begins_at_the_first_field(browser, server, boss: User) -> None:
    keyboard = Keyboard(opened_page(browser, [], []))
    keyboard.page.goto(f"{server}/admin/login/")
    there, missed = keyboard.walk()
    assert len(there) >= 3
    assert missed == []

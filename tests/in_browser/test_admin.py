"""Staff get along with the admin in Chromium, on a phone too."""

import re
from typing import Any

from django.contrib import admin

from accounts.models import ServiceKey, Session, User
from accounts.sign_in import staff_enrolment
from config import admin_navigation
from tests.authenticators import code_of
from tests.fixtures import PASSWORD
from tests.in_browser.chromium import NEEDED, WIDTHS, opened_page

pytestmark = NEEDED


def test_the_side_names_every_list_once(boss) -> None:
    named = [model for models in admin_navigation.GROUPS.values() for model in models]
    assert sorted(named) == sorted(model._meta.label for model in admin.site._registry)


def test_no_address_and_no_long_name_is_cut_on_a_phone(browser, server, ada, cookies) -> None:
    User.objects.filter(pk=ada.pk).update(display_name="Wilhelmina " * 9)
    complaints: list[str] = []
    page = opened_page(browser, cookies, complaints, width=WIDTHS["phone"])
    for path in ("accounts/user", "accounts/session", "credits/credittransaction", "billing/payment"):
        page.goto(f"{server}/admin/{path}/")
        cut = page.evaluate(
            """[...document.querySelectorAll("#result_list td, #result_list th")]
                .filter(cell => cell.getBoundingClientRect().right > innerWidth
                    || cell.scrollWidth > cell.clientWidth + 1 || cell.scrollHeight > cell.clientHeight + 1)
                .map(cell => cell.innerText)"""
        )
        assert cut == [], path


def test_support_helps_a_user_on_a_phone(browser, server, ada, cookies) -> None:
    """Finds the user by part of the address, signs them out, and reads who did it."""
    complaints: list[str] = []
    page = opened_page(browser, cookies, complaints, width=WIDTHS["phone"])
    page.goto(f"{server}/admin/")
    page.fill("[type=search][name=q]", "lovelace")
    page.click("text=Find")
    page.click("#result_list a")
    page.wait_for_url(re.compile(str(ada.pk)))
    page.click("text=Sign out everywhere…")
    page.click("text=End all sessions")
    assert Session.objects.filter(user=ada, ended_at=None).count() == 4  # the browser asks for the reason
    page.fill("#id_reason", "lost the phone")
    page.click("text=End all sessions")
    page.wait_for_url(re.compile("change"))
    assert not Session.objects.filter(user=ada, ended_at=None).exists()
    assert "lost the phone" in page.inner_text("body")
    assert complaints == []


def click_twice(page: Any, button: str) -> None:
    """As fast as people do it, while the first answer is on its way."""
    page.eval_on_selector(button, "one => { one.click(); setTimeout(() => one.click(), 20); }")


def test_a_secret_that_is_shown_once_survives_a_double_click(browser, server, boss, cookies) -> None:
    """The browser would show the second answer, which says that the form was sent before."""
    page = opened_page(browser, cookies, [])
    page.goto(f"{server}/admin/accounts/servicekey/new/")
    page.fill("#id_service", "shop")
    page.check("input[name=scopes] >> nth=0")
    page.fill("#id_reason", "a new shop")
    click_twice(page, "form button.main")
    page.wait_for_selector("#key")
    assert ServiceKey.objects.filter(service__name="shop").count() == 1


def test_so_do_the_recovery_codes_of_staff(browser, server, make_user) -> None:
    clerk = make_user("clerk@example.com", is_staff=True)
    page = opened_page(browser, [], [])
    _, _, query = staff_enrolment.make_link(clerk, actor="test").partition("?")
    page.goto(f"{server}/admin/enrol/?{query}")
    page.fill("#password", PASSWORD)
    page.click("text=Continue")
    page.fill("#code", code_of(page.inner_text("#secret").strip()))
    click_twice(page, "form button")
    page.wait_for_selector("#codes")
    page.click("text=Continue to the admin")
    page.wait_for_url("**/admin/")

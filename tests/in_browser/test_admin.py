"""Staff get along with the admin in Chromium, on a phone too."""

import re

from django.contrib import admin

from accounts.models import Session
from config import admin_navigation
from tests.in_browser.chromium import NEEDED, WIDTHS, opened_page

pytestmark = NEEDED


def test_the_side_names_every_list_once(boss) -> None:
    named = [model for models in admin_navigation.GROUPS.values() for model in models]
    assert sorted(named) == sorted(model._meta.label for model in admin.site._registry)


def test_no_address_is_cut_on_a_phone(browser, server, ada, cookies) -> None:
    complaints: list[str] = []
    page = opened_page(browser, cookies, complaints, width=WIDTHS["phone"])
    for path in ("accounts/user", "accounts/session", "credits/credittransaction", "billing/payment"):
        page.goto(f"{server}/admin/{path}/")
        cut = page.evaluate(
            """[...document.querySelectorAll("#result_list td, #result_list th")]
                .filter(cell => cell.getBoundingClientRect().right > innerWidth
                    || cell.scrollWidth > cell.clientWidth + 1)
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

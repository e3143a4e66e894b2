"""Every page of the admin and every page for people, as wide as a desk and as a phone, in light and dark.

Each fits, nothing is blocked, and axe-core finds nothing that is critical, serious or moderate: it is asked about each
page on a desk, and about the first ones on a phone. Which pages there are is read from the admin's routes, so that a
new one is among them.

`script/pictures --pages` keeps pictures of all pages in var/pictures/pages.
"""

import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin

import pictures
from accounts.models import User
from accounts.sign_in import staff_enrolment
from tests.fixtures import PASSWORD, give_app, staff_session
from tests.in_browser.accessibility import Findings, look
from tests.in_browser.admin_pages import addresses
from tests.in_browser.chromium import NEEDED, WIDTHS, opened_page

pytestmark = NEEDED
EDITABLE = {
    "admin/billing/plan/add/",
    "admin/credits/featureprice/add/",
    "admin/credits/featureprice/<path:object_id>/delete/",
}
SOME = 12  # pages that axe is asked about on a phone: what it says hardly depends on the width
LANDMARKS = ("region", "landmark-one-main")  # a mail is shown inside another page


def is_page(name: str) -> bool:
    """Rows are not added, deleted or decided by opening a page; the bare address of a row leads to its page."""
    return name in EDITABLE or not re.search(r"/(add|delete|decide)/$|/<path:object_id>/$|^admin/r/", name)


def test_every_route_of_the_admin_is_a_page_or_is_known_to_be_none(everything: User, boss: User) -> None:
    client = staff_session(boss)
    answers: dict[str, Any] = {name: client.get(path) for name, path in addresses(everything).items()}
    shown = {
        name for name, one in answers.items()
        if one.status_code == 200 and one.headers["Content-Type"].startswith("text/html")
    }  # fmt: skip
    assert shown == {name for name in answers if is_page(name)}
    lists = [f"admin/{model._meta.app_label}/{model._meta.model_name}/" for model in admin.site._registry]
    assert len(lists) > 30
    for end in ("", "<path:object_id>/change/", "<path:object_id>/history/"):
        assert {f"{one}{end}" for one in lists} <= shown


@pytest.mark.parametrize("half", [0, 1])
def test_every_page_fits_and_nothing_complains(browser, server, everything, cookies, half) -> None:
    complaints: list[str] = []
    page = opened_page(browser, cookies, complaints)
    found = Findings()
    pages = {name: path for name, path in addresses(everything).items() if is_page(name)}
    histories = [name for name in pages if name.endswith("/history/")][1:]  # one template for all of them
    for name in [one for one in pages if one not in histories][half::2]:
        answer = page.goto(f"{server}{pages[name]}")
        assert answer.status == 200, name
        asked_at = WIDTHS if found.looked_at < SOME else ["desk"]
        look(page, name, found, whole=name == "admin/", asked_at=asked_at)
    assert found.looked_at > 45
    assert not found, str(found)
    assert complaints == []


def test_every_step_of_signing_in(browser, server, boss, make_user) -> None:
    """The password, also a wrong one, the second step, and the first factor from its link to the codes."""
    staff = make_user("staff@example.com", is_staff=True, is_superuser=True)
    link = staff_enrolment.make_link(staff, actor="test").removeprefix(settings.ADMIN_BASE_URL)
    found = Findings()
    page = opened_page(browser, [], [])

    def see(name: str) -> None:
        look(page, f"sign-in-{name}", found)

    page.goto(f"{server}{link}")
    see("enrol-password")
    page.fill("[name=password]", PASSWORD)
    send(page)
    see("enrol-secret")
    page.fill("[name=code]", "000000")
    send(page)
    see("enrol-wrong")
    give_app(staff)
    page.goto(f"{server}/admin/login/")
    see("password")
    page.fill("[name=username]", staff.email)
    page.fill("[name=password]", "wrong")
    send(page)
    see("password-wrong")
    page.fill("[name=username]", staff.email)
    page.fill("[name=password]", PASSWORD)
    send(page)
    see("factor")
    page.fill("[name=code]", "000000")
    send(page)
    see("factor-wrong")
    assert page.url.endswith("/admin/factor/")
    assert not found, str(found)


def test_what_orders_answer(browser, server, everything, cookies) -> None:
    """A form that was refused, a page to confirm, a secret that is shown once, and a list without rows."""
    found = Findings()
    page = opened_page(browser, cookies, [])
    page.goto(f"{server}/admin/credits/usercredit/{everything.pk}/adjust/")
    page.fill("[name=amount]", "0")
    page.fill("[name=reason]", "why")
    send(page)
    look(page, "answer-refused", found)
    page.fill("[name=amount]", "50")
    send(page)
    look(page, "answer-confirm", found)
    page.goto(f"{server}/admin/accounts/servicekey/new/")
    page.fill("[name=service]", "pictures")
    page.check("[name=scopes] >> nth=0")
    page.fill("[name=reason]", "why")
    send(page)
    look(page, "answer-secret", found)
    assert "shown" in page.inner_text("body")
    page.goto(f"{server}/admin/accounts/user/?q=nobody.at.all")
    look(page, "answer-nobody", found)
    assert not found, str(found)


@pytest.mark.parametrize(("kind", "least"), [("mails", 40), ("pages", 15)])
def test_every_mail_and_page_for_people(browser, kind, least) -> None:
    texts = [*getattr(pictures, kind)("en")]
    page = opened_page(browser, [], [])
    found = Findings()
    for number, text in enumerate(texts):
        page.set_content(text)
        name = f"{kind}-{number:02}-{page.title()}"
        look(page, name, found, without=LANDMARKS if kind == "mails" else ())
    assert len(texts) > least
    assert not found, str(found)


def test_the_demo_and_the_list_of_problems(browser, public_server) -> None:
    """/demo for someone who is not signed in, then with all that it hides until then."""
    page = opened_page(browser, [], [])
    found = Findings()
    page.goto(f"{public_server}/docs/problems")
    look(page, "problems", found)
    page.goto(f"{public_server}/demo")
    page.wait_for_selector("#nobody:not([hidden])")
    look(page, "demo", found)
    page.evaluate("() => document.querySelectorAll('[hidden]').forEach((one) => (one.hidden = false))")
    look(page, "demo-whole", found)
    assert not found, str(found)


def send(page: Any) -> None:
    """Send the form of the page, and wait for the answer."""
    with page.expect_navigation():
        page.click("#content form [type=submit], .login form [type=submit]")

"""The admin in Chromium, as wide as a desk and as a phone: every page fits, nothing is blocked, and staff get along.

`ADMIN_PICTURES=1 script/test tests/test_admin_in_browser.py` keeps pictures of all pages in var/pictures/admin.
"""

import os
import re
import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib import admin
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.test import override_settings
from django.utils import timezone

from accounts.models import (
    AuditEvent,
    EventDelivery,
    EventSubscription,
    OutboxMessage,
    ServiceEvent,
    Session,
    User,
)
from accounts.service_keys import issuing
from accounts.upkeep import days, staff_roles
from billing.models import BillingAccount, CustomerChange, CustomerLink, InboxEvent, Payment, Plan
from config import admin_navigation
from credits import adjustments, ledger
from credits import days as credit_days
from credits.ledger.calls import Call
from credits.models import AdjustmentRequest, CreditTransaction, FeaturePrice, Hold
from tests.fixtures import give_app, issue_access_token, staff_session

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
WIDTHS = {"desk": 1280, "phone": 390}
SCRIPT = "<script>alert(1)</script>"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


class Handler(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """The admin listener in this process; its address."""
    middleware = settings.MIDDLEWARE_BY_LISTENER["admin"]
    with override_settings(ROOT_URLCONF="config.urls.admin", MIDDLEWARE=middleware):
        http = ThreadedWSGIServer(("127.0.0.1", 0), Handler, connections_override={})
        http.daemon_threads = True
        http.set_app(get_wsgi_application())
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        http.server_close()
        thread.join()


@pytest.fixture
def boss() -> User:
    staff_roles.sync()
    return User.objects.create_superuser("boss@example.com")


@pytest.fixture
def ada(boss: User) -> User:
    """Somebody with something of everything."""
    user: User = User.objects.create_user(
        "ada.lovelace.with.a.rather.long.address@analytical-engines.example",
        display_name=f"Ada {SCRIPT}",
        email_verified_at=timezone.now(),
    )
    for number in range(4):
        issue_access_token(
            user, user_agent=f"{SCRIPT} Mozilla/5.0 (X11; Linux x86_64) {number}", ip="198.51.100.7"
        )
    give_app(user)
    for number in range(6):
        ledger.add(
            user_id=user.pk,
            amount=1000 * (number + 1),
            call=Call(service="shop", description=f"pack {number} {SCRIPT}"),
        )
        ledger.use(user_id=user.pk, amount=300, call=Call(service="images", key=f"k{number}"))
    ledger.hold(
        user_id=user.pk, amount=50, lifetime=timedelta(hours=1), call=Call(service="images", key="hold")
    )
    FeaturePrice.objects.create(feature="image.1024", credits=12)
    clerk = User.objects.create_user("clerk@example.com", is_staff=True)
    adjustments.request(
        request_id=uuid4(),
        user_id=user.pk,
        amount=2 * settings.CREDITS_APPROVAL_LIMIT,
        reason=SCRIPT,
        staff_id=clerk.pk,
    )
    for type_ in ("registered", "signed_in", "sign_in_failed", "email_verified", "suspended", "reactivated"):
        AuditEvent.objects.create(
            user=user, type=type_, ip="198.51.100.7", detail={"reason": f"because {SCRIPT}"}
        )
    now = timezone.now()
    OutboxMessage.objects.create(kind="new_device", user=user, sent_at=now, attempts=1)
    OutboxMessage.objects.create(
        kind="verify_email", user=user, dead_at=now, attempts=8, last_error="550 no such user"
    )
    OutboxMessage.objects.create(kind="purchase", user=user)
    event = ServiceEvent.objects.create(type="user.registered", user_id=user.pk, position=1)
    subscription = EventSubscription.objects.create(name="shop", url="https://shop.example/events")
    EventDelivery.objects.create(
        event=event, subscription=subscription, user_id=user.pk, position=1, dead_at=now, last_error="503"
    )
    issuing.create(service="images", scopes=["credits:use"], actor="test")
    sell(user)
    days.summarize()
    credit_days.summarize()
    return user


def sell(user: User) -> None:
    """A subscription that is paid, with a refund, and an event of Stripe that was given up."""
    now = timezone.now()
    plan = Plan.objects.create(
        code="basic", name="Basic", kind="subscription", credits=1000, amount=990, currency="eur",
        interval="month", stripe_price="price_basic",
    )  # fmt: skip
    BillingAccount.objects.create(
        user=user,
        status="active",
        subscription="sub_1",
        plan=plan,
        current_period_end=now + timedelta(days=9),
    )
    CustomerLink.objects.create(user=user, customer="cus_1")
    for number, kept in enumerate((990, 490, 990)):
        Payment.objects.create(
            id=f"in_1QvXyzRatherLongIdOfStripe{number}", user=user, settled_at=now, kind="subscription", plan=plan,
            quantity=1, credits=1000, paid=990, kept=kept, currency="eur", paid_at=now - timedelta(days=number),
        )  # fmt: skip
    InboxEvent.objects.create(
        event_id="evt_1QvXyzRatherLongIdOfStripe", type="customer.subscription.updated", created=now, livemode=False,
        customer="cus_1", body="{}", attempts=9, dead_at=now, last_error="Unsettleable unknown_price",
    )  # fmt: skip
    CustomerChange.objects.create(user=user, kind="email")


@pytest.fixture
def cookies(boss: User, server: str) -> list[Any]:
    client = staff_session(boss)
    return [
        {
            "name": settings.SESSION_COOKIE_NAME,
            "value": client.cookies[settings.SESSION_COOKIE_NAME].value,
            "url": server,
        }
    ]


def pages_of(user: User) -> dict[str, str]:
    """Every page of the admin by the name of its picture."""
    of_user = f"/admin/accounts/user/{user.pk}"
    credit = f"/admin/credits/usercredit/{user.pk}"
    row = CreditTransaction.objects.filter(holder_id=user.pk).first()
    session = Session.objects.filter(user=user).first()
    subscription, payment = EventSubscription.objects.get(), Payment.objects.latest("paid_at")
    assert row is not None
    assert session is not None
    audit, mail, hold = (
        AuditEvent.objects.latest("pk"),
        OutboxMessage.objects.latest("created_at"),
        Hold.objects.get(kind="hold"),
    )
    asked = AdjustmentRequest.objects.get()
    lists = {
        f"list-{model._meta.model_name}": f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        for model in admin.site._registry
    }
    return {
        "first-page": "/admin/",
        "user": f"{of_user}/change/",
        "user-suspend": f"{of_user}/suspend",
        "user-sign-out": f"{of_user}/sign-out",
        "user-end-session": f"{of_user}/end-session/{session.pk}",
        "user-mail-reset": f"{of_user}/mail-reset",
        "user-remove-factors": f"{of_user}/remove-factors",
        "user-roles": f"{of_user}/roles",
        "user-search": "/admin/accounts/user/?q=lovelace",
        "session": f"/admin/accounts/session/{session.pk}/change/",
        "credits-of-user": f"{credit}/change/",
        "credits-adjust": f"{credit}/adjust/",
        "billing-of-user": f"/admin/billing/billingaccount/{user.pk}/change/",
        "transaction": f"/admin/credits/credittransaction/{row.pk}/change/",
        "subscription-pause": f"/admin/accounts/eventsubscription/order/pause?subscription={subscription.pk}",
        "subscription-rotate": f"/admin/accounts/eventsubscription/order/rotate?subscription={subscription.pk}",
        "subscription-new": "/admin/accounts/eventsubscription/new/",
        "payment": f"/admin/billing/payment/{payment.pk}/change/",
        "payment-refund": f"/admin/billing/payment/{payment.pk}/order/refund/",
        "event-replay": f"/admin/billing/inboxevent/{InboxEvent.objects.get().pk}/order/replay/",
        "audit-event": f"/admin/accounts/auditevent/{audit.pk}/change/",
        "mail": f"/admin/accounts/outboxmessage/{mail.pk}/change/",
        "hold": f"/admin/credits/hold/{hold.pk}/change/",
        "adjustment-to-approve": f"/admin/credits/adjustmentrequest/{asked.pk}/change/",
        "nothing-found": "/admin/accounts/user/?q=nobody.at.all",
        "key-new": "/admin/accounts/servicekey/new/",
        "price": "/admin/credits/featureprice/image.1024/change/",
        "price-remove": "/admin/credits/featureprice/image.1024/delete/",
        "plan-add": "/admin/billing/plan/add/",
        **lists,
    }


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    # Playwright's loop runs in this thread, and Django would take it for a coroutine that asks the database.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


def is_complaint(said: Any) -> bool:
    """The browser asks for an icon by itself; there is none."""
    return bool(said.type == "error") and not said.location.get("url", "").endswith("/favicon.ico")


def opened_page(browser: Any, cookies: list[Any], width: int, complaints: list[str]) -> Any:
    context = browser.new_context(viewport={"width": width, "height": 900})
    context.add_cookies(cookies)
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if is_complaint(said) else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    return page


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_and_nothing_complains(browser, server, ada, cookies, width) -> None:
    complaints: list[str] = []
    page = opened_page(browser, cookies, WIDTHS[width], complaints)
    too_wide = {}
    for name, path in pages_of(ada).items():
        answer = page.goto(f"{server}{path}")
        assert answer.status == 200, path
        reached = page.evaluate("document.documentElement.scrollWidth")
        if reached > WIDTHS[width]:
            too_wide[name] = reached
        if "ADMIN_PICTURES" in os.environ:
            page.screenshot(path=picture(name, width), full_page=True)
    assert too_wide == {}
    assert complaints == []


def test_the_side_names_every_list_once(boss) -> None:
    named = [model for models in admin_navigation.GROUPS.values() for model in models]
    assert sorted(named) == sorted(model._meta.label for model in admin.site._registry)


def test_no_address_is_cut_on_a_phone(browser, server, ada, cookies) -> None:
    complaints: list[str] = []
    page = opened_page(browser, cookies, WIDTHS["phone"], complaints)
    for path in ("accounts/user", "accounts/session", "credits/credittransaction", "billing/payment"):
        page.goto(f"{server}/admin/{path}/")
        cut = page.evaluate(
            """[...document.querySelectorAll("#result_list td, #result_list th")]
                .filter(cell => cell.getBoundingClientRect().right > innerWidth
                    || cell.scrollWidth > cell.clientWidth + 1)
                .map(cell => cell.innerText)"""
        )
        assert cut == [], path


def picture(name: str, width: str) -> Path:
    directory = Path(settings.BASE_DIR) / "var" / "pictures" / "admin"
    directory.mkdir(parents=True, exist_ok=True)
    return directory / f"{name}-{width}.png"


def test_support_helps_a_user_on_a_phone(browser, server, ada, cookies) -> None:
    """Finds the user by part of the address, signs them out, and reads who did it."""
    complaints: list[str] = []
    page = opened_page(browser, cookies, WIDTHS["phone"], complaints)
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

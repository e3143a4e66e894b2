"""A member of staff at the admin in Chromium: the listener in this process, rows of everything, one browser for all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.test import override_settings
from django.utils import timezone

from accounts.models import (
    AddressChange,
    AuditEvent,
    EventDelivery,
    EventSubscription,
    FactorReset,
    MailToken,
    OutboxMessage,
    PendingRegistration,
    ServiceEvent,
    SigningKeyUse,
    User,
)
from accounts.service_keys import issuing
from accounts.upkeep import days, staff_roles
from billing.models import (
    BillingAccount,
    CustomerChange,
    CustomerLink,
    InboxEvent,
    Payment,
    PaymentLine,
    Plan,
    RefundRequest,
    StrangerPayment,
)
from credits import adjustments, ledger
from credits import days as credit_days
from credits.ledger.calls import Call
from credits.models import FeaturePrice
from tests.fixtures import give_app, issue_access_token, staff_session
from tests.in_browser.chromium import chromium

SCRIPT = "<script>alert(1)</script>"


class Handler(WSGIRequestHandler):
    disable_nagle_algorithm = True  # the pieces of an answer would wait for late ACKs

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def served(listener: str, urlconf: str, **changed: Any) -> Iterator[str]:
    """A listener in this process; its address, by a name that browsers keep passkeys and cookies for."""
    middleware = settings.MIDDLEWARE_BY_LISTENER[listener]
    with override_settings(ROOT_URLCONF=urlconf, MIDDLEWARE=middleware, **changed):
        http = ThreadedWSGIServer(("127.0.0.1", 0), Handler, connections_override={})
        http.daemon_threads = True
        http.set_app(get_wsgi_application())
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://localhost:{http.server_address[1]}"
        http.shutdown()
        http.server_close()
        thread.join()


@pytest.fixture
def server() -> Iterator[str]:
    """The address of the admin listener."""
    with served("admin", "config.urls.admin") as address:
        yield address


@pytest.fixture
def public_server() -> Iterator[str]:
    """The address of the public listener, with /demo."""
    demo = settings.BASE_DIR / "config" / "demo" / "static"
    with served("public", "config.demo.urls", STATICFILES_DIRS=[demo]) as address:
        yield address


@pytest.fixture
def boss() -> User:
    staff_roles.sync()
    return User.objects.create_superuser("boss@example.com")


@pytest.fixture
def ada(boss: User) -> User:
    """Someone with something of everything."""
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
def everything(ada: User) -> User:
    """Someone with a row of every model that the admin shows."""
    now = timezone.now()
    later = now + timedelta(days=1)
    PendingRegistration.objects.create(user=ada, founding=True, display_name=f"Ada {SCRIPT}")
    MailToken.objects.create(
        user=ada, purpose="verify_email", email=str(ada.email), expires_at=later, code_expires_at=later
    )
    AddressChange.objects.create(user=ada, old_email="ada@old.example", new_email=str(ada.email))
    FactorReset.objects.create(user=ada, actor="staff", reason=SCRIPT, applies_at=later)
    SigningKeyUse.objects.create(ring="access", kid="a" * 43, last_signed_at=now)
    payment = Payment.objects.latest("paid_at")
    Payment.objects.update(subscription="sub_1")
    PaymentLine.objects.create(
        payment=payment, line="il_1", price="price_basic", kind="subscription", plan=payment.plan, credits=1000,
        due=990, covered=990,
    )  # fmt: skip
    clerk = User.objects.get(email="clerk@example.com")
    RefundRequest.objects.create(
        id=uuid4(), payment=payment, user=ada, kind="refund", at_stake=990, currency="eur", reason=SCRIPT,
        requested_by=clerk, decision="pending",
    )  # fmt: skip
    StrangerPayment.objects.create(
        id="in_1QvXyzOfAStranger", customer="cus_stranger", amount=990, currency="eur", paid_at=now
    )
    return ada


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


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with chromium(monkeypatch) as opened:
        yield opened

"""Mails each person who may approve a request, once, in their language; not who asked, nor whom it is for."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.mail import kinds
from accounts.models import OutboxMessage, User
from accounts.upkeep import staff_roles
from billing import refunds
from billing.models import Payment, Plan, RefundRequest
from credits import adjustments

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(make_user: Callable[..., User], settings: Any) -> dict[str, User]:
    settings.ADMIN_BASE_URL = "https://admin.test"
    settings.CREDITS_APPROVAL_LIMIT = settings.REFUND_APPROVAL_LIMIT = 100
    staff_roles.sync()
    made = {
        name: make_user(f"{name}@staff.example", is_staff=True) for name in ("asker", "finance", "support")
    }
    made["gone"] = make_user("gone@staff.example", is_staff=True, status=User.Status.SUSPENDED)
    made["boss"] = make_user("boss@staff.example", is_staff=True, is_superuser=True, locale="de")
    for name, role in {
        "asker": "finance",
        "finance": "finance",
        "gone": "finance",
        "support": "support",
    }.items():
        made[name].groups.set(Group.objects.filter(name=role))
    return made


def told(kind: str) -> list[str]:
    rows = OutboxMessage.objects.filter(kind=kind).order_by("requested_email")
    return list(rows.values_list("requested_email", flat=True))


def adjust(people: dict[str, User], user: User, amount: int, request_id: Any) -> Any:
    asked = {"request_id": request_id, "user_id": user.pk, "amount": amount, "reason": "a gift"}
    return adjustments.request(**asked, staff_id=people["asker"].pk)


def test_those_who_may_approve_an_adjustment_are_told_once(people, make_user) -> None:
    ada, request_id = make_user("ada@example.com"), uuid4()
    asked, _ = (adjust(people, ada, 25_000, request_id) for _ in range(2))
    assert told(kinds.ADJUSTMENT_WAITS) == ["boss@staff.example", "finance@staff.example"]
    to_boss = kinds.compose(OutboxMessage.objects.get(requested_email="boss@staff.example"))
    to_finance = kinds.compose(OutboxMessage.objects.get(requested_email="finance@staff.example"))
    assert to_boss is not None
    assert to_finance is not None
    assert to_boss.subject == "Eine Guthabenkorrektur braucht Ihre Zustimmung"
    assert "25.000" in to_boss.body
    assert "25,000 credits" in str(to_finance.body).replace("\n", " ")
    assert f"https://admin.test/admin/credits/adjustmentrequest/{asked.pk}/change/" in to_finance.body
    assert "ada@" not in to_finance.body


def test_within_the_limit_nobody_is_told(people, make_user) -> None:
    adjust(people, make_user("ada@example.com"), 100, uuid4())
    assert told(kinds.ADJUSTMENT_WAITS) == []


def test_whom_it_is_for_is_not_told(people) -> None:
    adjust(people, people["finance"], 25_000, uuid4())
    assert told(kinds.ADJUSTMENT_WAITS) == ["boss@staff.example"]


def test_those_who_may_approve_a_refund_are_told(people, make_user) -> None:
    ada = make_user("ada@example.com")
    plan = Plan.objects.create(code="pack", name="Pack", kind="pack", credits=1, amount=1990, currency="eur")
    payment = Payment.objects.create(
        id="pi_1", payment_intent="pi_1", user=ada, kind="pack", plan=plan, quantity=1, credits=1, paid=1990,
        kept=1990, currency="eur", paid_at=timezone.now(), settled_at=timezone.now(),
    )  # fmt: skip
    asked = refunds.request(
        request_id=uuid4(), payment=payment, kind=RefundRequest.Kind.REFUND, amount=None, reason="x",
        staff_id=people["asker"].pk,
    )  # fmt: skip
    assert told(kinds.REFUND_WAITS) == ["boss@staff.example", "finance@staff.example"]
    mail = kinds.compose(OutboxMessage.objects.get(requested_email="finance@staff.example"))
    assert mail is not None
    assert "19.90 EUR" in mail.body
    assert f"https://admin.test/admin/billing/refundrequest/{asked.pk}/change/" in mail.body

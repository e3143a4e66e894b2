"""Rows of billing are found by the beginning of an id of Stripe, each by an index."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from billing.admin import stripe_search
from billing.models import (
    BillingAccount,
    CustomerLink,
    InboxEvent,
    Payment,
    PaymentLine,
    Plan,
    StrangerPayment,
)
from credits.tests.admin_pages import page, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Any:
    return signed_in(User.objects.create_user("boss@example.test", is_staff=True, is_superuser=True))


@pytest.fixture
def sold(make_user: Callable[..., User]) -> User:
    """Someone's rows, and others whose ids begin almost so."""
    plan = Plan.objects.create(code="basic", name="Basic", kind="pack", credits=1, amount=1, currency="eur")
    for name in ("Ada", "Bob"):
        user = make_user(f"{name.lower()}@example.test")
        now = timezone.now()
        CustomerLink.objects.create(user=user, customer=f"cus_1Q{name}0000")
        BillingAccount.objects.create(user=user, status="active", subscription=f"sub_1Q{name}0000")
        payment = Payment.objects.create(
            id=f"in_1Q{name}0000", user=user, kind="pack", plan=plan, quantity=1, credits=1, paid=1, kept=1,
            currency="eur", payment_intent=f"pi_1Q{name}0000", subscription=f"sub_1Q{name}0000",
            settled_at=now, paid_at=now,
        )  # fmt: skip
        PaymentLine.objects.create(payment=payment, line="l", kind="pack", plan=plan, due=1)
        InboxEvent.objects.create(
            event_id=f"evt_1Q{name}0000", type="x", created=now, livemode=False, customer=f"cus_1Q{name}0000"
        )
        StrangerPayment.objects.create(
            id=f"ch_1Q{name}0000", customer=f"cus_1Q{name}x000", amount=1, currency="eur", paid_at=now
        )
    ada: User = User.objects.get(email="ada@example.test")
    return ada


@pytest.mark.parametrize(
    ("model", "term", "shown"),
    [
        ("payment", "in_1QAda", "in_1QAda0000"),
        ("payment", "pi_1QAda00", "in_1QAda0000"),
        ("payment", "sub_1QA", "in_1QAda0000"),
        ("payment", "cus_1QAda", "in_1QAda0000"),
        ("payment", "in_1QAda0000", "in_1QAda0000"),
        ("billingaccount", "sub_1QAda", "ada@example.test"),
        ("billingaccount", "cus_1QAda", "ada@example.test"),
        ("paymentline", "in_1QAda", "in_1QAda0000"),
        ("inboxevent", "evt_1QAda", "evt_1QAda0000"),
        ("inboxevent", "cus_1QAda", "evt_1QAda0000"),
        ("strangerpayment", "ch_1QAda", "ch_1QAda0000"),
        ("strangerpayment", "cus_1QAdax", "ch_1QAda0000"),
    ],
)
def test_a_beginning_finds_the_row_and_no_other(site, sold, model, term, shown) -> None:
    answer = page(site, f"/admin/billing/{model}/?q={term}")
    assert shown in answer
    assert shown.replace("Ada", "Bob").replace("ada", "bob") not in answer


@pytest.mark.parametrize("term", ["in_1q", "in_1QCarl", "in_1%", "in__QAda", "in_1QAda' OR 1=1", "_1QAda"])
def test_nothing_is_guessed(sold, term) -> None:
    assert stripe_search.keys(Payment.objects.all(), ("id", "payment_intent", "subscription"), term) == []


@pytest.mark.parametrize(
    ("model", "column"),
    [
        (Payment, "id"),
        (Payment, "payment_intent"),
        (Payment, "subscription"),
        (BillingAccount, "subscription"),
        (InboxEvent, "event_id"),
        (InboxEvent, "customer"),
        (StrangerPayment, "id"),
        (StrangerPayment, "customer"),
        (CustomerLink, "customer"),
    ],
)
def test_an_index_answers(model, column) -> None:
    rows = model.objects.filter(**{f"{column}__startswith": "in_1QAda"}).exclude(**{column: ""})
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = rows.order_by().values_list("pk").explain()
    assert "~>=~" in plan, plan

"""Billing on the admin's first page and on a user's page; its own pages have more."""

from datetime import date
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from accounts.admin.sections import Section, Table, link, listed, time
from accounts.models import User
from billing import money
from billing.admin import overview, user_page
from billing.models import BillingAccount, Payment

MOST_PAYMENTS = 10


def revenue(*, request: HttpRequest, today: date) -> Section:
    shown = overview.context(today)
    return Section(
        title="Revenue",
        figures=shown["figures"],
        plots=shown["plots"],
        links=[("Overview of revenue", reverse("admin:billing_revenue_changelist"))],
        wide=True,
    )


def of_user(*, request: HttpRequest, user: User) -> Section:
    shown = user_page.context(user)
    own_page = reverse("admin:billing_billingaccount_change", args=[user.pk])
    return Section(
        title="Subscription and payments",
        figures=_figures(shown["account"], shown),
        tables=[*_unpaid(shown["unpaid"]), _payments(shown["payments"][:MOST_PAYMENTS])],
        links=[
            ("All billing", own_page),
            ("All payments", listed("billing_payment", user=user.pk)),
        ],
        wide=True,
    )


def _figures(account: BillingAccount | None, shown: dict[str, Any]) -> dict[str, str]:
    following = (account.pending_plan or account.next_plan) if account else None
    return {
        "Status": account.get_status_display() if account else "none",
        "Plan": account.plan.name if account and account.plan else "none",
        **({"Next plan": following.name} if following else {}),
        shown["end_words"]: f"{shown['end']:%Y-%m-%d}" if shown["end"] else "",
        "Trial": str(shown["trial"]),
        "Stored cards": str(len(shown["cards"])),
    }


def _unpaid(invoices: list[dict[str, Any]]) -> list[Table]:
    if not invoices:
        return []
    rows = [
        (invoice["number"], invoice["status"], time(invoice["next_try"]) or "none", invoice["sum"])
        for invoice in invoices
    ]
    columns = ("Invoice", "Status", "Next try", "Unpaid")
    return [Table(title="Unpaid invoices", columns=columns, rows=rows, numbers=frozenset({"Unpaid"}))]


def _payments(payments: list[Payment]) -> Table:
    return Table(
        title="Payments",
        columns=("At", "Item", "Paid", "Net", "Credits"),
        rows=[
            (
                link(payment.paid_at or payment.created_at, "billing_payment_change", payment.pk),
                payment.plan.name if payment.plan else payment.kind,
                money.written(payment.paid or 0, payment.currency) if payment.currency else "not paid",
                money.written(payment.kept or 0, payment.currency) if payment.currency else "",
                f"{payment.credits or 0:,}",
            )
            for payment in payments
        ],
        numbers=frozenset({"Paid", "Net", "Credits"}),
    )

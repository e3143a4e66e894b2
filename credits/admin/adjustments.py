"""Adjusting a balance in the admin: a form, a page to confirm and, above the daily limit, a second person's page."""

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from accounts.admin.decisions import DecisionPages
from accounts.admin.orders import Given, Order, OrderForm, staff_id
from accounts.approvals import DecisionRefused
from accounts.kit.problems import Problem
from accounts.models import User
from credits import adjustments
from credits.admin.holds import LedgerForm
from credits.errors import explained
from credits.ledger import balance
from credits.models import LARGEST_AMOUNT, AdjustmentRequest


class AdjustmentForm(LedgerForm):
    """Checks the shape only."""

    amount = forms.IntegerField(
        min_value=-LARGEST_AMOUNT, max_value=LARGEST_AMOUNT, widget=UnfoldAdminIntegerFieldWidget,
        help_text="Whole credits: 50 adds fifty, -50 takes fifty.",
    )  # fmt: skip

    def clean_amount(self) -> int:
        amount: int = self.cleaned_data["amount"]
        if amount == 0:
            raise ValidationError("An adjustment of 0 changes nothing.")
        return amount


class AdjustmentOrder(Order):
    """Shows the form again for confirmation, and carries it out once it says `confirmed`."""

    def find(self, request: HttpRequest, **where: Any) -> User:
        found: User = get_object_or_404(User.objects.exclude(status=User.Status.DELETED), pk=where["user_id"])
        return found

    def is_ready(self, request: HttpRequest, subject: User) -> bool:
        return "confirmed" in request.POST

    def heading(self, subject: User) -> str:
        return f"{self.title} of {subject}"

    def back(self, subject: User) -> str:
        return reverse("admin:credits_usercredit_change", args=[subject.pk])

    def explain(self, refusal: Exception) -> str:
        return explained(refusal) if isinstance(refusal, Problem) else str(refusal)

    def context(self, request: HttpRequest, subject: User, form: OrderForm) -> dict[str, Any]:
        now, left = balance.current(subject.pk), adjustments.left_today(staff_id(request))
        asks = form.is_valid() and not self.is_ready(request, subject)
        amount = form.cleaned_data["amount"] if asks else 0
        return {
            "asks": asks,
            "now": now,
            "after": now.balance + amount,
            "left": left,
            "needs_second": abs(amount) > left,
            "too_much": -amount > now.available,
        }


def _adjust(given: Given) -> str | None:
    made = adjustments.request(
        user_id=given.subject.pk, staff_id=staff_id(given.request), request_id=given.form_id, **given.fields
    )
    if made.decision != AdjustmentRequest.Decision.PENDING:
        return f"Adjusted by {made.amount:+,} credits."
    told = f"{made.amount:+,} credits need a second approver: this exceeds your daily limit."
    messages.warning(given.request, told)
    return None


ORDERS = {
    "adjust": AdjustmentOrder(
        title="Adjust credits",
        permission="credits.adjust_credits",
        template="admin/credits/usercredit/adjust.html",
        path="<id:user_id>/adjust/",
        name="credits_adjust",
        form=AdjustmentForm,
        refusals=(Problem, DecisionRefused),
        asks_others=True,
        carry_out=_adjust,
    )
}


class AdjustmentDecisions(DecisionPages):
    """The page on which a request for an adjustment is decided."""

    decision_title, decision_permission = "Adjustment", "credits.approve_adjustment"
    decision_template, decision_url = "admin/credits/adjustmentrequest/page.html", "credits_decide"

    def explain_problem(self, problem: Problem) -> str:
        return explained(problem)

    def approve(self, request_id: uuid.UUID, staff_id: uuid.UUID) -> str:
        row = adjustments.approve(request_id=request_id, staff_id=staff_id)
        return f"Approved and posted: {row.amount:+,} credits, the balance is {row.balance:,}."

    def refuse(self, request_id: uuid.UUID, staff_id: uuid.UUID) -> str:
        adjustments.refuse(request_id=request_id, staff_id=staff_id)
        return "Declined. The balance is unchanged."

    def decision_context(self, asked: AdjustmentRequest) -> dict[str, Any]:
        is_there = asked.user.status != User.Status.DELETED
        return {"now": balance.current(asked.user_id) if is_there else None}

"""Adjusting a balance in the admin: a form, a page to confirm, and, above the day's limit, a second person's page."""

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from accounts.admin.orders import staff_id
from accounts.kit.problems import Problem
from accounts.models import User
from credits import adjustments
from credits.adjustments import DecisionRefused
from credits.errors import explained
from credits.ledger import balance
from credits.models import AdjustmentRequest

LARGEST = 10**12


class AdjustmentForm(forms.Form):
    """Shape only. `request_id` is made with the form and makes it count once, however often it is sent."""

    amount = forms.IntegerField(
        min_value=-LARGEST, max_value=LARGEST, widget=UnfoldAdminIntegerFieldWidget,
        help_text="Whole credits: 50 gives fifty, -50 takes fifty",
    )  # fmt: skip
    reason = forms.CharField(
        max_length=500, widget=UnfoldAdminTextInputWidget, help_text="Stays in the journal for good"
    )
    request_id = forms.UUIDField(widget=forms.HiddenInput)

    def clean_amount(self) -> int:
        amount: int = self.cleaned_data["amount"]
        if amount == 0:
            raise ValidationError("An adjustment of 0 changes nothing.")
        return amount


class AdjustmentPages:
    """Of a balance: `<user>/adjust/`."""

    admin_site: Any
    model: Any

    def adjustment_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.adjust)
        return [path("<uuid:user_id>/adjust/", view, name="credits_adjust")]

    def adjust(self, request: HttpRequest, user_id: uuid.UUID) -> HttpResponse:
        """A form without `confirmed` is shown again for confirmation; with it, it is carried out."""
        if not request.user.has_perm("credits.adjust_credits"):
            raise PermissionDenied
        person = User.objects.exclude(status=User.Status.DELETED).filter(pk=user_id).first()
        if person is None:
            raise Http404
        form = AdjustmentForm(request.POST or None, initial={"request_id": uuid.uuid4()})
        confirmed = "confirmed" in request.POST
        if confirmed and form.is_valid() and self._carried_out(request, person, form):
            return HttpResponseRedirect(reverse("admin:credits_usercredit_change", args=[person.pk]))
        return self._form_page(request, person, form, asks=form.is_valid() and not confirmed)

    def _carried_out(self, request: HttpRequest, person: User, form: AdjustmentForm) -> bool:
        try:
            made = adjustments.request(user_id=person.pk, staff_id=staff_id(request), **form.cleaned_data)
        except Problem as problem:
            form.add_error(None, explained(problem))
            return False
        except DecisionRefused as refusal:
            form.add_error(None, str(refusal))
            return False
        if made.decision == AdjustmentRequest.Decision.PENDING:
            told = f"{made.amount:+,} credits wait for a second person: they pass your limit of the day."
            messages.warning(request, told)
        else:
            messages.success(request, f"Adjusted by {made.amount:+,} credits.")
        return True

    def _form_page(
        self, request: HttpRequest, person: User, form: AdjustmentForm, *, asks: bool
    ) -> HttpResponse:
        now, left = balance.current(person.pk), adjustments.left_today(staff_id(request))
        amount = form.cleaned_data["amount"] if asks else 0
        context = {
            **self.admin_site.each_context(request),
            "title": "Adjust credits",
            "opts": self.model._meta,  # noqa: SLF001 -- Django's documented name
            "person": person,
            "form": form,
            "asks": asks,
            "now": now,
            "after": now.balance + amount,
            "left": left,
            "needs_second": abs(amount) > left,
            "too_much": -amount > now.available,
        }
        return TemplateResponse(request, "admin/credits/usercredit/adjust.html", context)


class DecisionPages:
    """Of a request: its page, and `<request>/decide/` for whoever may decide."""

    admin_site: Any
    model: Any

    def decision_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.decide)
        return [path("<uuid:request_id>/decide/", view, name="credits_decide")]

    def decide(self, request: HttpRequest, request_id: uuid.UUID) -> HttpResponse:
        if request.method != "POST" or not request.user.has_perm("credits.approve_adjustment"):
            raise PermissionDenied
        if not AdjustmentRequest.objects.filter(pk=request_id).exists():
            raise Http404
        try:
            messages.success(request, _decided(request, request_id))
        except Problem as problem:
            messages.error(request, f"Not approved, the request stays open: {explained(problem)}")
        except DecisionRefused as refusal:
            messages.error(request, str(refusal))
        return HttpResponseRedirect(reverse("admin:credits_adjustmentrequest_change", args=[request_id]))

    def decision_page(self, request: HttpRequest, asked: AdjustmentRequest) -> HttpResponse:
        own = asked.requested_by_id == staff_id(request)
        open_ = asked.decision == AdjustmentRequest.Decision.PENDING
        context = {
            **self.admin_site.each_context(request),
            "title": "Adjustment",
            "opts": self.model._meta,  # noqa: SLF001 -- Django's documented name
            "asked": asked,
            "now": balance.current(asked.user_id) if asked.user.status != User.Status.DELETED else None,
            "own": own and open_,
            "may_decide": open_ and not own and request.user.has_perm("credits.approve_adjustment"),
        }
        return TemplateResponse(request, "admin/credits/adjustmentrequest/page.html", context)


def _decided(request: HttpRequest, request_id: uuid.UUID) -> str:
    if request.POST.get("decision") == "approve":
        row = adjustments.approve(request_id=request_id, staff_id=staff_id(request))
        return f"Approved and posted: {row.amount:+,} credits, the balance is {row.balance:,}."
    adjustments.refuse(request_id=request_id, staff_id=staff_id(request))
    return "Refused. The balance is as it was."

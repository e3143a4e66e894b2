"""Releasing holds in the admin, of whatever service, with a reason."""

import uuid
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.admin.orders import staff_id
from accounts.kit.problems import Problem
from credits.ledger import holds
from credits.models import CreditLot, Hold

MOST_AT_ONCE = 100


class ReleaseForm(forms.Form):
    """`request_id` is made with the form, so that sending it twice releases once."""

    reason = forms.CharField(
        max_length=500, widget=UnfoldAdminTextInputWidget, help_text="Stays in the journal for good"
    )
    request_id = forms.UUIDField(widget=forms.HiddenInput)


class ReleasePages:
    """`release/?hold=<id>&hold=<id>`: which holds, and why they are released."""

    admin_site: Any
    model: Any

    def release_urls(self) -> list[URLPattern]:
        return [path("release/", self.admin_site.admin_view(self.release_holds), name="credits_release")]

    def release_holds(self, request: HttpRequest) -> HttpResponse:
        if not request.user.has_perm("credits.release_hold"):
            raise PermissionDenied
        chosen = _chosen(request)
        form = ReleaseForm(request.POST or None, initial={"request_id": uuid.uuid4()})
        if chosen and form.is_valid():
            _release_each(request, chosen, **form.cleaned_data)
            return HttpResponseRedirect(reverse("admin:credits_hold_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": "Release holds",
            "opts": self.model._meta,  # noqa: SLF001 -- Django's documented name
            "holds": chosen,
            "form": form,
        }
        return TemplateResponse(request, "admin/credits/hold/release.html", context)


def _chosen(request: HttpRequest) -> Sequence[Hold]:
    texts = [text for text in request.GET.getlist("hold") if text.isdecimal() and len(text) < 19]
    found = Hold.objects.filter(kind=CreditLot.Kind.HOLD, pk__in=texts[:MOST_AT_ONCE])
    return list(found.select_related("user").order_by("pk"))


def _release_each(
    request: HttpRequest, chosen: Sequence[Hold], *, reason: str, request_id: uuid.UUID
) -> None:
    """Each stands alone: what was settled meanwhile is named, and the others are released."""
    for hold in chosen:
        key = f"release-{request_id}-{hold.pk}"
        try:
            holds.release_for_staff(
                hold_id=hold.transaction_id, reason=reason, staff_id=staff_id(request), key=key
            )
        except Problem as problem:
            messages.error(request, f"Hold {hold.pk}: {problem.detail}")
        else:
            messages.success(request, f"Hold {hold.pk}: {hold.issued:,} credits went back to their grants.")

"""Suspending and reactivating a user in the admin: a page that asks for the reason."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import status
from accounts.models import User

PERMISSION = "accounts.change_status"


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=status.LONGEST_REASON,
        widget=UnfoldAdminTextInputWidget,
        help_text="Stays in the audit log until the user is erased",
    )


class StatusPages:
    """Two buttons on a user's page, each leading to a page that changes nothing until its form is sent."""

    admin_site: Any
    model: Any

    def status_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:user_id>/suspend", view(self.suspend_page), name="accounts_user_suspend"),
            path("<uuid:user_id>/reactivate", view(self.reactivate_page), name="accounts_user_reactivate"),
        ]

    def has_change_status_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm(PERMISSION))

    @action(description="Suspend", url_path="to-suspend", permissions=["change_status"])  # type: ignore[untyped-decorator]
    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:accounts_user_suspend", args=[object_id]))

    @action(description="Reactivate", url_path="to-reactivate", permissions=["change_status"])  # type: ignore[untyped-decorator]
    def reactivate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:accounts_user_reactivate", args=[object_id]))

    def suspend_page(self, request: HttpRequest, user_id: Any) -> HttpResponse:
        return self._change(request, user_id, "suspend")

    def reactivate_page(self, request: HttpRequest, user_id: Any) -> HttpResponse:
        return self._change(request, user_id, "reactivate")

    def _change(self, request: HttpRequest, user_id: Any, verb: str) -> HttpResponse:
        person = get_object_or_404(User, pk=user_id)
        if not _may_change(request, person):
            raise PermissionDenied
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and _carry_out(request, person, verb, form):
            messages.success(request, f"{person}: done. It holds from the next request on.")
            return HttpResponseRedirect(reverse("admin:accounts_user_change", args=[person.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": f"{verb.capitalize()} {person}",
            "opts": self.model._meta,  # noqa: SLF001 -- Django's documented name
            "person": person,
            "verb": verb,
            "form": form,
        }
        return TemplateResponse(request, "admin/accounts/user/status.html", context)


def _may_change(request: HttpRequest, person: User) -> bool:
    """With the permission; staff only by a superuser; never oneself."""
    staff = request.user
    if not isinstance(staff, User) or staff.pk == person.pk or not staff.has_perm(PERMISSION):
        return False
    return staff.is_superuser or not person.is_staff


def _carry_out(request: HttpRequest, person: User, verb: str, form: ReasonForm) -> bool:
    change = {"suspend": status.suspend, "reactivate": status.reactivate}[verb]
    try:
        change(user_id=person.pk, reason=form.cleaned_data["reason"], actor=f"staff {request.user.pk}")
    except status.StatusRefused as refusal:
        form.add_error(None, str(refusal))
        return False
    return True

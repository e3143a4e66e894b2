"""Giving and taking roles: a page for superusers, which asks for the reason."""

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts.admin import roles
from accounts.admin.actions import ActionRefused
from accounts.models import User
from accounts.user_action_pages import reason_field


class RolesForm(forms.Form):
    is_staff = forms.BooleanField(
        required=False, widget=UnfoldBooleanSwitchWidget, label="Staff: may sign in here"
    )
    roles = forms.MultipleChoiceField(
        required=False,
        choices=[(role, role) for role in settings.STAFF_ROLES],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    reason = reason_field()


class RolePages:
    """Mixed into the admin of users."""

    admin_site: Any
    model: Any

    def role_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.roles_page)
        return [path("<uuid:user_id>/roles", view, name="accounts_user_roles")]

    def role_buttons(self, request: HttpRequest, person: User) -> list[tuple[str, str]]:
        page = reverse("admin:accounts_user_roles", args=[person.pk])
        return [("Staff and roles…", page)] if _may_assign(request, person) else []

    def roles_page(self, request: HttpRequest, user_id: UUID) -> HttpResponse:
        person = get_object_or_404(User, pk=user_id)
        if not _may_assign(request, person):
            raise PermissionDenied
        now = {"is_staff": person.is_staff, "roles": list(person.groups.values_list("name", flat=True))}
        form = RolesForm(request.POST or None, initial=now)
        back = reverse("admin:accounts_user_change", args=[person.pk])
        if request.method == "POST" and form.is_valid() and _assigned(request, person, form):
            messages.success(request, f"{person}: done. It holds from the next request on.")
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Staff and roles of {person}",
            "opts": self.model._meta,  # noqa: SLF001 -- Django's documented name
            "person": person,
            "form": form,
            "back": back,
        }
        return TemplateResponse(request, "admin/accounts/user/roles.html", context)


def _may_assign(request: HttpRequest, person: User) -> bool:
    """Superusers, of others who are still there."""
    is_superuser = bool(getattr(request.user, "is_superuser", False))
    return is_superuser and request.user.pk != person.pk and person.status != User.Status.DELETED


def _assigned(request: HttpRequest, person: User, form: RolesForm) -> bool:
    try:
        roles.assign(user_id=person.pk, actor=f"staff {request.user.pk}", **form.cleaned_data)
    except ActionRefused as refusal:
        form.add_error(None, str(refusal))
        return False
    return True

"""Roles of staff: Django groups, each with exactly the permissions that its work needs (settings.STAFF_ROLES).

`manage.py migrate` and `manage.py sync_roles` make the groups what the settings say, whatever was changed by hand. Only
superusers give roles; what a superuser alone may do (staff, keys, prices, plans) is in no role.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts import audit
from accounts.admin.actions import ActionRefused, reason_field
from accounts.audit import Event
from accounts.models import User


@transaction.atomic
def sync() -> dict[str, int]:
    """Makes the groups; how many permissions each has. Repeating it changes nothing."""
    known = _known()
    counts = {}
    for role, patterns in settings.STAFF_ROLES.items():
        group, _ = Group.objects.get_or_create(name=role)
        granted = [pk for name, pk in known.items() if any(fnmatchcase(name, one) for one in patterns)]
        group.permissions.set(granted)
        counts[role] = len(granted)
    return counts


def unknown() -> set[str]:
    """What the settings grant and does not exist."""
    names = _known()
    patterns = {one for patterns in settings.STAFF_ROLES.values() for one in patterns}
    return {one for one in patterns if not any(fnmatchcase(name, one) for name in names)}


def _known() -> dict[str, int]:
    """Permissions on models that have pages, by `app.codename`."""
    rows = Permission.objects.filter(content_type__app_label__in=settings.ADMIN_MODELS_OF)
    found = rows.values_list("content_type__app_label", "codename", "pk")
    return {f"{app}.{codename}": pk for app, codename, pk in found}


@transaction.atomic
def assign(*, user_id: UUID, roles: Iterable[str], is_staff: bool, reason: str, actor: str) -> None:
    """Gives somebody these roles and no others, or takes them all away. Raises ActionRefused.

    Who is no longer staff is out of the admin at the next request, and so is who lacks the permission of a page.
    """
    user = User.objects.locked().get(pk=user_id)
    wanted = sorted(set(roles))
    _check(user, wanted, is_staff=is_staff)
    User.objects.filter(pk=user_id).update(is_staff=is_staff)
    user.groups.set(Group.objects.filter(name__in=wanted))
    user.user_permissions.clear()  # roles say it all
    detail = {"roles": wanted, "is_staff": is_staff, "reason": reason}
    audit.record(Event.STAFF_CHANGED, user_id=user_id, actor=actor, detail=detail)


def _check(user: User, roles: list[str], *, is_staff: bool) -> None:
    if user.is_superuser:
        raise ActionRefused("Superusers are made and unmade at the command line: manage.py ensure_admin.")
    if set(roles) - set(settings.STAFF_ROLES):
        raise ActionRefused("There is no such role.")
    if roles and not is_staff:
        raise ActionRefused("Only staff have roles.")
    if is_staff and not (user.is_active and user.email_verified):
        raise ActionRefused("Only an active user with a verified address can be staff.")


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
        assign(user_id=person.pk, actor=f"staff {request.user.pk}", **form.cleaned_data)
    except ActionRefused as refusal:
        form.add_error(None, str(refusal))
        return False
    return True

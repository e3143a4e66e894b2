"""Assign staff roles: the order on a user's page, for superusers only.

What only a superuser may do (staff, keys, prices, plans) is in no role; accounts/upkeep/staff_roles.py has the roles.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts import audit
from accounts.admin.actions import ActionRefused, UserOrder
from accounts.admin.orders import OrderForm, reason_field
from accounts.audit import Event
from accounts.models import User


@transaction.atomic
def assign(*, user_id: UUID, roles: Iterable[str], is_staff: bool, reason: str, actor: str) -> None:
    """Give someone exactly these roles, or take them all away. Raise ActionRefused.

    Takes effect on the next request, even for someone who is signed in to the admin.
    """
    user = User.objects.locked().get(pk=user_id)
    wanted = sorted(set(roles))
    _check(user, wanted, is_staff=is_staff)
    User.objects.filter(pk=user_id).update(is_staff=is_staff)
    user.groups.set(Group.objects.filter(name__in=wanted))
    user.user_permissions.clear()  # permissions come from roles alone
    detail = {"roles": wanted, "is_staff": is_staff, "reason": reason}
    audit.record(Event.STAFF_CHANGED, user_id=user_id, actor=actor, detail=detail)


def _check(user: User, roles: list[str], *, is_staff: bool) -> None:
    if user.is_superuser:
        raise ActionRefused(
            "Superusers cannot be changed here. The first one is made at the command line: manage.py "
            "ensure_admin."
        )
    if set(roles) - set(settings.STAFF_ROLES):
        raise ActionRefused("Unknown role.")
    if roles and not is_staff:
        raise ActionRefused("Only staff have roles.")
    if is_staff and not (user.is_active and user.email_verified):
        raise ActionRefused("Only an active user with a verified address can be staff.")


class RolesForm(OrderForm):
    is_staff = forms.BooleanField(
        required=False, widget=UnfoldBooleanSwitchWidget, label="Staff: may sign in here"
    )
    roles = forms.MultipleChoiceField(
        required=False,
        choices=[(role, role) for role in settings.STAFF_ROLES],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    reason = reason_field()


@dataclass(frozen=True, kw_only=True)
class RolesOrder(UserOrder):
    """An order for superusers about other users who are not deleted."""

    template: str = "admin/accounts/user/roles.html"
    form: type[OrderForm] = RolesForm

    def allows_on(self, request: HttpRequest, subject: User) -> bool:
        return request.user.pk != subject.pk and subject.status != User.Status.DELETED

    def initial(self, subject: User) -> dict[str, Any]:
        names = list(subject.groups.values_list("name", flat=True))
        return {"is_staff": subject.is_staff, "roles": names}


ORDERS = {"roles": RolesOrder(title="Staff and roles of", button="Save", carry_out=assign)}


def buttons(request: HttpRequest, person: User) -> list[tuple[str, str]]:
    page, order = reverse("admin:accounts_user_roles", args=[person.pk]), ORDERS["roles"]
    may = order.allows(request) and order.allows_on(request, person)
    return [("Staff and roles…", page)] if may else []

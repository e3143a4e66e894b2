"""Roles of staff: Django groups, each with exactly the permissions that its work needs (settings.STAFF_ROLES).

`manage.py migrate` and `manage.py sync_roles` make the groups what the settings say, whatever was changed by hand. Only
superusers give roles; what a superuser alone may do (staff, keys, prices, plans) is in no role.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db import transaction

from accounts import audit
from accounts.admin.actions import ActionRefused
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

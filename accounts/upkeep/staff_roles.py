"""Roles of staff: Django groups, each with exactly the permissions that its work needs (settings.STAFF_ROLES).

`manage.py migrate` and `manage.py sync_roles` make the groups what the settings say, whatever was changed by hand.
"""

from fnmatch import fnmatchcase

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db import transaction


@transaction.atomic
def sync() -> dict[str, int]:
    """Make the groups; return how many permissions each has. Repeating it changes nothing."""
    known = _known()
    counts = {}
    for role, patterns in settings.STAFF_ROLES.items():
        group, _ = Group.objects.get_or_create(name=role)
        granted = [pk for name, pk in known.items() if any(fnmatchcase(name, one) for one in patterns)]
        group.permissions.set(granted)
        counts[role] = len(granted)
    return counts


def unknown() -> set[str]:
    """Return what the settings grant that does not exist."""
    names = _known()
    patterns = {one for patterns in settings.STAFF_ROLES.values() for one in patterns}
    return {one for one in patterns if not any(fnmatchcase(name, one) for name in names)}


def _known() -> dict[str, int]:
    """Return the permissions on models that have pages, by `app.codename`."""
    rows = Permission.objects.filter(content_type__app_label__in=settings.ADMIN_MODELS_OF)
    found = rows.values_list("content_type__app_label", "codename", "pk")
    return {f"{app}.{codename}": pk for app, codename, pk in found}

"""Staff roles: Django groups, each with exactly the permissions that its work needs (settings.STAFF_ROLES).

`manage.py migrate` and `manage.py sync_roles` set the groups to match the settings, whatever was changed by hand.
"""

from fnmatch import fnmatchcase
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_permission_codename
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models.options import Options


@transaction.atomic
def sync() -> dict[str, int]:
    """Create and update the groups. Return how many permissions each has. Repeating it changes nothing.

    A group that is not a role in the settings loses all of its permissions.
    """
    known = _known()
    counts = {}
    for role, patterns in settings.STAFF_ROLES.items():
        group, _ = Group.objects.get_or_create(name=role)
        granted = [pk for name, pk in known.items() if any(fnmatchcase(name, one) for one in patterns)]
        group.permissions.set(granted)
        counts[role] = len(granted)
    for former in Group.objects.exclude(name__in=counts):
        former.permissions.clear()
    return counts


def unknown() -> set[str]:
    """Return the permissions in the settings that do not exist."""
    names = _known()
    patterns = {one for patterns in settings.STAFF_ROLES.values() for one in patterns}
    return {one for one in patterns if not any(fnmatchcase(name, one) for name in names)}


def declared() -> set[str]:
    """Return the permissions on models that have pages, without querying the database."""
    apps_with_pages = map(apps.get_app_config, settings.ADMIN_MODELS_OF)
    models = [model._meta for app in apps_with_pages for model in app.get_models()]  # noqa: SLF001
    return {f"{model.app_label}.{name}" for model in models for name in _codenames(model)}


def _codenames(model: "Options[Any]") -> list[str]:
    own = [name for name, _ in model.permissions]
    return [*(get_permission_codename(action, model) for action in model.default_permissions), *own]


def _known() -> dict[str, int]:
    """Return the ids of the permissions on models that have pages, keyed by `app.codename`."""
    rows = Permission.objects.filter(content_type__app_label__in=settings.ADMIN_MODELS_OF)
    found = rows.values_list("content_type__app_label", "codename", "pk")
    return {f"{app}.{codename}": pk for app, codename, pk in found}

"""Make staff roles match settings.STAFF_ROLES. `manage.py migrate` does this too."""

from typing import Any

from django.core.management.base import CommandError

from accounts.management.command import Listed, OurCommand
from accounts.upkeep import staff_roles


class Command(OurCommand):
    area, brief = "Staff", "make staff roles match the settings"
    help = "Creates a group for each staff role (STAFF_ROLES) with exactly its permissions."

    def handle(self, *args: Any, **options: Any) -> None:
        if missing := staff_roles.unknown():
            raise CommandError(f"Unknown permission {', '.join(sorted(missing))}: migrate first.")
        roles = staff_roles.sync()
        rows = [{"role": role, "permissions": count} for role, count in roles.items()]
        self.tell(Listed(rows), *(f"{role}: {count} permissions" for role, count in roles.items()))

"""Makes the roles of staff what settings.STAFF_ROLES says. `manage.py migrate` does it too."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.upkeep import staff_roles


class Command(BaseCommand):
    help = "Makes the groups support, finance, operator and auditor, each with exactly its permissions."

    def handle(self, *args: Any, **options: Any) -> None:
        if missing := staff_roles.unknown():
            raise CommandError(f"There is no permission {', '.join(sorted(missing))}: migrate first.")
        for role, count in staff_roles.sync().items():
            self.stdout.write(f"{role}: {count} permissions")

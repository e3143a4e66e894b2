"""Make a restored database safe to serve from (docs/operations/backup.md)."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.management.command import OurCommand
from accounts.upkeep import restoration, tombstones


class Command(OurCommand):
    area, brief = "Database", "make a restored database safe to serve from"
    help = (
        "Ends every session and voids every mailed link and queued email of a restored database, then applies "
        "the file of `manage.py tombstones`: erased users are erased again, revoked keys revoked, suspended "
        "users suspended, replaced passwords voided, removed factors and linked accounts removed, and former "
        "staff demoted. Run it before any process serves. Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tombstones", nargs="?", help="the newest file that `manage.py tombstones` wrote")
        parser.add_argument(
            "--without-tombstones",
            action="store_true",
            help="the file is lost; everything that it would repair stays as it is in the backup",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        ended = restoration.after_restore(self._rows(options))
        self.tell(
            dict(ended),
            *(f"{what:<15}{count:>10,} ended" for what, count in ended.items()),
            "Now run manage.py verify_ledger and manage.py reconcile_stripe --since (the time of the "
            "backup).",
        )

    def _rows(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        if bool(options["tombstones"]) == options["without_tombstones"]:
            raise CommandError("Give the file that `manage.py tombstones` wrote, or --without-tombstones.")
        if options["without_tombstones"]:
            return []
        try:
            with Path(options["tombstones"]).open(encoding="utf-8") as lines:
                return tombstones.read(lines)
        except (OSError, tombstones.TombstonesUnreadable) as error:
            raise CommandError(str(error)) from error

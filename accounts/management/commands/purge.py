"""Delete what is past its retention; Celery's beat does the same every hour."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from accounts.kit.progress import Progress
from accounts.management.command import Listed, OurCommand
from accounts.upkeep import retention

AN_HOUR = 3600.0


class Command(OurCommand):
    area, brief = "Database", "delete what is older than retention allows"
    help = (
        "Deletes rows that are past their retention (RETENTION_..., docs/retention.md), in small batches. "
        "Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count")

    def handle(self, *args: Any, **options: Any) -> None:
        counts = retention.counts()
        if options["dry_run"]:
            self._print(counts, "would be deleted")
            return
        with Progress("rows", total=sum(counts.values())) as progress:
            purged = retention.purge(seconds=AN_HOUR, on_purged=progress.add)
        self._print(purged, "deleted")

    def _print(self, counts: dict[str, int], verb: str) -> None:
        kept = {name: settings.RETENTION[name].days for name in counts}
        self.tell(
            Listed([{"rule": name, "days": kept[name], "rows": count} for name, count in counts.items()]),
            *(f"{name:<18}{kept[name]:>5} days{count:>12,} {verb}" for name, count in counts.items()),
        )

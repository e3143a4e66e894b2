"""Drop imported hashes that cost more than a sign-in may (docs/decisions/0027-turns-at-hashing.md)."""

from typing import Any

from django.core.management.base import CommandParser

from accounts.identity import dear_hashes
from accounts.management.command import OurCommand


class Command(OurCommand):
    area, brief = "People", "ask owners of expensive imported hashes for a new password"
    help = (
        "Discards imported hashes that are too expensive to check at a sign-in, and emails their owners a "
        "link to set a new password. Run it once after upgrading from a version that accepted them. Safe to "
        "repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count them")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        found = dear_hashes.leave_behind(dry_run=dry_run)
        self.tell(
            {"asked": found, "dry_run": dry_run},
            f"{found} {'would be' if dry_run else 'were'} asked to choose a password.",
        )

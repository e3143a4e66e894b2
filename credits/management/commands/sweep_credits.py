"""manage.py sweep_credits: posts what has come due for idle users."""

from argparse import ArgumentParser
from typing import Any

from accounts.kit.progress import Progress
from accounts.management.command import OurCommand
from credits.ledger import sweeping
from credits.ledger.sweeping import Swept
from credits.management.arguments import how_many


class Command(OurCommand):
    area, brief = "Credits", "post expiries and holds that are due"
    help = (
        "Posts the expired grants and holds of users who have not been active since. Balances do not "
        "depend on it: every call and every read takes everything due into account. The worker does "
        "the same every 30 seconds. Exit status 1: a user could not be swept; the log says why."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--limit",
            type=how_many,
            default=100_000,
            help="at most this many users, longest due first (default: 100,000)",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only show for how many users something is due"
        )

    def handle(self, *, limit: int, dry_run: bool, **options: Any) -> None:
        users = [user_id for _, user_id in sweeping.due_users(limit)]
        results: list[Swept] = []
        with Progress("users", total=len(users)) as progress:
            for swept in sweeping.sweep([] if dry_run else users):
                results.append(swept)
                progress.add()
        failed = [swept for swept in results if swept.error]
        self._report(due=len(users), swept=len(results) - len(failed), failed=failed, dry_run=dry_run)
        if failed:
            raise SystemExit(1)

    def _report(self, *, due: int, swept: int, failed: list[Swept], dry_run: bool) -> None:
        errors = [{"user_id": row.user_id, "error": row.error} for row in failed]
        text = f"{swept} users swept, {len(failed)} failed."
        if dry_run:
            text = f"Something is due for {due} users. Nothing was changed."
        self.tell({"due": due, "swept": swept, "failed": errors, "dry_run": dry_run}, text)
        for row in failed:
            self.stderr.write(f"{row.user_id}: {row.error}")

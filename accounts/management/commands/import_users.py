"""Import another system's users from a file (see accounts/identity/imports.py for its lines)."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.identity import imports
from accounts.kit.progress import Progress
from accounts.management.command import OurCommand

SHOWN = 20


class Command(OurCommand):
    area, brief = "People", "import users from another system"
    help = (
        "Imports users from FILE.jsonl. Their bcrypt, argon2 or PBKDF2 hashes are renewed when they next sign "
        "in. Existing users are left alone, so an interrupted import can simply be repeated."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="check every line and store nothing")

    def handle(self, *args: Any, file: Path, dry_run: bool, **options: Any) -> None:
        try:
            report = run(file, dry_run=dry_run)
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
        for number, reason in report.refused[:SHOWN]:
            self.stderr.write(f"line {number}: {reason}")
        verb = "would be imported" if dry_run else "imported"
        lines = [
            f"{report.imported} {verb}, {report.present} already present, {len(report.refused)} refused."
        ]
        if report.mailed:
            asked = "would be" if dry_run else "were"
            lines.append(
                f"{report.mailed} of them {asked} asked to choose a password: their hashes cost too much to check."
            )
        refused = [{"line": number, "reason": reason} for number, reason in report.refused]
        counts = {"imported": report.imported, "present": report.present, "mailed": report.mailed}
        self.tell({**counts, "refused": refused, "dry_run": dry_run}, *lines)
        if report.refused:
            raise CommandError(f"{len(report.refused)} lines were refused: fix them and run this again.")


def run(file: Path, *, dry_run: bool) -> imports.Report:
    report = imports.Report()
    with file.open("rb") as counted:
        total = sum(1 for _ in counted)
    with file.open("rb") as lines, Progress("lines", total=total) as progress:
        for report in imports.run(lines, dry_run=dry_run):  # noqa: B007 -- the last report is returned
            progress.add(min(imports.AT_ONCE, total - progress.done))
    return report

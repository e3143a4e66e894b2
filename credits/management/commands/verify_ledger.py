"""manage.py verify_ledger [USER]: proves that balances match their journal, and the journal what was paid."""

import uuid
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import ProgrammingError, connection

from accounts.kit.progress import Progress
from accounts.management.command import OurCommand
from accounts.models import User
from credits.ledger import anchors, verify


class Command(OurCommand):
    area, brief = "Credits", "check that the ledger adds up"
    help = (
        "Checks the ledger's sums, holds, debt, grants, order, texts and hash chain, and that payments "
        "have granted the credits they are worth and events agree. Exit status 0: everything adds up; "
        "1: something does not, and is named."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", nargs="?", help="one user, by id or address (default: all)")
        parser.add_argument(
            "--after", type=uuid.UUID, help="resume after this user, whom an interrupted run named"
        )
        parser.add_argument(
            "--parallel", type=int, default=1, help="how many chunks of users to check at once"
        )
        parser.add_argument(
            "--anchor", type=Path, metavar="FILE", help="write an anchor if everything adds up"
        )
        parser.add_argument(
            "--against", type=Path, metavar="FILE", help="also compare with an earlier anchor"
        )
        parser.add_argument(
            "--before-migrate",
            action="store_true",
            help="only list the users whose grants `migrate` will repair (before credits 0012); change "
            "nothing",
        )

    def handle(self, *, user: str | None, anchor: Path | None, against: Path | None, **options: Any) -> None:
        if options["before_migrate"]:
            found = _to_mend()
            self._report([], found)
            raise SystemExit(int(bool(found)))
        if user is not None and (anchor or against):
            raise CommandError("An anchor covers all users: omit the user.")
        checked = (
            self._one(user)
            if user
            else self._all(after=options["after"], parallel=max(options["parallel"], 1))
        )
        findings = [finding for part in checked for finding in part.findings]
        if user is None and options["after"] is None:
            verify.note(findings=len(findings))
        if against:
            findings += self._compare(against)
        self._report(checked, findings)
        if findings:
            raise SystemExit(1)
        if anchor:
            self._anchor(anchor)

    def _one(self, user: str) -> list[verify.Checked]:
        found = User.objects.by_id_or_email(user).first()
        if found is None:
            raise CommandError(f"User {user!r} not found. Give an id or an address.")
        return [verify.verify_user(found.pk)]

    def _all(self, *, after: uuid.UUID | None, parallel: int) -> list[verify.Checked]:
        checked: list[verify.Checked] = []
        last = after
        try:
            with Progress("users", total=verify.count_users(after=after)) as progress:
                for part in verify.verify_all(after=after, parallel=parallel):
                    checked.append(part)
                    last = part.users[-1] if part.users else last
                    progress.add(len(part.users))
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted. Resume with --after {last}") from None
        return checked

    def _compare(self, path: Path) -> list[verify.Finding]:
        try:
            with path.open() as file:
                return anchors.findings(file)
        except (OSError, anchors.NotAnAnchor) as error:
            raise CommandError(f"{path}: {error}") from error

    def _anchor(self, path: Path) -> None:
        """Write to a temporary file and rename it, so that a file of that name is always whole."""
        beside = path.with_name(f"{path.name}.part")
        with beside.open("w") as file:
            users = anchors.write(file)
        beside.rename(path)
        self.stderr.write(f"Wrote an anchor of {users} users to {path}. Keep it away from this database.")

    def _report(self, checked: list[verify.Checked], findings: list[verify.Finding]) -> None:
        users = sum(len(part.users) for part in checked)
        transactions = sum(part.transactions for part in checked)
        rows = [{"user_id": str(row.user_id), "place": row.place, "finding": row.finding} for row in findings]
        if not self.as_json:
            for row in rows:
                self.stderr.write("{user_id}: {finding} at {place}".format(**row))
        self.tell(
            {"ok": not findings, "users": users, "transactions": transactions, "findings": rows},
            f"{users} users, {transactions} transactions, {len(findings)} findings",
        )


def _to_mend() -> list[verify.Finding]:
    """Return the users with an overfull grant, from the previous version's tables."""
    query = import_module("credits.migrations.0007_no_grant_is_overfull").OVERFULL
    with connection.cursor() as cursor:
        try:
            cursor.execute(query)
        except ProgrammingError:
            raise CommandError("This database is already migrated: omit --before-migrate.") from None
        return [verify.Finding(user_id, str(user_id), "overfull") for (user_id,) in cursor.fetchall()]

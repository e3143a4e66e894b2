"""manage.py verify_ledger [USER]: proves that every balance is what its journal says."""

import json
import uuid
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from credits import verify


class Command(BaseCommand):
    help = (
        "Checks sums, holds, debt, grants, order, texts and the hash chain of the ledger. "
        "Exit status 0: all of it adds up; 1: something does not, and it is named."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", nargs="?", help="one user, by id or address (default: all)")
        parser.add_argument(
            "--after", type=uuid.UUID, help="resume behind this user id, as a run before reported it"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, user: str | None, after: uuid.UUID | None, **options: Any) -> None:
        users = transactions = 0
        findings: list[verify.Finding] = []
        last = after
        try:
            for checked in self._checked(user, after):
                users, transactions = users + len(checked.users), transactions + checked.transactions
                findings += checked.findings
                last = checked.users[-1] if checked.users else last
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted. Resume with --after {last}") from None
        self._report(users, transactions, findings, as_json=options["json"])

    def _checked(self, user: str | None, after: uuid.UUID | None) -> Iterator[verify.Checked]:
        if user is None:
            return verify.verify_all(after=after)
        found = User.objects.by_id_or_email(user).first()
        if found is None:
            raise CommandError(f"There is no user {user!r}. Give an id or an address.")
        return iter([verify.verify_user(found.pk)])

    def _report(
        self, users: int, transactions: int, findings: list[verify.Finding], *, as_json: bool
    ) -> None:
        rows = [{"user_id": str(row.user_id), "place": row.place, "finding": row.finding} for row in findings]
        if as_json:
            report = {"ok": not findings, "users": users, "transactions": transactions, "findings": rows}
            self.stdout.write(json.dumps(report))
        else:
            for row in rows:
                self.stderr.write("{user_id}: {finding} at {place}".format(**row))
            self.stdout.write(f"{users} users, {transactions} transactions, {len(findings)} findings")
        if findings:
            raise SystemExit(1)

"""manage.py adjust_credits USER AMOUNT --reason TEXT: corrects a balance, on the record."""

import getpass
import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from accounts import audit
from accounts.audit import Event
from accounts.kit.problems import Problem
from accounts.management.command import OurCommand
from accounts.models import User
from credits import ledger
from credits.errors import explained
from credits.ledger import balance
from credits.ledger.calls import Call, request_bytes
from credits.management.arguments import named_user
from credits.models import LARGEST_AMOUNT, LONGEST_DESCRIPTION, LONGEST_KEY, CreditTransaction


class Command(OurCommand):
    area, brief = "Credits", "add or take credits, with a reason"
    help = (
        "Adds credits (or takes them, with a negative amount) as an adjustment, with a reason that stays in "
        "the journal. This is the operator's tool: the admin's daily limit (CREDITS_APPROVAL_LIMIT) and "
        "second approver do not apply. The journal and the audit log record the name of the operator's "
        "account on this machine."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="the user, by id or address")
        parser.add_argument("amount", type=int, help="whole credits; -5 takes five")
        parser.add_argument("--reason", required=True, help="why; kept in the journal")
        parser.add_argument("--key", help="repeating the command with the same key changes nothing")
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would happen and change nothing"
        )

    def handle(self, *, user: str, amount: int, reason: str, **options: Any) -> None:
        if amount == 0 or not reason.strip():
            raise CommandError("Give an amount other than 0 and a reason.")
        if abs(amount) > LARGEST_AMOUNT:
            raise CommandError(f"An adjustment moves at most {LARGEST_AMOUNT:,} credits.")
        for name, text, longest in (
            ("reason", reason, LONGEST_DESCRIPTION),
            ("key", options["key"], LONGEST_KEY),
        ):
            if text is not None and not 0 < len(text) <= longest:
                raise CommandError(f"The {name} must have 1 to {longest} characters.")
        found = named_user(user)
        call = Call(
            service="admin",
            key=options["key"],
            request=request_bytes("adjust", fields=[str(found.pk), amount]),
            description=reason,
            metadata={"operator": _operator()},
        )
        row = self._adjust(found, amount, call, dry_run=options["dry_run"])
        self._report(found, row, dry_run=options["dry_run"])

    def _adjust(self, user: User, amount: int, call: Call, *, dry_run: bool) -> CreditTransaction:
        try:
            with transaction.atomic():
                row = ledger.adjust(user_id=user.pk, amount=amount, call=call)
                if not row.replayed:
                    _record(row)
                transaction.set_rollback(dry_run)
                return row
        except Problem as problem:
            raise CommandError(explained(problem)) from problem

    def _report(self, user: User, row: CreditTransaction, *, dry_run: bool) -> None:
        now = balance.current(user.pk)
        fields = {"id": row.pk, "user_id": user.pk, "amount": row.amount, "balance_after": row.balance}
        done = "Already done" if row.replayed else "Done"
        text = f"{done}: {user} {row.amount:+}, balance {now.balance}. Transaction {row.pk}."
        if dry_run:
            text = f"Would change {user} by {row.amount:+} to {row.balance}. Nothing was changed."
        self.tell({**fields, "replayed": row.replayed, "dry_run": dry_run}, text)


def _operator() -> str:
    """Return the name of the account that the command runs under, or its number where it has no name (containers)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _record(row: CreditTransaction) -> None:
    detail = {"transaction": str(row.pk), "amount": row.amount}
    actor = f"operator {_operator()}"[:64]
    audit.record(Event.CREDITS_ADJUSTED, user_id=row.holder_id, actor=actor, detail=detail)

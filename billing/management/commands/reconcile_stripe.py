"""manage.py reconcile_stripe --since 3d: settles what Stripe knows and we were never told, and reports it."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from accounts.kit.problems import Problem
from accounts.management.command import OurCommand
from billing.stripe import sdk
from billing.stripe_sync import reconcile
from billing.stripe_sync.reconcile import Difference

UNITS = {"h": "hours", "d": "days"}
NOBODY = 'unknown customer: see "Payments by unknown customers" in the admin'


def moment(text: str) -> datetime:
    """Return the moment `36h` or `3d` ago, or a time with its zone."""
    if span := re.fullmatch(r"(\d{1,4})([hd])", text):
        return timezone.now() - timedelta(**{UNITS[span[2]]: int(span[1])})
    try:
        parsed = parse_datetime(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise ArgumentTypeError("must be like 36h, 3d or 2026-11-23T10:00:00Z")
    return parsed


class Command(OurCommand):
    area, brief = "Billing", "settle payments that Stripe's events missed"
    help = (
        "Compares payments, refunds and disputes at Stripe since a given time with the journal, and "
        "posts missing credits. Safe to repeat. Exit status 1: something could not be settled, and is "
        "named."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since", type=moment, default="3d", help="36h, 3d (default) or a time with its offset"
        )
        parser.add_argument("--dry-run", action="store_true", help="only show what would be posted")

    def handle(self, *, since: datetime, dry_run: bool, **options: Any) -> None:
        if not sdk.is_configured():
            raise CommandError("STRIPE_SECRET_KEY is not set.")
        try:
            found = list(reconcile.reconcile(start=since, end=timezone.now(), dry_run=dry_run))
            if not dry_run:
                reconcile.follow_overdue()
        except Problem as problem:
            raise CommandError(f"Stripe could not be read: {problem.detail}") from problem
        self._report(found, dry_run=dry_run)
        if any(difference.problem for difference in found):
            raise SystemExit(1)

    def _report(self, found: list[Difference], *, dry_run: bool) -> None:
        verb = "would be corrected" if dry_run else "corrected"
        failed = sum(bool(difference.problem) for difference in found)
        strangers = sum(difference.is_of_nobody for difference in found)
        corrected = len(found) - failed - strangers
        self.tell(
            {"dry_run": dry_run, "differences": [difference.as_json() for difference in found]},
            *map(_line, found),
            f"{corrected} payments {verb}, {failed} could not be settled.",
        )


def _line(difference: Difference) -> str:
    what = difference.problem or f"{difference.posted} credits posted, should be {difference.due}"
    what = NOBODY if difference.is_of_nobody else what
    if difference.lost_link:
        what += f"; the link to the customer {difference.lost_link} is lost; reconciling restores it"
    return f"{difference.payment}  {difference.user_id or ''}  {what}"

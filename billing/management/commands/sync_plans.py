"""manage.py sync_plans: makes plans from Stripe's prices. Check --dry-run first: a run without it is your consent."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import IntegrityError

from accounts.kit.problems import Problem
from accounts.management.command import Listed, OurCommand
from billing.shop import plan_sync
from billing.stripe import sdk


class Command(OurCommand):
    area, brief = "Billing", "make plans from Stripe's prices"
    help = (
        "Creates and updates plans from Stripe's active prices that have `credits` in their metadata. Earlier "
        "payments keep the credits they were granted."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only show what would change")
        parser.add_argument(
            "--overwrite", action="store_true", help="overwrite values that staff have changed"
        )

    def handle(self, *, dry_run: bool, overwrite: bool, **options: Any) -> None:
        if not sdk.is_configured():
            raise CommandError("STRIPE_SECRET_KEY is not set.")
        try:
            proposals = plan_sync.proposals(overwrite=overwrite)
        except Problem as problem:
            raise CommandError(f"Stripe could not be read: {problem.detail}") from problem
        for proposal in proposals:
            if not self.as_json:
                self.stdout.write(_line(proposal))
            if not dry_run:
                self._apply(proposal)
        self.tell(Listed(proposals))

    def _apply(self, proposal: plan_sync.Proposal) -> None:
        try:
            plan_sync.apply(proposal)
        except IntegrityError as error:
            raise CommandError(
                f"{proposal.price} does not make a valid plan; nothing was changed for it."
            ) from error


def _line(proposal: plan_sync.Proposal) -> str:
    changes = ", ".join(f"{name}={value}" for name, value in (proposal.changes or {}).items())
    return f"{proposal.action:<8}{proposal.code:<24}{proposal.price}  {proposal.problem or changes}"

"""manage.py stripe_setup --host login.example.com: sets up at Stripe what this service needs there."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError

from accounts.kit.problems import Problem
from accounts.management.command import Listed, OurCommand
from billing.stripe import sdk
from billing.stripe_sync import stripe_setup
from billing.stripe_sync.stripe_setup import Wanted


def product(text: str) -> Wanted:
    """Read `code:name:credits:amount:currency[:interval[:count]]`."""
    try:
        code, name, credits, amount, currency, *period = text.split(":")
        interval, count = [*period, "", ""][:2]
        return Wanted(
            code=code,
            name=name,
            credits=int(credits),
            amount=int(amount),
            currency=currency,
            interval=interval,
            interval_count=int(count or 1),
        )
    except ValueError as error:
        raise ArgumentTypeError("must be like basic:Basic:200:900:eur:month") from error


class Command(OurCommand):
    area, brief = "Billing", "set up what this service needs at Stripe"
    help = (
        "Creates the webhook endpoint, the customer portal's configuration, and products with their prices at "
        "Stripe, and prints what to add to the configuration. Anything that exists is updated."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", required=True, help="the public listener's host name")
        parser.add_argument(
            "--product",
            action="append",
            type=product,
            default=[],
            metavar="code:name:credits:amount:currency[:interval[:count]]",
        )

    def handle(self, *, host: str, product: list[Wanted], **options: Any) -> None:
        if not sdk.is_configured():
            raise CommandError("STRIPE_SECRET_KEY is not set.")
        done: list[str] = []
        try:
            for line in stripe_setup.set_up(host=host, products=product):
                done.append(line)
                if not self.as_json:
                    self.stdout.write(line)
        except Problem as problem:
            reason = f" ({problem.extra['reason']})" if problem.extra.get("reason") else ""
            raise CommandError(f"Stripe refused: {problem.detail}{reason}") from problem
        self.tell(Listed(done))

"""Lists addresses that an older version may have folded into somebody else's. It reads only."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.kit import email_address
from accounts.upkeep import old_addresses


class Command(BaseCommand):
    help = (
        "Lists verified addresses that may have been typed otherwise (as straße.de, stored as strasse.de), with what "
        "verified them: `google` and `import` are to be asked about, `mail` has proved itself. Changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--ambiguous", action="store_true", help="the only list there is")

    def handle(self, *args: Any, ambiguous: bool, **options: Any) -> None:
        if not ambiguous:
            raise CommandError("Say what to list: --ambiguous.")
        counted = 0
        for user, proof in old_addresses.ambiguous():
            counted += 1
            self.stdout.write(f"{user.pk}  {proof:<6}  {email_address.shown(user.email or '')}")
        self.stderr.write(f"{counted} addresses may have been typed otherwise.")

"""List addresses that an older version may have folded into someone else's. Read-only."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.kit import email_address
from accounts.management.command import Listed, OurCommand
from accounts.upkeep import old_addresses


class Command(OurCommand):
    area, brief = "People", "list addresses that may have been typed differently"
    help = (
        "Lists verified addresses that may have been typed differently (such as straße.de, stored as "
        "strasse.de), with what verified each: `mail` is proof enough, but ask the owner about `google` and "
        "`import`. Changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--ambiguous", action="store_true", help="required: the only list available")

    def handle(self, *args: Any, ambiguous: bool, **options: Any) -> None:
        if not ambiguous:
            raise CommandError("Choose what to list: --ambiguous.")
        rows = [
            {"user_id": user.pk, "proof": proof, "email": email_address.shown(user.email or "")}
            for user, proof in old_addresses.ambiguous()
        ]
        self.tell(Listed(rows), *("{user_id}  {proof:<6}  {email}".format(**row) for row in rows))
        self.stderr.write(f"{len(rows)} addresses may have been typed differently.")

"""Suspend or reactivate a user from the command line, with the same rules and audit as the admin."""

import getpass
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.identity import status
from accounts.management.command import OurCommand
from accounts.models import User

VERBS = {"suspend": status.suspend, "reactivate": status.reactivate}


class Command(OurCommand):
    area, brief = "People", "suspend or reactivate a user"
    help = (
        "Suspends a user, which ends every session and blocks spending at the next request, or reactivates "
        "one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar=" | ".join(VERBS))
        for name, text in {
            "suspend": "end every session and block spending",
            "reactivate": "let the user back in",
        }.items():
            verb = verbs.add_parser(name, help=text)
            verb.add_argument("user", help="id or email address")
            verb.add_argument("--reason", required=True, help="kept in the audit log")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.by_id_or_email(options["user"]).first()
        if user is None:
            raise CommandError(f"User {options['user']} not found.")
        actor = f"manage.py {getpass.getuser()}"[:64]
        try:
            VERBS[options["verb"]](user_id=user.pk, reason=options["reason"], actor=actor)
        except status.StatusRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        user.refresh_from_db()
        self.tell(
            {"user_id": user.pk, "status": user.status}, f"{user} is now {user.get_status_display().lower()}."
        )

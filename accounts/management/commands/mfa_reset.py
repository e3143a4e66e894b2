"""Help someone who has lost every second factor: a delay (FACTOR_RESET_DELAY), mails, and a link to cancel."""

import getpass
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from accounts.factors import resets as factor_resets
from accounts.factors.resets import ResetRefused
from accounts.mail.terms import HOUR, in_units
from accounts.management.command import Listed, OurCommand
from accounts.models import FactorReset, User


class Command(OurCommand):
    area, brief = "People", "remove all second factors of a user who has lost them"
    help = (
        f"Removes every second factor of a user, {in_units(settings.FACTOR_RESET_DELAY, HOUR)} hours from now. "
        "An email tells the user at once, with a link that "
        "cancels it, and again when it is done."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="order | cancel | list")
        for name, text in {"order": "remove them after the delay", "cancel": "cancel the removal"}.items():
            verb = verbs.add_parser(name, help=text)
            verb.add_argument("user", help="id or email address")
            verb.add_argument(
                "--reason", default="", help="how you recognised the person; kept in the audit log"
            )
        verbs.add_parser("list", help="list pending resets")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "list":
            rows = [_row(reset) for reset in FactorReset.objects.open().order_by("applies_at")]
            self.tell(Listed(rows), *(map(_line, rows) if rows else ["None."]))
            return
        user = User.objects.by_id_or_email(options["user"]).first()
        if user is None:
            raise CommandError(f"User {options['user']} not found.")
        actor = f"manage.py {getpass.getuser()}"[:64]
        try:
            self._carry_out(user, actor, options)
        except ResetRefused as refusal:
            raise CommandError(str(refusal)) from refusal

    def _carry_out(self, user: User, actor: str, options: dict[str, Any]) -> None:
        reason = options["reason"]
        if options["verb"] == "cancel":
            factor_resets.cancel(user_id=user.pk, actor=actor, reason=reason)
            self.tell({"user_id": user.pk, "cancelled": True}, f"{user} keeps the second factors.")
            return
        row = _row(factor_resets.request(user_id=user.pk, reason=reason, actor=actor))
        self.tell(row, _line(row))


def _row(reset: FactorReset) -> dict[str, str]:
    return {
        "user_id": str(reset.user_id),
        "applies_at": reset.applies_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "actor": reset.actor,
        "reason": reset.reason,
    }


def _line(row: dict[str, str]) -> str:
    return f"{row['user_id']}: every second factor will be removed at {row['applies_at']}. {row['reason']}"

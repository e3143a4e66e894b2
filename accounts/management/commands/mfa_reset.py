"""Helps somebody who has lost every second factor: a delay (FACTOR_RESET_DELAY), mails, a link that cancels it."""

import getpass
import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.factors import resets as factor_resets
from accounts.factors.resets import ResetRefused
from accounts.mail.terms import HOUR, in_units
from accounts.models import FactorReset, User


class Command(BaseCommand):
    help = (
        f"Removes every second factor of a user, {in_units(settings.FACTOR_RESET_DELAY, HOUR)} hours from now. "
        "The user is told by mail at once, with a link that "
        "cancels it, and when it is done. Without a user it lists what is under way."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", nargs="?", help="id or email address")
        parser.add_argument(
            "--reason", default="", help="how the person was recognised; kept in the audit log"
        )
        parser.add_argument("--cancel", action="store_true", help="take it back")
        parser.add_argument("--json", action="store_true", dest="as_json", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["user"] is None:
            self._show(list(FactorReset.objects.open().order_by("applies_at")), as_json=options["as_json"])
            return
        user = User.objects.by_id_or_email(options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['user']}.")
        actor = f"manage.py {getpass.getuser()}"[:64]
        try:
            self._carry_out(user, actor, options)
        except ResetRefused as refusal:
            raise CommandError(str(refusal)) from refusal

    def _carry_out(self, user: User, actor: str, options: dict[str, Any]) -> None:
        if options["cancel"]:
            factor_resets.cancel(user_id=user.pk, actor=actor, reason=options["reason"])
            self.stdout.write(
                json.dumps({"user_id": str(user.pk), "cancelled": True})
                if options["as_json"]
                else f"{user} keeps the second factors."
            )
            return
        reset = factor_resets.request(user_id=user.pk, reason=options["reason"], actor=actor)
        self._show([reset], as_json=options["as_json"])

    def _show(self, resets: list[FactorReset], *, as_json: bool) -> None:
        rows = [
            {
                "user_id": str(reset.user_id),
                "applies_at": reset.applies_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "actor": reset.actor,
                "reason": reset.reason,
            }
            for reset in resets
        ]
        lines = [
            f"{row['user_id']}: every second factor goes at {row['applies_at']}. {row['reason']}"
            for row in rows
        ]
        self.stdout.write(json.dumps(rows, indent=2) if as_json else "\n".join(lines or ["None."]))

"""Print the one-time link with which a member of staff enrols their first second factor."""

import getpass
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.mail.terms import HOUR, in_units
from accounts.mail.tokens import LIFETIMES, Purpose
from accounts.management.command import OurCommand
from accounts.models import User
from accounts.sign_in import staff_enrolment
from accounts.sign_in.staff_enrolment import LinkRefused

WITHIN = in_units(LIFETIMES[Purpose.STAFF_ENROL], HOUR)


class Command(OurCommand):
    area, brief = "Staff", "print the link for a first second factor"
    help = (
        f"Prints a one-time enrolment link, valid for {WITHIN} hours; the password is still required. "
        "Older links for the user become void."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="id or email address")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.by_id_or_email(options["user"]).first()
        if user is None:
            raise CommandError(f"User {options['user']} not found.")
        try:
            link = staff_enrolment.make_link(user, actor=f"manage.py {getpass.getuser()}"[:64])
        except LinkRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        self.tell({"user_id": user.pk, "link": link}, link)

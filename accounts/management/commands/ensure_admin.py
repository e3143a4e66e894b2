"""Create a superuser from ADMIN_EMAIL and ADMIN_PASSWORD if none is active; never change an existing one."""

import os
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import transaction

from accounts import audit
from accounts.audit import Event
from accounts.management.command import OurCommand
from accounts.models import User
from accounts.sign_in import staff_enrolment

ACTOR = "manage.py ensure_admin"


class Command(OurCommand):
    area, brief = "Staff", "make the first superuser"
    help = (
        "Creates the superuser named by ADMIN_EMAIL and ADMIN_PASSWORD, unless there is an active superuser, "
        "with this address or another."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        email, password = os.environ.get("ADMIN_EMAIL", ""), os.environ.get("ADMIN_PASSWORD", "")
        if not email or not password:
            raise CommandError("ADMIN_EMAIL and ADMIN_PASSWORD must be set in the environment.")
        existing = User.objects.by_email(email).first()
        others = User.objects.active().filter(is_superuser=True)
        if existing is None and others.exists():
            self.tell(
                {"email": email, "created": False},
                "Another superuser is active; nothing was changed. manage.py createsuperuser creates further ones.",
            )
        elif existing is None:
            self._create(email, password)
        elif existing.is_superuser and existing.is_active:
            self.tell(
                {"email": email, "created": False}, f"{email} is already a superuser; nothing was changed."
            )
        else:
            raise CommandError(
                f"{email} belongs to a user who is not an active superuser; nothing was changed."
            )

    def _create(self, email: str, password: str) -> None:
        try:
            user = create_first_admin(email=email, password=password)
        except ValidationError as error:
            raise CommandError(f"ADMIN_EMAIL or ADMIN_PASSWORD: {' '.join(error.messages)}") from None
        link = staff_enrolment.make_link(user, actor=ACTOR)
        self.tell(
            {"email": email, "created": True, "link": link},
            f"Created the superuser {email}. Add its second factor through this one-time link: {link}",
        )


@transaction.atomic
def create_first_admin(*, email: str, password: str) -> User:
    user = User.objects.create_superuser(email, password)
    audit.record(Event.SUPERUSER_CREATED, user_id=user.pk, actor=ACTOR)
    return user

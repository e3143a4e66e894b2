"""Manage the keys with which front ends' servers sign X-Client-Assertion."""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.front_ends import keys
from accounts.front_ends.keys import KeyRefused
from accounts.management.command import Listed, OurCommand
from accounts.models import FrontEndKey

ACTOR = "manage.py"


class Command(OurCommand):
    area, brief = "Services", "make, list and revoke keys for front ends' servers"
    help = (
        "Makes, lists and revokes the keys with which front ends' servers sign assertions about their "
        "clients. The private half is shown only once, when the key is made."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="create | list | revoke")
        create = actions.add_parser("create", help="make a key for a front end; its older keys stay valid")
        create.add_argument("name")
        revoke = actions.add_parser("revoke", help="end a key permanently")
        revoke.add_argument("id")
        actions.add_parser("list", help="list keys, without their private halves")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action}")(**options)
        except KeyRefused as refusal:
            raise CommandError(str(refusal)) from refusal

    def _create(self, *, name: str, **_: Any) -> None:
        made = keys.make(name=name, actor=ACTOR)
        if not self.as_json:
            self.stderr.write(
                f"Key {made.id} of the front end {made.name}. Its private half is shown once, here:"
            )
        self.tell(
            {"id": made.id, "name": made.name, "jwk": made.jwk}, json.dumps(made.jwk, separators=(",", ":"))
        )

    def _revoke(self, *, id: str, **_: Any) -> None:
        changed = keys.revoke(key_id=id, actor=ACTOR)
        self.tell(
            {"id": id, "revoked": True, "changed": changed},
            f"{id} is revoked." if changed else f"{id} was already revoked; nothing was changed.",
        )

    def _list(self, **_: Any) -> None:
        rows = [
            {"name": key.name, "id": key.pk, "state": "revoked" if key.revoked_at else "live"}
            for key in FrontEndKey.objects.order_by("name", "created_at")
        ]
        lines = ["  ".join(row.values()) for row in rows] or ["No front end has a key yet."]
        self.tell(Listed(rows), *lines)

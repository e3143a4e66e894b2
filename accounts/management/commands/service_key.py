"""Manage the keys with which other services call the internal listener."""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from accounts.management.command import Listed, OurCommand
from accounts.models import ServiceKey
from accounts.service_keys import issuing
from accounts.service_keys.issuing import IssuedKey, KeyRefused
from accounts.service_keys.registry import REFRESH_SECONDS, SCOPES, from_environment

ACTOR = "manage.py"
COLUMNS = ("service", "id", "state", "expires_at", "last_used_at", "daily_budget", "scopes")


class Command(OurCommand):
    area, brief = "Services", "make, list, rotate, limit and revoke services' API keys"
    help = "Makes, lists, rotates and revokes services' API keys. A key is shown only once, when it is made."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(
            dest="action", required=True, metavar="create | list | rotate | revoke | budget"
        )
        create = actions.add_parser("create", help="make the first key of a new service")
        create.add_argument("name")
        create.add_argument("--scopes", required=True, help=f"comma-separated: {', '.join(sorted(SCOPES))}")
        create.add_argument("--another", action="store_true", help="make another key for an existing service")
        create.add_argument(
            "--daily-budget", type=int, metavar="N", help="credits that it may grant per day (UTC)"
        )
        rotate = actions.add_parser(
            "rotate",
            help="make a new key with the same scopes and budget; the old ones stay valid until revoked",
        )
        rotate.add_argument("name")
        revoke = actions.add_parser("revoke", help="end a key permanently")
        revoke.add_argument("id")
        budget = actions.add_parser("budget", help="limit the credits that a key may grant per day (UTC)")
        budget.add_argument("id")
        budget.add_argument("daily_budget", type=_budget, metavar="N", help="whole credits, or none")
        actions.add_parser("list", help="list keys, without their secret parts")
        for subparser in (create, rotate):
            subparser.add_argument("--expires-in-days", type=int, metavar="N")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action}")(**options)
        except KeyRefused as refusal:
            raise CommandError(str(refusal)) from refusal

    def _create(self, *, name: str, scopes: str, **options: Any) -> None:
        wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
        names = ("another", "expires_in_days", "daily_budget")
        issued = issuing.create(
            service=name, scopes=wanted, actor=ACTOR, **{name: options[name] for name in names}
        )
        self._show(issued)

    def _rotate(self, *, name: str, expires_in_days: int | None, **_: Any) -> None:
        issued = issuing.rotate(service=name, actor=ACTOR, expires_in_days=expires_in_days)
        self._show(issued)
        if not self.as_json:
            self.stderr.write(
                f"The older keys of {name} still work: `service_key list`, then `service_key revoke ID`."
            )

    def _revoke(self, *, id: str, **_: Any) -> None:
        changed = issuing.revoke(key_id=id, actor=ACTOR)
        self.tell(
            {"id": id, "revoked": True, "changed": changed},
            f"{id} is revoked." if changed else f"{id} was already revoked; nothing was changed.",
        )

    def _budget(self, *, id: str, daily_budget: int | None, **_: Any) -> None:
        changed = issuing.set_budget(key_id=id, daily_budget=daily_budget, actor=ACTOR)
        what = "no budget" if daily_budget is None else f"a budget of {daily_budget:,} credits a day"
        self.tell(
            {"id": id, "daily_budget": daily_budget, "changed": changed},
            f"{id} has {what}." if changed else f"{id} already had {what}; nothing was changed.",
        )

    def _list(self, **_: Any) -> None:
        rows = [*_from_database(), *_from_environment()]
        self.tell(Listed(rows), _table([COLUMNS, *([_cell(row[name]) for name in COLUMNS] for row in rows)]))

    def _show(self, issued: IssuedKey) -> None:
        time.sleep(REFRESH_SECONDS)  # by then every process knows the key
        document = {
            "service": issued.service, "id": issued.id, "key": issued.text, "scopes": issued.scopes,
            "expires_at": _time(issued.expires_at), "daily_budget": issued.daily_budget,
        }  # fmt: skip
        if not self.as_json:
            end = f"until {_time(issued.expires_at)}" if issued.expires_at else "without expiry"
            if issued.daily_budget is not None:
                end += f", granting at most {issued.daily_budget:,} credits a day"
            self.stderr.write(f"Key {issued.id} of {issued.service}, {end}, for {', '.join(issued.scopes)}.")
            self.stderr.write("It is shown once, here:")
        self.tell(document, issued.text)


def _from_database() -> Iterator[dict[str, Any]]:
    live = set(ServiceKey.objects.live().values_list("pk", flat=True))
    for key in ServiceKey.objects.order_by("service_id", "created_at"):
        yield {
            "service": key.service_id,
            "id": key.pk,
            "state": "live" if key.pk in live else "revoked" if key.revoked_at else "expired",
            "scopes": key.scopes,
            "expires_at": _time(key.expires_at),
            "last_used_at": _time(key.last_used_at),
            "daily_budget": key.daily_budget,
        }


def _from_environment() -> Iterator[dict[str, Any]]:
    for credential in from_environment(settings.INTERNAL_API_KEYS):
        yield {
            "service": credential.service,
            "id": credential.key_id,
            "state": "environment",
            "scopes": sorted(credential.scopes),
            "expires_at": None,
            "last_used_at": None,
            "daily_budget": None,
        }


def _budget(text: str) -> int | None:
    return None if text == "none" else int(text)


def _time(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return "-" if value is None else str(value)


def _table(rows: list[Any]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    return "\n".join(lines)

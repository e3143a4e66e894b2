"""Manage other services' webhooks from the command line."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import Count, Q

from accounts.events import subscriptions
from accounts.events.subscriptions import Issued, SubscriptionRefused
from accounts.management.command import Listed, OurCommand
from accounts.models import EventSubscription

ACTOR = "manage.py"
ACTIONS = "create | list | change | rotate | retire | send-again"


class Command(OurCommand):
    area, brief = "Services", "subscribe services to events"
    help = "Manages other services' subscriptions to events. A secret is shown only once, when it is made."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar=ACTIONS)
        create = actions.add_parser("create", help="subscribe a service to events from now on")
        create.add_argument("name")
        create.add_argument("url")
        create.add_argument("--types", default="", help="comma-separated (default: all)")
        change = actions.add_parser("change", help="change the address or the types; pause and resume")
        change.add_argument("name")
        change.add_argument("--url")
        change.add_argument("--types")
        state = change.add_mutually_exclusive_group()
        state.add_argument("--enable", action="store_const", const=True, dest="enabled")
        state.add_argument("--disable", action="store_const", const=False, dest="enabled")
        for name, text in {
            "rotate": "make a new secret; the previous one also signs until `retire`",
            "retire": "retire old secrets: only the newest one signs",
            "send-again": "retry all dead deliveries",
        }.items():
            actions.add_parser(name, help=text).add_argument("name")
        actions.add_parser("list", help="list subscriptions with their open and dead deliveries")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action.replace('-', '_')}")(**options)
        except SubscriptionRefused as refusal:
            raise CommandError(str(refusal)) from refusal

    def _create(self, *, name: str, url: str, types: str, **_: Any) -> None:
        self._show(subscriptions.create(name=name, url=url, types=_split(types), actor=ACTOR))

    def _rotate(self, *, name: str, **_: Any) -> None:
        self._show(subscriptions.rotate(name=name, actor=ACTOR))
        if not self.as_json:
            self.stderr.write(f"The previous one also signs until `event_subscription retire {name}`.")

    def _retire(self, *, name: str, **_: Any) -> None:
        changed = subscriptions.retire(name=name, actor=ACTOR)
        self.tell(
            {"name": name, "changed": changed},
            "Only the newest secret signs now."
            if changed
            else "There was only one secret; nothing was changed.",
        )

    def _change(
        self, *, name: str, url: str | None, types: str | None, enabled: bool | None, **_: Any
    ) -> None:
        wanted = None if types is None else _split(types)
        subscriptions.change(name=name, url=url, types=wanted, enabled=enabled, actor=ACTOR)
        self._list()

    def _send_again(self, *, name: str, **_: Any) -> None:
        revived = subscriptions.send_again(subscriptions.dead_of(name), actor=ACTOR)
        self.tell({"name": name, "queued": revived}, f"{revived} queued for redelivery.")

    def _list(self, **_: Any) -> None:
        rows = [_row(one) for one in _with_counts()]
        self.tell(Listed(rows), *map(_line, rows))

    def _show(self, issued: Issued) -> None:
        if not self.as_json:
            self.stderr.write(f"The secret of {issued.subscription} is shown once, here:")
        self.tell({"name": issued.subscription.name, "secret": issued.secret}, issued.secret)


def _split(types: str) -> list[str]:
    return [name.strip() for name in types.split(",") if name.strip()]


def _with_counts() -> Any:
    waiting = Q(deliveries__delivered_at=None, deliveries__dead_at=None, deliveries__isnull=False)
    dead = Q(deliveries__dead_at__isnull=False)
    return EventSubscription.objects.order_by("name").annotate(
        open=Count("deliveries", filter=waiting), dead=Count("deliveries", filter=dead)
    )


def _line(row: dict[str, Any]) -> str:
    types = row["types"] if row["types"] == "all" else ",".join(row["types"])
    state = "enabled" if row["enabled"] else "disabled"
    return f"{row['name']:<16}{state:<10}{row['open']:>7} open{row['dead']:>7} dead  {row['url']}  {types}"


def _row(subscription: Any) -> dict[str, Any]:
    return {
        "name": subscription.name,
        "url": subscription.url,
        "types": subscription.types or "all",
        "enabled": subscription.enabled,
        "secrets": len(subscription.secrets),
        "open": subscription.open,
        "dead": subscription.dead,
        "failures_in_a_row": subscription.failures_in_a_row,
    }

"""manage.py distribute_ledger: spreads the ledger over the servers of a PostgreSQL with the Citus extension."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection

from accounts.management.command import OurCommand
from accounts.management.commands.migrate import owner_connection
from accounts.upkeep.database_roles import grant_to_serving_role
from credits import distribution
from credits.distribution import Table

MOST = 4096


def number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST}.")
    return int(text)


class Command(OurCommand):
    area, brief = "Credits", "spread the ledger over several servers"
    help = (
        "Distributes balances, grants and journal by holder, on PostgreSQL with the Citus extension, "
        "which must already know its servers. Connects with DATABASE_MIGRATE_URL and runs in one "
        "transaction, with the service stopped. Safe to repeat. Exit status 1: nothing was changed, "
        "and the obstacle is named."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--shards",
            type=number,
            metavar="N",
            default=distribution.SHARDS,
            help=f"number of shards for each table (default: {distribution.SHARDS})",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only show what there is to do and what prevents it"
        )

    def handle(self, *, shards: int, dry_run: bool, **options: Any) -> None:
        if settings.MIGRATES_THROUGH_POOLER:
            raise CommandError(
                "DATABASE_MIGRATE_URL must lead to PostgreSQL itself, past the pooler of DATABASE_POOL."
            )
        with owner_connection():
            if distribution.is_done():
                self._report("The ledger is already distributed.", dry_run=dry_run, shards=shards, moved=[])
                return
            obstacles = distribution.obstacles(serving=settings.SERVING_ROLE)
            if obstacles:
                self._refuse(obstacles, dry_run=dry_run)
            if dry_run:
                found = distribution.tables()
                self._report("Nothing was changed.", dry_run=True, shards=shards, moved=found)
                return
            self._distribute(shards)

    def _distribute(self, shards: int) -> None:
        try:
            moved = distribution.distribute(count=shards)
        except distribution.CannotDistribute as reason:
            raise CommandError(str(reason)) from reason
        serving, owner = settings.SERVING_ROLE, settings.MIGRATION_DATABASE["USER"]
        if serving not in {"", owner}:
            grant_to_serving_role(connection, role=serving)
        self._report("Now run `manage.py verify_ledger`.", dry_run=False, shards=shards, moved=moved)

    def _report(self, last: str, *, dry_run: bool, shards: int, moved: list[Table]) -> None:
        servers = distribution.servers()
        lines = [f"{one.table}: {one.rows} rows, {one.bytes} bytes" for one in moved]
        if moved:
            lines.append(f"{shards} shards of each, on {servers} servers.")
        document = {
            "dry_run": dry_run,
            "changed": bool(moved) and not dry_run,
            "servers": servers,
            "obstacles": [],
            "results": moved,
        }
        self.tell(document, *lines, last)

    def _refuse(self, obstacles: list[str], *, dry_run: bool) -> NoReturn:
        if self.as_json:
            self.tell({"dry_run": dry_run, "changed": False, "obstacles": obstacles, "results": []})
        raise CommandError("\n".join(obstacles))

"""manage.py partition_ledger N: splits journal and lots into hash partitions by holder, while the service runs."""

from argparse import ArgumentParser, ArgumentTypeError
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts.kit.progress import Progress
from accounts.management.command import OurCommand
from accounts.management.commands.migrate import owner_connection
from credits.partitions import cutting
from credits.partitions.checking import WrongCopy
from credits.partitions.patience import NeverFree

MOST = 256


def number(text: str) -> int:
    if not text.isdecimal() or not 2 <= int(text) <= MOST:
        raise ArgumentTypeError(f"{text!r} is not a number from 2 to {MOST}.")
    return int(text)


@dataclass
class Done:
    """A run's work on a table: rows copied and compared, and the seconds for which it was locked."""

    copied: int = 0
    compared: int = 0
    locked: float = 0.0

    def add(self, step: cutting.Step) -> None:
        self.copied += step.many if step.doing == "copied" else 0
        self.compared += step.many if step.doing == "compared" else 0
        self.locked += step.seconds


class Command(OurCommand):
    area, brief = "Credits", "cut the ledger into partitions by holder"
    help = (
        "Copies the journal and the lots into hash partitions by holder while the service runs, compares the "
        "copies row by row and as verify_ledger does, and swaps them in within a second. Connects with "
        "DATABASE_MIGRATE_URL. If it is killed, the next run continues. Exit status 1: nothing was swapped, "
        "and the reason is printed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("count", type=number, metavar="N", help=f"partitions, from 2 to {MOST}")
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only show how much there is to do and how long it will take",
        )
        parser.add_argument("--abandon", action="store_true", help="undo an unfinished run")

    def handle(self, *, count: int, dry_run: bool, abandon: bool, **options: Any) -> None:
        if settings.MIGRATES_THROUGH_POOLER:
            raise CommandError(
                "DATABASE_MIGRATE_URL must lead to PostgreSQL itself, past the pooler of DATABASE_POOL."
            )
        try:
            with owner_connection():
                if dry_run:
                    self._need(count)
                elif abandon:
                    self._abandon()
                else:
                    self._partition(count)
        except (cutting.CannotPartition, NeverFree) as reason:
            raise CommandError(str(reason)) from reason
        except WrongCopy as wrong:
            self._report_wrong(wrong)

    def _need(self, count: int) -> None:
        needs = cutting.needs(count)
        lines = [
            f"{one.table}: {one.rows} rows, {one.bytes} bytes, about {one.seconds:.0f} s" for one in needs
        ]
        self.tell({"dry_run": True, "results": needs}, *lines or ["There is nothing to do."])

    def _abandon(self) -> None:
        tables = cutting.abandon()
        self.tell({"abandoned": tables}, f"Abandoned: {', '.join(tables) or 'nothing had been started'}.")

    def _partition(self, count: int) -> None:
        done: dict[str, Done] = defaultdict(Done)
        verified = 0
        with Progress("rows", total=cutting.rows_left(count)) as progress:
            for step in cutting.partition(count):
                if step.doing == "verified":
                    verified += step.many
                else:
                    done[step.table].add(step)
                progress.add(step.many if step.doing == "copied" else 0)
        results = [{"table": table, **asdict(one)} for table, one in done.items()]
        lines = [
            f"{table}: {one.copied} rows copied, locked for {one.locked:.2f} s" for table, one in done.items()
        ]
        self.tell(
            {"partitions": count, "users_verified": verified, "results": results},
            *lines or ["There was nothing to do."],
        )

    def _report_wrong(self, wrong: WrongCopy) -> None:
        found = [
            {"user_id": str(one.user_id), "place": one.place, "finding": one.finding}
            for one in wrong.findings
        ]
        lines = ["{user_id}: {finding} at {place}".format(**one) for one in found]
        self.tell({"ok": False, "findings": found}, *lines)
        raise CommandError(f"{wrong} Nothing was swapped.")

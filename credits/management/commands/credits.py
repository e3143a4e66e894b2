"""manage.py credits balance|history|export USER: what a user has, and how it came to be."""

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import msgspec
from django.core.management.base import CommandError

from accounts.kit.problems import Problem, ValidationFailed
from accounts.kit.progress import Progress
from accounts.management.command import Listed, OurCommand
from accounts.models import User
from credits import export
from credits.answers import balance_answer, transaction_answer
from credits.errors import explained
from credits.ledger import balance, clock
from credits.management.arguments import how_many, moment, named_user
from credits.models import CreditTransaction, TransactionType
from credits.templatetags.credit_amounts import signed


class Command(OurCommand):
    area, brief = "Credits", "show a user's balance, history, or all of it as a file"
    help = (
        "Shows a user's credits: the balance, now or in the past; the latest transactions; or all of them as "
        "a file."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="subcommand", required=True)
        self._balance_arguments(
            commands.add_parser("balance", help="the balance, now or at a time in the past")
        )
        self._history_arguments(commands.add_parser("history", help="the latest transactions"))
        self._export_arguments(commands.add_parser("export", help="every transaction, newest first"))

    def _balance_arguments(self, parser: ArgumentParser) -> None:
        _add_user(parser)
        parser.add_argument(
            "--at", type=moment, metavar="TIME", help="a time in the past; UTC unless it has an offset"
        )
        parser.set_defaults(show=self._show_balance)

    def _history_arguments(self, parser: ArgumentParser) -> None:
        _add_user(parser)
        _add_filters(parser)
        parser.add_argument("--limit", type=how_many, default=20, help="how many, newest first (default: 20)")
        parser.set_defaults(show=self._show_history)

    def _export_arguments(self, parser: ArgumentParser) -> None:
        _add_user(parser)
        _add_filters(parser)
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="a new file (default: standard output)"
        )
        parser.add_argument(
            "--csv",
            action="store_true",
            help="CSV with a header, safe for spreadsheets (default; with --json: one object a line)",
        )
        parser.set_defaults(show=self._export)

    def handle(self, *, user: str, show: Callable[..., None], **options: Any) -> None:
        try:
            show(named_user(user), **options)
        except ValidationFailed as problem:
            raise CommandError("; ".join(fault["detail"] for fault in problem.extra["errors"])) from problem
        except Problem as problem:
            raise CommandError(explained(problem)) from problem

    def _show_balance(self, user: User, *, at: datetime | None, **_: Any) -> None:
        found = balance.current(user.pk) if at is None else balance.past(user.pk, at)
        if self.as_json:
            self.tell(balance_answer(found, present=at is None))
            return
        self.stdout.write(f"{user}, {found.as_of.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
        for label in ("balance", "held", "debt", "available"):
            self.stdout.write(f"  {label:<10}{getattr(found, label):>20,}")
        for amount, expires_at in found.expiring:
            self.stdout.write(f"  of it {amount:,} until {expires_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
        if found.blocked:
            self.stdout.write(f"  spending is blocked: {', '.join(found.blocked)}")

    def _show_history(self, user: User, *, limit: int, **options: Any) -> None:
        rows = list(islice(_history(user, **options), limit))
        self.tell(Listed([transaction_answer(row) for row in rows]), *map(_line, rows))

    def _export(self, user: User, *, output: Path | None, csv: bool, **options: Any) -> None:
        if csv and self.as_json:
            raise CommandError("Choose either --csv or --json.")
        rows = _history(user, **options)
        total = _matching(user, **options).count()
        with _opened(output, self.stdout) as file, Progress("transactions", total=total) as progress:
            shown = _with_progress(rows, progress)
            lines = (_json_line(row) for row in shown) if self.as_json else export.lines(shown)
            for line in lines:
                file.write(line)
        if output:
            self.stderr.write(f"{progress.done:,} transactions in {output}.")


def _add_user(parser: ArgumentParser) -> None:
    parser.add_argument("user", help="the user, by id or address")


def _add_filters(parser: ArgumentParser) -> None:
    parser.add_argument("--type", choices=list(TransactionType), help="only this type")
    parser.add_argument("--since", type=moment, metavar="TIME", help="from this time on")
    parser.add_argument("--until", type=moment, metavar="TIME", help="before this time")


def _history(user: User, **options: Any) -> Iterator[CreditTransaction]:
    """Yield rows, newest first, including those that are due but not posted yet."""
    due = balance.unposted(user.pk, clock.now())
    unposted = [row for row in reversed(due) if _matches(row, **options)]
    return chain(unposted, export.newest_first(_matching(user, **options), order=("-at",)))


def _matching(
    user: User, *, type: str | None, since: datetime | None, until: datetime | None, **_: Any
) -> Any:
    filters = {"type": type, "at__gte": since, "at__lt": until}
    given = {name: value for name, value in filters.items() if value is not None}
    return CreditTransaction.objects.filter(holder_id=user.pk, **given)


def _matches(
    row: CreditTransaction,
    *,
    type: str | None,
    since: datetime | None,
    until: datetime | None,
    **_: Any,
) -> bool:
    return (
        type in (None, row.type) and (since is None or row.at >= since) and (until is None or row.at < until)
    )


def _line(row: CreditTransaction) -> str:
    texts = " ".join(text for text in (row.description, row.reference) if text)
    return (
        f"{row.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}  {row.type:<12}{signed(row.amount):>14} {row.balance:>16,}  "
        f"{row.service:<12} {_printable(texts)}"
    ).rstrip()


def _printable(text: str) -> str:
    """Replace unprintable characters: no escape sequence in a text from outside may reach the terminal."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _json_line(row: CreditTransaction) -> str:
    return f"{msgspec.json.encode(transaction_answer(row)).decode()}\n"


def _with_progress(rows: Iterable[CreditTransaction], progress: Progress) -> Iterator[CreditTransaction]:
    for row in rows:
        yield row
        progress.add()


@contextmanager
def _opened(path: Path | None, stdout: Any) -> Iterator[TextIO]:
    """Open a new file to write, or standard output. Refuse a file that exists, and remove an unfinished one."""
    if path is None:
        try:
            yield stdout._out if hasattr(stdout, "_out") else stdout  # noqa: SLF001 -- OutputWrapper adds line ends
        except BrokenPipeError:
            sys.stderr.close()  # the reader has gone (`| head`): not an error
        return
    try:
        file = path.open("x", newline="", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    with file:
        try:
            yield file
        except BaseException:
            path.unlink()
            raise

"""Write the journal as CSV, row by row, so that memory use does not grow with the history."""

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any

from django.db.models import QuerySet

from credits import history
from credits.models import CreditTransaction

COLUMNS = (
    "id", "user_id", "type", "amount", "balance_after", "held_after", "description", "reference", "metadata",
    "service", "created_at", "refund_of", "hold_id", "feature", "quantity", "unit_price",
)  # fmt: skip
ROWS_AT_A_TIME = 1000
# What a spreadsheet takes for a formula (OWASP, CSV injection); the full-width forms matter in a Japanese Excel.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")


class _Line:
    """A file for csv.writer whose `write` returns the line."""

    def write(self, line: str) -> str:
        return line


def lines(rows: Iterable[CreditTransaction]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    for row in rows:
        yield writer.writerow(_cells(row))


def newest_first(rows: QuerySet[CreditTransaction], *, order: tuple[str, ...]) -> Iterator[CreditTransaction]:
    """Yield all rows of a query, a page at a time after the last row seen: no cursor, no long transaction.

    Pages after the first may come from a standby. `order` is ("-at",) for one user, whose times are unique, else
    ("-id",).
    """
    page = list(rows.order_by(*order)[:ROWS_AT_A_TIME])
    while page:
        yield from page
        last = page[-1]
        name = order[0].removeprefix("-")
        place = getattr(last, name)
        behind = rows.filter(**{f"{name}__lt": place}).order_by(*order)[:ROWS_AT_A_TIME]
        page = history.behind(behind, holder=last.holder_id if name == "at" else None, place=place)


def _cells(row: CreditTransaction) -> list[Any]:
    return [
        row.pk, row.holder_id, row.type, row.amount, row.balance, row.held, _inert(row.description),
        _inert(row.reference), _inert(None if row.metadata is None else json.dumps(row.metadata)),
        _inert(row.service), row.at.astimezone(UTC).isoformat().replace("+00:00", "Z"), row.refund_of, row.hold,
        _inert(row.feature), row.quantity, row.unit_price,
    ]  # fmt: skip


def _inert(text: str | None) -> str | None:
    return f"'{text}" if text and text.startswith(_FORMULA) else text

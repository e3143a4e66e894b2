"""The columns with sealed texts (settings.SEALED_COLUMNS), and their re-encryption under the ring's first key."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.db.models import Model, QuerySet
from django.utils.module_loading import import_string

from accounts.kit import pages, sealing
from accounts.kit.sealing import SealedTextUnreadable

ROWS_AT_A_TIME = 500


class SealedColumn(NamedTuple):
    """A column with sealed texts. `name` is app.Model.column; `context` returns the context of a row."""

    name: str
    model: type[Model]
    column: str
    context: Callable[[Any], str]

    def all(self) -> QuerySet[Any]:
        """Return every row; no manager of the model hides any."""
        return QuerySet(self.model)

    def rows(self) -> Iterator[Any]:
        """Yield all rows with a value, in the order of their keys."""
        present = self.all().exclude(**{f"{self.column}__isnull": True})
        return pages.by_key(present, at_a_time=ROWS_AT_A_TIME)


class Outcome(NamedTuple):
    """The number of resealed rows, and the ids of those that no key of the ring opens."""

    resealed: int
    unreadable: list[str]


def columns() -> list[SealedColumn]:
    return [_column(name, path) for name, path in settings.SEALED_COLUMNS.items()]


def _column(name: str, path: str) -> SealedColumn:
    model, _, column = name.rpartition(".")
    return SealedColumn(name, apps.get_model(model), column, import_string(path))


def keys_in_use(column: SealedColumn) -> Counter[str]:
    """Return how many sealed texts each key has in this column."""
    return Counter(
        sealing.key_id(text)
        for row in column.rows()
        for text in sealing.sealed_texts(getattr(row, column.column))
    )


def reencrypt(column: SealedColumn, *, on_row: Callable[[], None] = lambda: None) -> Outcome:
    """Reseal each row by a conditional UPDATE. A concurrent write wins, since it uses the first key anyway."""
    resealed, unreadable = 0, []
    for row in column.rows():
        value = getattr(row, column.column)
        try:
            fresh = sealing.resealed(value, context=column.context(row))
        except SealedTextUnreadable:
            unreadable.append(str(row.pk))
        else:
            resealed += fresh != value and _replace(column, row, fresh)
        on_row()
    return Outcome(resealed, unreadable)


def _replace(column: SealedColumn, row: Any, fresh: object) -> int:
    unchanged = column.all().filter(pk=row.pk, **{column.column: getattr(row, column.column)})
    return unchanged.update(**{column.column: fresh})

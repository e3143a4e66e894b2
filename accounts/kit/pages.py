"""Iterate over many rows page by page: no server-side cursor, no long transaction, little memory."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from django.db.models import Model, QuerySet

AT_A_TIME = 1000

Row = TypeVar("Row", bound=Model)


def by_key(
    rows: QuerySet[Row], *, at_a_time: int = AT_A_TIME, fetch: Callable[[QuerySet[Row]], list[Row]] = list
) -> Iterator[Row]:
    """Yield a query's rows in the order of their keys, each as it was when its page was read."""
    ordered = rows.order_by("pk")
    page = fetch(ordered[:at_a_time])
    while page:
        yield from page
        page = fetch(ordered.filter(pk__gt=page[-1].pk)[:at_a_time]) if len(page) == at_a_time else []

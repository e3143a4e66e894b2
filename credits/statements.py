"""Run single SQL statements that return few rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

Values = Sequence[Any] | Mapping[str, Any]


def run(statement: str, values: Values = ()) -> int:
    """Run one statement and return the number of rows affected."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return int(cursor.rowcount)


def rows(query: str, values: Values = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values or None)
        return list(cursor.fetchall())


def row(query: str, values: Values = ()) -> tuple[Any, ...]:
    """Return the only row of a query that always returns one."""
    return rows(query, values)[0]


def column(query: str, values: Values = ()) -> list[Any]:
    return [value for (value,) in rows(query, values)]


def value(query: str, values: Values = ()) -> Any:
    return row(query, values)[0]

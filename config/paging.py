"""Paginated lists that stay correct while rows arrive: a keyset cursor, never an offset, never a COUNT.

return self.pages.page(transactions, request, order=("-at", "-id"), bound_to={"user": user_id}, render=as_json)
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from django.core.exceptions import ValidationError
from django.core.signing import Signer
from django.db.models import F, QuerySet
from django.db.models.fields.tuple_lookups import TupleGreaterThan, TupleLessThan
from django.utils.crypto import constant_time_compare
from rest_framework.request import Request

from accounts.kit.problems import CursorInvalid, ValidationFailed
from accounts.kit.responses import Response

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 100
_LIMIT = re.compile(r"[1-9][0-9]{0,2}")
_LONGEST_CURSOR = 1024


class KeysetPagination:
    """Implements `?limit=` and `?cursor=` of every list. A view has a fresh instance as `self.pages`."""

    def page(
        self,
        queryset: QuerySet[Any],
        request: Request,
        *,
        order: Sequence[str],
        bound_to: Mapping[str, Any],
        render: Callable[[Any], Any],
        ahead: Sequence[Any] = (),
        endless: bool = False,
        behind: Callable[[QuerySet[Any], Any], Sequence[Any]] | None = None,
    ) -> Response:
        """Return one page as `{"results": [...], "next": "<cursor>" | null}`, each row through `render`.

        `order` names columns of the model, all descending ("-at", "-id") or all ascending, that together are unique;
        with an index on the filter and these columns, each page costs the same at any depth. `bound_to` holds
        everything that the query was narrowed by (filters, user, calling service): with any other values the cursor is
        refused.

        `ahead` are rows that come before all of the query's, in the same order; by the time the query runs it may
        include them. `behind` fetches every page but the first, given its query and the value of the first column
        before it.

        With `endless`, a page that holds the last row has a `next` too, for callers who come back when there is more.

        Raise ValidationFailed for a bad limit, and CursorInvalid for a cursor that is foreign, altered or malformed.
        """
        limit = _limit(request.query_params.get("limit"))
        names = [column.lstrip("-") for column in order]
        seal = Seal(order=order, bound_to=bound_to)
        cursor = request.query_params.get("cursor")
        position: list[Any] = []
        if cursor is not None:
            position = _position(queryset, names, seal.open(cursor))
            queryset = _after(queryset, order, names, position)
            ahead = [row for row in ahead if _is_beyond(row, order, names, position)]
        if ahead:
            queryset = queryset.exclude(pk__in=[row.pk for row in ahead])
        found = queryset.order_by(*order)[: limit + 1]
        rows = [*ahead, *(behind(found, position[0]) if behind and position else found)]
        shown = rows[:limit]
        follows = cursor if endless else None
        if shown and (endless or len(rows) > limit):
            follows = seal.close([_value(shown[-1], name) for name in names])
        return Response({"results": [render(row) for row in shown], "next": follows})


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not _LIMIT.fullmatch(text) or int(text) > LARGEST_LIMIT:
        raise ValidationFailed(("limit", "invalid", f"Must be a whole number from 1 to {LARGEST_LIMIT}."))
    return int(text)


def _after(
    queryset: QuerySet[Any], order: Sequence[str], names: list[str], position: list[Any]
) -> QuerySet[Any]:
    """Return the rows beyond a position, by a single row comparison, which PostgreSQL answers from the index."""
    descending = {column.startswith("-") for column in order}
    if len(descending) != 1:
        raise ValueError("The columns of an order must all run the same way.")
    if len(names) == 1:
        return queryset.filter(**{f"{names[0]}__{'lt' if descending == {True} else 'gt'}": position[0]})
    comparison = TupleLessThan if descending == {True} else TupleGreaterThan
    return queryset.filter(comparison(tuple(map(F, names)), tuple(position)))


def _position(queryset: QuerySet[Any], names: list[str], values: list[Any]) -> list[Any]:
    fields = [queryset.model._meta.get_field(name) for name in names]  # noqa: SLF001 - Django's public name
    try:
        return [field.to_python(value) for field, value in zip(fields, values, strict=True)]
    except (ValidationError, ValueError, TypeError) as error:
        raise CursorInvalid from error


def _is_beyond(row: Any, order: Sequence[str], names: list[str], position: list[Any]) -> bool:
    values = [_value(row, name) for name in names]
    return values < position if order[0].startswith("-") else values > position


def _value(row: Any, name: str) -> Any:
    return row[name] if isinstance(row, dict) else getattr(row, name)


class Seal:
    """Turns a position into an opaque text and back. What it is bound to is part of the signature, not of the text."""

    def __init__(self, *, order: Sequence[str], bound_to: Mapping[str, Any]) -> None:
        self.signer = Signer(salt="config.paging")
        self.bound = msgspec.json.encode([list(order), bound_to], order="sorted").decode()

    def close(self, position: list[Any]) -> str:
        text = urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")
        return f"{text}.{self.signer.signature(text + self.bound)}"

    def open(self, cursor: str) -> list[Any]:
        text, _, signature = cursor[:_LONGEST_CURSOR].partition(".")
        keys = [self.signer.key, *self.signer.fallback_keys]
        if not any(
            constant_time_compare(signature, self.signer.signature(text + self.bound, key)) for key in keys
        ):
            raise CursorInvalid
        position: list[Any] = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return position

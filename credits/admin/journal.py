"""The journal in the admin, fast on millions of rows: each list that it can show is the start of some index.

Rows are in the order of their ids, which follow time; those of one user in the order of time. A day is found by the ids
made around it. Nothing is counted beyond 5,000 rows, and the days that have rows are read from the daily sums that are
computed in the background.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db import connection
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from accounts.admin import user_search
from accounts.admin.lists import RowsList, as_id
from credits.identifiers import SLACK, first_of
from credits.ledger import shards
from credits.models import CreditDay, CreditTransaction

YEARS = range(2, 9999)  # years with room for the slack on both sides
LEVELS = ("at__year", "at__month", "at__day")

# Each step jumps to the next name in the index (service, id): as many steps as services, however many rows.
SERVICES = """
WITH RECURSIVE names AS (
    (SELECT service FROM credits_credittransaction ORDER BY service LIMIT 1)
    UNION ALL
    SELECT (SELECT service FROM credits_credittransaction WHERE service > names.service ORDER BY service LIMIT 1)
    FROM names WHERE names.service IS NOT NULL
)
SELECT service FROM names WHERE service IS NOT NULL
"""
# The same for rows on several servers, where a recursive query is not possible.
NEXT_SERVICE = "SELECT service FROM credits_credittransaction WHERE service > %s ORDER BY service LIMIT 1"


def services() -> list[str]:
    """Return the services that have written to the journal."""
    if shards.is_distributed():
        return list(_one_by_one())
    with connection.cursor() as cursor:
        cursor.execute(SERVICES)
        return [name for (name,) in cursor.fetchall()]


def _one_by_one() -> Iterator[str]:
    found: tuple[str] | None = ("",)
    with connection.cursor() as cursor:
        while found := cursor.execute(NEXT_SERVICE, found).fetchone():
            yield found[0]


class ByService(admin.SimpleListFilter):
    title, parameter_name = "service", "service"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in services()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(service=self.value()) if self.value() else queryset


class JournalList(RowsList):
    """Finds the rows of a requested day, month or year by the primary key."""

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str] | None = None
    ) -> QuerySet[CreditTransaction]:
        rows: QuerySet[CreditTransaction] = super().get_queryset(request, exclude_parameters)
        bounds = _bounds(_asked(request))
        return rows.filter(pk__gte=first_of(bounds[0]), pk__lt=first_of(bounds[1])) if bounds else rows


def search(rows: QuerySet[CreditTransaction], term: str) -> QuerySet[CreditTransaction]:
    """Find rows by part of an address, by the beginning of an id, or by a whole reference: each has an index.

    An id may be a user's or a transaction's; a whole id also finds the refunds of that use.
    """
    found = Q(holder_id__in=user_search.ids(term)) | Q(service__in=services(), reference=term)
    if (begins := user_search.begins_id(term)) is not None:
        found |= begins
    if (whole := as_id(term)) is not None:
        found |= Q(refund_of=whole)
    return rows.filter(found)


def order(request: HttpRequest) -> tuple[str, ...]:
    """Return the order in which an index has the requested rows."""
    return ("-at",) if request.GET.keys() & {"holder_id", "holder_id__exact"} else ("-id",)


def is_no_date(request: HttpRequest) -> bool:
    """Return whether the query names a year, month or day that does not exist, on which Django would fail."""
    return len(_asked(request)) < sum(name in request.GET for name in LEVELS)


def hierarchy(request: HttpRequest) -> dict[str, Any]:
    """Return the years, months or days with rows, in the context and parameters of Django's own date hierarchy."""
    asked = _asked(request)
    kept = {name: str(text) for name, text in request.GET.items() if name not in (*LEVELS, "p")}
    shown = {
        day.timetuple()[: len(asked) + 1] for day in _known_days() if day.timetuple()[: len(asked)] == asked
    }
    level = min(len(asked) + 1, len(LEVELS))
    choices = [
        {"title": _title(parts), "link": _link(kept, parts) if len(asked) < level else None}
        for parts in sorted(parts[:level] for parts in shown)
    ]
    back = {"link": _link(kept, asked[:-1]), "title": _title(asked[:-1])} if asked else None
    return {"show": True, "back": back, "choices": choices}


def _known_days() -> set[date]:
    """Return the days with rows, and today, which may not have been counted yet."""
    counted = CreditDay.objects.filter(count__gt=0).values_list("day", flat=True).distinct()
    return {*counted, datetime.now(UTC).date()}


def _asked(request: HttpRequest) -> tuple[int, ...]:
    """Return the year, month and day, as far as they are given; nothing if they do not form a date."""
    texts = [request.GET.get(name, "") for name in LEVELS]
    given = texts.index("") if "" in texts else len(texts)
    try:
        parts = tuple(int(text) for text in texts[:given])
        date(*(*parts, 1, 1, 1)[:3])
    except (ValueError, OverflowError):
        return ()
    return parts if parts and parts[0] in YEARS else ()


def _title(parts: tuple[int, ...]) -> str:
    if not parts:
        return "All dates"
    if len(parts) == 1:
        return str(parts[0])
    day = date(parts[0], parts[1], parts[2] if len(parts) == 3 else 1)
    return f"{day:%B} {day.year}" if len(parts) == 2 else f"{day:%b} {day.day}"


def _link(kept: dict[str, str], parts: tuple[int, ...]) -> str:
    return "?" + urlencode({**kept, **dict(zip(LEVELS, parts, strict=False))})


def _bounds(parts: tuple[int, ...]) -> tuple[datetime, datetime] | None:
    if not parts:
        return None
    year, month, day = (*parts, 1, 1)[:3]
    first = datetime(year, month, day, tzinfo=UTC)
    longest = {1: 366, 2: 31, 3: 1}[len(parts)]
    return first - SLACK, first + timedelta(days=longest) + SLACK

"""Sections of the admin's first page and of a user's page: what each app shows there, rendered by one template.

Apps add theirs by dotted paths in settings (ADMIN_FIRST_PAGE, ADMIN_USER_PAGE), each with the permission it needs.
Staff without it do not see the section, and nothing is read for it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import resolve, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString

Cell = str | int | None


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells under their columns. Text is escaped; `link` creates links."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    numbers: frozenset[str] = frozenset()  # right-aligned columns
    empty: str = "None."

    @property
    def headers(self) -> list[tuple[str, bool]]:
        return [(column, column in self.numbers) for column in self.columns]

    @property
    def lines(self) -> Iterator[list[tuple[str, Cell, bool]]]:
        for row in self.rows:
            yield [
                (column, cell, column in self.numbers) for column, cell in zip(self.columns, row, strict=True)
            ]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of a page. `links` are (text, URL) pairs below it; `actions` are the same as buttons."""

    title: str
    figures: Mapping[str, Cell] = field(default_factory=dict)
    plots: Sequence[SafeString] = ()
    tables: Sequence[Table] = ()
    links: Sequence[tuple[str, str]] = ()
    actions: Sequence[tuple[str, str]] = ()
    note: str = ""
    wide: bool = False


def collect(sources: Mapping[str, str], request: HttpRequest, **about: Any) -> list[Section]:
    """Return the sections that this member of staff may see. A source with nothing to show returns None."""
    made = (source(request=request, **about) for source in allowed(sources, request))
    return [_opened_by(request, section) for section in made if section is not None]


def _opened_by(request: HttpRequest, section: Section) -> Section:
    """Leave out links to lists that this member of staff may not open."""
    links = [(words, page) for words, page in section.links if _may_open(request, page)]
    return replace(section, links=links)


def _may_open(request: HttpRequest, page: str) -> bool:
    rows = getattr(resolve(page.partition("?")[0]).func, "model_admin", None)
    return rows is None or rows.has_view_permission(request)


def allowed(sources: Mapping[str, str], request: HttpRequest) -> Iterator[Callable[..., Any]]:
    """Yield the functions at these dotted paths whose permission this member of staff has."""
    for path, permission in sources.items():
        if request.user.has_perm(permission):
            yield import_string(path)


def link(
    words: str | datetime, page: str, *arguments: Any, query: Mapping[str, Any] | None = None
) -> SafeString:
    """Return a cell that links to a page of the admin."""
    url = reverse(f"admin:{page}", args=arguments) + (f"?{urlencode(query)}" if query else "")
    return format_html('<a href="{}">{}</a>', url, time(words) if isinstance(words, datetime) else words)


def listed(page: str, **query: Any) -> str:
    """Return the URL of a filtered list."""
    return f"{reverse(f'admin:{page}_changelist')}?{urlencode(query)}"


def time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def queued_state(row: Any, done: str, at: datetime | None) -> str:
    """Return the state of a row in a queue: when it was done or given up, or when it is due."""
    if at:
        return f"{done} {time(at)}"
    return f"given up {time(row.dead_at)}" if row.dead_at else f"due {time(row.due_at)}"


def age(seconds: float) -> str:
    """Return a duration in its two largest units: `3 h 12 min`."""
    return " ".join([*_units(int(seconds))][:2]) or "0 s"


def _units(seconds: int) -> Iterator[str]:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            yield f"{seconds // size} {unit}"
            seconds %= size

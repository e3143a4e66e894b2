"""Lists of the admin: read-only, found by an index and counted up to 5,000, whatever millions there are."""

import uuid
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin

from accounts import user_search

MOST_COUNTED = 5000


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts up to 5,000 rows: further pages are found by narrowing the list."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        counted: int = rows.order_by()[:MOST_COUNTED].count()
        return counted


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Shows and searches; adds, changes and deletes nothing, whoever is signed in."""

    show_full_result_count = False  # no COUNT over millions of rows
    paginator = CappedPaginator
    sortable_by: Any = ()  # a click on a column would sort millions of rows
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """`?user=<id>` is how a user's page leads to their rows, and filters have their parameters.

        Nothing else may be asked by a query string: Django would answer `?password__startswith=...`, and so tell a
        hash letter by letter.
        """
        if lookup in {"user", "user__exact"}:
            return True
        offered = any(lookup == name or lookup.startswith(f"{name}_") for name in self._filters())
        return offered and super().lookup_allowed(lookup, value, request)

    def _filters(self) -> Iterator[str]:
        """What the parameters of the page's filters begin with."""
        for one in (*self.list_filter, self.date_hierarchy):
            name = one[0] if isinstance(one, tuple | list) else getattr(one, "parameter_name", one)
            if name:
                yield name


class OfUsersAdmin(ReadOnlyAdmin):
    """Rows that belong to a user and are searched by who that is."""

    search_fields: Any = ("user__email",)  # that there is a search; what it finds: get_search_results
    search_help_text = user_search.HELP
    list_select_related: Any = ("user",)
    ordering: Any = ("-created_at", "-id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (self.found(queryset, term) if term else queryset), False

    def found(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.filter(user_id__in=user_search.ids(term))


class OneOf(admin.SimpleListFilter):
    """A filter by the values that there can be; Django's own reads the whole table to find those that there are."""

    values: tuple[str, ...] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value.replace("_", " ")) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


def as_id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None

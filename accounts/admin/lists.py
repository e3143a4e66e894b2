"""Lists in the admin: read-only, found by an index and counted up to 5,000, even with millions of rows."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from accounts.admin import user_search
from accounts.kit import email_address
from accounts.models import User

MOST_COUNTED = 5000
MADE = "created_at"


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """A paginator that counts up to 5,000 rows; narrow the list to see others."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        counted: int = rows.order_by()[:MOST_COUNTED].count()
        return counted


class RowsList(ChangeList):  # type: ignore[misc]
    """A list that offers to show all only if a search or a filter leaves something out."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.get_filters_params():
            self.full_result_count = self.result_count


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """An admin that shows and searches; nobody can add, change or delete anything, not even a superuser."""

    show_full_result_count = False  # no COUNT of millions of rows
    show_facets = admin.ShowFacets.NEVER  # nor one per choice of a filter
    paginator = CappedPaginator
    sortable_by: Any = ()  # a click on a column would sort millions of rows
    list_per_page = 50
    list_before_template = "admin/capped.html"
    most_counted, most_found = MOST_COUNTED, user_search.MOST_FOUND  # for that template
    help_texts: ClassVar[Mapping[str, str]] = {}  # shown below fields: accounts/admin/field_help.py
    labels: ClassVar[Mapping[str, str]] = {}  # for fields whose names are abbreviations

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        """Add a row's creation time, which Django leaves out because no form may edit it."""
        names = list(super().get_fields(request, obj))
        has_time = any(field.name == MADE for field in self.opts.fields)
        return [MADE, *names] if has_time and MADE not in names else names

    def get_form(self, request: HttpRequest, obj: Model | None = None, **options: Any) -> Any:
        return super().get_form(
            request, obj, **{"help_texts": self.help_texts, "labels": self.labels, **options}
        )

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return RowsList

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow `?user=<id>`, with which a user's page links to their rows, and the parameters of filters.

        No other lookup is allowed in a query string: Django would answer `?password__startswith=...`, and so reveal a
        hash letter by letter.
        """
        if lookup in {"user", "user__exact"}:
            return True
        offered = any(lookup == name or lookup.startswith(f"{name}_") for name in self._filters())
        return offered and super().lookup_allowed(lookup, value, request)

    def _filters(self) -> Iterator[str]:
        """Yield the prefixes of the page's filter parameters."""
        for one in (*self.list_filter, self.date_hierarchy):
            name = one[0] if isinstance(one, tuple | list) else getattr(one, "parameter_name", one)
            if name:
                yield name


class PlotsAdmin(ReadOnlyAdmin):
    """An admin with a page of plots of the last 30 days instead of a list."""

    heading: str
    plots_template: str
    plots: Callable[[date], dict[str, Any]]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": self.heading,
            "subtitle": "the last 30 days",
            "opts": self.opts,
            **self.plots(datetime.now(UTC).date()),
        }
        return TemplateResponse(request, self.plots_template, context)


class OfUsersAdmin(ReadOnlyAdmin):
    """An admin of rows that belong to a user, and are searched by user."""

    search_fields: Any = ("user__email",)  # enables the search; get_search_results runs it
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


class PageOfUser:
    """A mixin that shows a user's page for a row, to staff who may view the rows, even if the user has no row yet."""

    page_title: str
    page_template: str
    page_permissions: ClassVar[Mapping[str, str]]  # options of the template, and the permission for each

    def page_context(self, person: User) -> dict[str, Any]:
        raise NotImplementedError

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **options: Any) -> HttpResponse:
        admin_of_rows: Any = self
        if request.method not in {"GET", "HEAD"} or not admin_of_rows.has_view_permission(request):
            raise PermissionDenied
        person = _user(object_id)
        context = {
            **admin_of_rows.admin_site.each_context(request),
            "title": self.page_title,
            "subtitle": str(person),
            "opts": admin_of_rows.opts,
            "original": person,
            **{name: request.user.has_perm(needed) for name, needed in self.page_permissions.items()},
            **self.page_context(person),
        }
        return TemplateResponse(request, self.page_template, context)


def _user(object_id: str) -> User:
    key = as_id(object_id)
    found: User | None = User.objects.filter(pk=key).first() if key is not None else None
    if found is None:
        raise Http404
    return found


class OneOf(admin.SimpleListFilter):
    """A filter by all possible values; Django's own reads the whole table to find those in use."""

    values: tuple[str, ...] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value.replace("_", " ")) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


def words(name: str, heading: str = "") -> Callable[[Any, Any], str]:
    """Return a column of identifiers as words: `sign_in_failed` becomes "sign in failed"."""

    @admin.display(description=heading or name.replace("_", " "))
    def column(self: Any, row: Any) -> str:
        return str(getattr(row, name) or "").replace("_", " ")

    return column


def spelled(name: str, heading: str = "") -> Callable[[Any, Any], str]:
    """Return a column of addresses in readable and in stored form."""

    @admin.display(description=heading or name.replace("_", " "))
    def column(self: Any, row: Any) -> str:
        return email_address.shown(getattr(row, name) or "")

    return column


def counted(name: str, *, signed: bool = False) -> Callable[[Any, Any], str]:
    """Return a column of numbers with thousands separators: 12,345, or signed +12,345; empty if there is none."""

    @admin.display(description=name.replace("_", " "))
    def column(self: Any, row: Any) -> str:
        number = getattr(row, name)
        if number is None:
            return ""
        return f"{number:+,}" if signed and number else f"{number:,}"

    return column


def moment(name: str) -> Callable[[Any, Any], str | None]:
    """Return a column of times, all of the same width."""

    @admin.display(description=name.replace("_", " "))
    def column(self: Any, row: Any) -> str | None:
        at = getattr(row, name)
        return at and format_html('<span class="whitespace-nowrap">{}</span>', f"{at:%Y-%m-%d %H:%M:%S}")

    return column


@admin.display(description="user")
def user_by_id(self: Any, row: Any) -> SafeString:
    """Link to the user of a row that has only the user's id."""
    page = reverse("admin:accounts_user_change", args=[row.user_id])
    return format_html('<a class="text-primary-600 underline" href="{}">{}</a>', page, row.user_id)


def as_id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None

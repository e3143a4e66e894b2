"""Credits in the admin. Past events are shown, not edited; each action open to staff has a page of its own."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin import user_search
from accounts.admin.lists import OfUsersAdmin, PageOfUser, PlotsAdmin, counted, moment
from accounts.admin.orders import OrderPages, ask
from accounts.admin.sections import link
from accounts.models import User
from credits.admin import adjustments, field_help, holds, journal, overview, user_page, waiting
from credits.admin.adjustments import AdjustmentDecisions
from credits.admin.journal import ByService, JournalList
from credits.admin.names import with_address
from credits.admin.prices import FeaturePriceAdmin
from credits.models import (
    AdjustmentRequest,
    CreditDay,
    CreditLot,
    CreditTransaction,
    Grant,
    Hold,
    UserCredit,
)

__all__ = ["FeaturePriceAdmin"]  # registered by being imported


class LedgerAdmin(OfUsersAdmin):
    """Read-only for everyone, with no query that grows with the ledger. Rows refer to their user only by id."""

    ordering: Any = None
    search_fields: Any = ("holder_id",)
    list_select_related: Any = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return with_address(super().get_queryset(request))

    def found(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.filter(holder_id__in=user_search.ids(term))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow `?holder_id=<id>`, which a user's page uses to link to their rows."""
        return lookup in {"holder_id", "holder_id__exact"} or super().lookup_allowed(lookup, value, request)

    @admin.display(description="user")
    def person(self, row: Any) -> SafeString:
        return _credits_of(row.holder_id, row.address or row.holder_id)


def _credits_of(user_id: UUID, name: Any) -> SafeString:
    page = reverse("admin:credits_usercredit_change", args=[user_id])
    return format_html('<a class="text-primary-600 underline" href="{}">{}</a>', page, name)


class Owing(admin.SimpleListFilter):
    title, parameter_name = "debt", "debt"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "In debt")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(debt__gt=0) if self.value() else queryset


class Overdue(admin.SimpleListFilter):
    title, parameter_name = "sweep", "overdue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "Overdue")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return waiting.late(queryset) if self.value() else queryset


@admin.register(UserCredit)
class UserCreditAdmin(PageOfUser, OrderPages, LedgerAdmin):
    """Balances. The page behind a row is the user's; it exists even for users who never had credits."""

    list_display = ("name", "owned", "set_aside", "owing", "spendable", "blocked", "last")
    list_filter = (Owing, Overdue)
    owned, set_aside, owing = counted("balance"), counted("held"), counted("debt")
    spendable, last = counted("available"), moment("at")
    page_title, page_template = "Credits", "admin/credits/usercredit/page.html"
    page_permissions: ClassVar = {
        "may_adjust": "credits.adjust_credits",
        "may_release": "credits.release_hold",
    }

    orders = adjustments.ORDERS

    @admin.display(description="user")
    def name(self, row: Any) -> str:
        return row.address or str(row.holder_id)

    def page_context(self, person: User) -> dict[str, Any]:
        return user_page.context(person)


class LotAdmin(LedgerAdmin):
    """Grants and holds, found by their user or by the start of the id of the transaction that made them."""

    ordering = ("-id",)
    kind = ""
    search_help_text = "A user, or the beginning of a transaction's id"

    def found(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        begins = user_search.begins_id(term)
        made = CreditTransaction.objects.filter(begins) if begins else CreditTransaction.objects.none()
        by = dict(made.values_list("pk", "holder_id")[: user_search.MOST_FOUND])
        if by:
            return rows.filter(holder_id__in=set(by.values()), transaction_id__in=by)
        return super().found(rows, term)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        opened = UserCredit.objects.filter(holder_id=OuterRef("holder_id"), open_lot=OuterRef("pk"))
        rows: QuerySet[Any] = super().get_queryset(request).filter(kind=self.kind)
        with_left: QuerySet[Any] = rows.annotate(left_if_open=Subquery(opened.values("open_left")))
        return with_left

    @admin.display(description="left")
    def left(self, lot: Any) -> str:
        return f"{lot.remaining if lot.left_if_open is None else lot.left_if_open:,}"

    @admin.display(description="transaction")
    def posting(self, lot: CreditLot) -> SafeString:
        return link(str(lot.transaction_id), "credits_credittransaction_change", lot.transaction_id)


@admin.register(Grant)
class GrantAdmin(LotAdmin):
    help_texts = field_help.GRANT
    kind = CreditLot.Kind.GRANT
    list_display = ("id", "person", "source", "given", "left", "lost", "taken_back", "until", "service")
    given, lost, taken_back = counted("issued"), counted("expired"), counted("charged_back")
    until = moment("expires_at")
    list_filter = ("source",)
    readonly_fields = ("person", "given", "left", "lost", "taken_back", "posting")
    fields = (
        "person", "source", "priority", "given", "left", "lost", "taken_back", "expires_at", "created_at",
        "posting", "service",
    )  # fmt: skip


@admin.register(Hold)
class HoldAdmin(OrderPages, LotAdmin):
    help_texts = field_help.HOLD
    kind = CreditLot.Kind.HOLD
    list_display = ("id", "person", "set_aside", "taken", "status", "until", "service", "placed")
    set_aside, taken = counted("issued"), counted("captured")
    until, placed = moment("expires_at"), moment("created_at")
    list_filter = ("status",)
    actions = ("release",)
    readonly_fields = ("person", "set_aside", "taken", "drawn_from", "posting")
    fields = (
        "person", "set_aside", "taken", "status", "expires_at", "created_at", "posting", "service", "drawn_from",
    )  # fmt: skip

    orders = holds.ORDERS

    @admin.display(description="drawn from")
    def drawn_from(self, hold: Hold) -> str:
        """Return how much came from which grants, by number."""
        return ", ".join(f"grant no. {lot}: {credits:,}" for lot, credits in hold.drawn or [])

    def has_release_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("credits.release_hold")

    @admin.action(description="Release…", permissions=["release"])
    def release(self, request: HttpRequest, chosen: QuerySet[Hold]) -> HttpResponse:
        return ask("credits_release", "hold", chosen)


@admin.register(CreditTransaction)
class CreditTransactionAdmin(LedgerAdmin):
    help_texts = field_help.TRANSACTION
    list_display = ("when", "person", "type", "moved", "owned", "set_aside", "service", "description")
    when, moved = moment("at"), counted("amount", signed=True)
    owned, set_aside = counted("balance"), counted("held")
    list_filter = ("type", ByService)
    search_help_text = "A user, the beginning of a transaction's id, or a reference"
    date_hierarchy = "at"
    exclude = ("holder_id", "salt", "digest", "text_digest", "hash", "lots")
    readonly_fields = ("person", "grants_and_holds")

    @admin.display(description="grants and holds")
    def grants_and_holds(self, row: CreditTransaction) -> str:
        """Return what each lot gave or received, by number."""
        return ", ".join(f"no. {lot} {credits:+,}" for lot, credits in row.lots) or "none"

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[JournalList]:
        return JournalList

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return journal.order(request)

    def found(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return journal.search(rows, term)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if journal.is_no_date(request):
            return HttpResponseRedirect(request.path)
        context = {**(extra_context or {}), "hierarchy": journal.hierarchy(request)}
        response: HttpResponse = super().changelist_view(request, context)
        return response


@admin.register(AdjustmentRequest)
class AdjustmentRequestAdmin(AdjustmentDecisions, OfUsersAdmin):
    list_display = ("asked", "person", "moved", "reason", "requested_by", "decision", "decided_by", "decided")
    asked, decided, moved = moment("requested_at"), moment("decided_at"), counted("amount", signed=True)
    list_filter = ("decision",)
    list_select_related = ("user", "requested_by", "decided_by")
    ordering = ("-requested_at",)

    @admin.display(description="user")
    def person(self, asked: AdjustmentRequest) -> SafeString:
        return _credits_of(asked.user_id, asked.user)


@admin.register(CreditDay)
class OverviewAdmin(PlotsAdmin):
    """Places the overview among the lists: on the first page and in the sidebar."""

    heading, plots_template = "Credits", "admin/credits/overview.html"
    plots = staticmethod(overview.context)

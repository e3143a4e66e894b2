"""The ledger in the admin: read-only by construction, since what happened is not edited."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin import ReadOnlyAdmin
from credits.models import CreditLot, CreditTransaction, UserCredit


class LedgerAdmin(ReadOnlyAdmin):
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("user")  # type: ignore[no-any-return]


class Owing(admin.SimpleListFilter):
    title, parameter_name = "debt", "debt"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "In debt")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(debt__gt=0) if self.value() else queryset


@admin.register(UserCredit)
class UserCreditAdmin(LedgerAdmin):
    list_display = ("user", "balance", "held", "debt", "spendable", "blocked", "at")
    list_filter = (Owing,)
    search_fields = ("user__email", "user__id")
    exclude = ("hash",)

    @admin.display(description="available")
    def spendable(self, row: UserCredit) -> int:
        return row.available


@admin.register(CreditLot)
class CreditLotAdmin(LedgerAdmin):
    list_display = ("id", "user", "kind", "source", "issued", "remaining", "expires_at", "status", "service")
    list_filter = ("kind", "source", "status")
    search_fields = ("user__email", "user__id", "transaction__id")
    ordering = ("-id",)


@admin.register(CreditTransaction)
class CreditTransactionAdmin(LedgerAdmin):
    list_display = ("at", "user", "type", "amount", "balance", "held", "service", "description")
    list_filter = ("type", "service")
    search_fields = ("user__email", "user__id", "id", "reference")
    date_hierarchy = "at"
    ordering = ("-id",)
    exclude = ("salt", "digest", "text_digest", "hash")

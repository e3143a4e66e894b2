"""The ledger in the admin: read-only by construction, since what happened is not edited."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from credits.models import CreditLot, CreditTransaction, UserCredit


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Shows and searches; adds, changes and deletes nothing, whoever is signed in."""

    show_full_result_count = False  # no COUNT over millions of rows
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("user")  # type: ignore[no-any-return]


@admin.register(UserCredit)
class UserCreditAdmin(ReadOnlyAdmin):
    list_display = ("user", "balance", "held", "debt", "spendable", "blocked", "at")
    list_filter: ClassVar = (("debt", admin.EmptyFieldListFilter),)
    search_fields = ("user__email", "user__id")
    exclude = ("hash",)

    @admin.display(description="available")
    def spendable(self, row: UserCredit) -> int:
        return row.available


@admin.register(CreditLot)
class CreditLotAdmin(ReadOnlyAdmin):
    list_display = ("id", "user", "kind", "source", "issued", "remaining", "expires_at", "status", "service")
    list_filter = ("kind", "source", "status")
    search_fields = ("user__email", "user__id", "transaction")
    ordering = ("-id",)


@admin.register(CreditTransaction)
class CreditTransactionAdmin(ReadOnlyAdmin):
    list_display = ("at", "user", "type", "amount", "balance", "held", "service", "description")
    list_filter = ("type", "service")
    search_fields = ("user__email", "user__id", "id", "reference")
    date_hierarchy = "at"
    ordering = ("-id",)
    exclude = ("salt", "digest", "text_digest", "hash")

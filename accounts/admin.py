"""Accounts in the admin. What must be true is shown and not edited; what staff may do is an action of its own."""

from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, URLPattern, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from accounts import dead_letters, key_management
from accounts.event_admin import DeliveryPages, SubscriptionPages
from accounts.key_admin import KeyPages
from accounts.models import (
    AuditEvent,
    EventDelivery,
    EventSubscription,
    MailToken,
    OutboxMessage,
    PendingRegistration,
    Service,
    ServiceKey,
    Session,
    User,
)
from accounts.status_pages import StatusPages

RELATED_PAGES = {
    "Sessions": "admin:accounts_session_changelist",
    "Activity": "admin:accounts_auditevent_changelist",
    "Mails": "admin:accounts_outboxmessage_changelist",
    "Registrations": "admin:accounts_pendingregistration_changelist",
    "Credits": "admin:credits_usercredit_change",
    "Credit transactions": "admin:credits_credittransaction_changelist",
    "Billing": "admin:billing_billingaccount_change",
    "Payments": "admin:billing_payment_changelist",
}


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


@admin.register(User)
class UserAdmin(StatusPages, ReadOnlyAdmin):
    list_display = ("email", "display_name", "status", "is_verified", "is_staff", "created_at")
    list_filter = ("status", ("email_verified_at", admin.EmptyFieldListFilter), "is_staff")
    search_fields = ("email", "display_name", "id")
    search_help_text = "Any part of the address, the name or the id"
    ordering = ("-created_at",)
    actions_detail: ClassVar = ("suspend", "reactivate")
    fieldsets = (
        ("Person", {"fields": ("id", "email", "display_name", "locale", "timezone")}),
        ("State", {"fields": ("status", "email_verified_at", "deletes_at", "created_at", "last_login")}),
        ("Staff", {"fields": ("is_staff", "is_superuser")}),
        ("More", {"fields": ("related_pages",)}),
    )

    def get_urls(self) -> list[URLPattern]:
        return [*self.status_urls(), *super().get_urls()]

    @admin.display(boolean=True, description="verified", ordering="email_verified_at")
    def is_verified(self, user: User) -> bool:
        return user.email_verified

    @admin.display(description="of this user")
    def related_pages(self, user: User) -> SafeString:
        links = [(url, label) for label, url in _related_pages(user)]
        return format_html_join(" \u00b7 ", '<a class="text-primary-600 underline" href="{}">{}</a>', links)


def _related_pages(user: User) -> list[tuple[str, str]]:
    """Those that exist: the pages of credits and billing belong to apps that this one does not know."""
    pages = []
    for label, name in RELATED_PAGES.items():
        try:
            pages.append((label, _page(name, user)))
        except NoReverseMatch:
            continue
    return pages


def _page(name: str, user: User) -> str:
    """A page of the user's own, or a list narrowed to the user."""
    if name.endswith("_change"):
        return reverse(name, args=[user.pk])
    return f"{reverse(name)}?{urlencode({'user': user.pk})}"


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = ("user", "created_at", "last_used_at", "ended_at", "end_reason", "ip", "user_agent")
    list_filter = (("ended_at", admin.EmptyFieldListFilter), "end_reason")
    search_fields = ("user__email", "id", "ip")
    list_select_related = ("user",)
    ordering = ("-last_used_at",)
    exclude = ("current_jti", "previous_jti")


@admin.register(PendingRegistration)
class PendingRegistrationAdmin(ReadOnlyAdmin):
    list_display = ("user", "display_name", "created_at", "confirmed_at", "voided_at")
    search_fields = ("user__email", "id")
    list_select_related = ("user",)
    ordering = ("-created_at",)
    exclude = ("password",)


@admin.register(MailToken)
class MailTokenAdmin(ReadOnlyAdmin):
    """Neither link nor code is in the row: staff can see that one was sent, and not what it was."""

    list_display = (
        "user",
        "purpose",
        "email",
        "created_at",
        "expires_at",
        "used_at",
        "voided_at",
        "code_tries",
    )
    list_filter = ("purpose",)
    search_fields = ("user__email", "email")
    list_select_related = ("user",)
    ordering = ("-created_at",)


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    list_display = ("kind", "user", "created_at", "sent_at", "dead_at", "attempts", "last_error")
    list_filter = (
        ("dead_at", admin.EmptyFieldListFilter),
        ("sent_at", admin.EmptyFieldListFilter),
        "kind",
    )
    search_fields = ("user__email", "id")
    list_select_related = ("user",)
    ordering = ("-created_at",)
    actions = ("send_again",)

    @admin.action(description="Send dead ones again")
    def send_again(self, request: HttpRequest, chosen: QuerySet[OutboxMessage]) -> None:
        revived = dead_letters.send_again(chosen.values_list("pk", flat=True), actor=_actor(request))
        kind = messages.SUCCESS if revived else messages.WARNING
        self.message_user(request, f"{revived} will be sent again. Only dead messages can be.", kind)


@admin.register(EventSubscription)
class EventSubscriptionAdmin(SubscriptionPages, ReadOnlyAdmin):
    list_display = ("name", "url", "wanted", "enabled", "failures_in_a_row", "rests_until")
    search_fields = ("name", "url")
    ordering = ("name",)
    exclude = ("secrets",)
    actions = ("pause", "resume", "rotate", "retire")
    actions_list: ClassVar = ("subscribe",)

    @admin.display(description="types")
    def wanted(self, subscription: EventSubscription) -> str:
        return ", ".join(subscription.types) or "all"


@admin.register(EventDelivery)
class EventDeliveryAdmin(DeliveryPages, ReadOnlyAdmin):
    list_display = (
        "event",
        "subscription",
        "user_id",
        "attempts",
        "due_at",
        "delivered_at",
        "dead_at",
        "last_error",
    )
    list_filter = (
        ("dead_at", admin.EmptyFieldListFilter),
        ("delivered_at", admin.EmptyFieldListFilter),
        "subscription",
    )
    search_fields = ("user_id__exact",)
    list_select_related = ("subscription", "event")
    ordering = ("-id",)
    actions = ("send_again",)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "type", "user", "actor", "ip")
    list_filter = ("type",)
    search_fields = ("user__email", "user__id", "type", "actor")
    list_select_related = ("user",)
    ordering = ("-id",)


@admin.register(Service)
class ServiceAdmin(ReadOnlyAdmin):
    list_display = ("name", "description", "created_at", "disabled_at")
    search_fields = ("name",)
    ordering = ("name",)


@admin.register(ServiceKey)
class ServiceKeyAdmin(KeyPages, ReadOnlyAdmin):
    list_display = ("id", "service", "scope_list", "created_at", "expires_at", "revoked_at", "last_used_at")
    list_filter = ("service", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("id", "service__name")
    list_select_related = ("service",)
    ordering = ("service", "-created_at")
    actions = ("revoke",)
    actions_list: ClassVar = ("create_key",)

    @admin.display(description="scopes")
    def scope_list(self, key: ServiceKey) -> str:
        return ", ".join(key.scopes)

    @admin.action(description="Revoke for good", permissions=["manage_keys"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[ServiceKey]) -> None:
        ended = sum(key_management.revoke(key_id=key.pk, actor=_actor(request)) for key in chosen)
        self.message_user(request, f"{ended} revoked. Every process refuses them within a second.")


def _actor(request: HttpRequest) -> str:
    return f"staff {request.user.pk}"

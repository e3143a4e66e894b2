"""Accounts in the admin. Data is shown and not edited; whatever staff may do is an action of its own."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import Truncator

from accounts import mail
from accounts.admin import actions, field_help, roles, user_page, user_search
from accounts.admin.events import DeliveryPages, SubscriptionPages
from accounts.admin.lists import (
    OfUsersAdmin,
    OneOf,
    ReadOnlyAdmin,
    as_id,
    counted,
    spelled,
    user_by_id,
    words,
)
from accounts.admin.orders import OrderPages, actor
from accounts.admin.sections import link
from accounts.admin.service_keys import KeyPages
from accounts.admin.user_page import MOST_DEVICE
from accounts.audit import Event
from accounts.kit import devices
from accounts.models import (
    AccountDay,
    AddressChange,
    AuditEvent,
    EventDelivery,
    EventSubscription,
    FactorReset,
    MailToken,
    OutboxMessage,
    PendingRegistration,
    Service,
    ServiceEvent,
    ServiceKey,
    Session,
    SigningKeyUse,
    User,
)

__all__ = ["ReadOnlyAdmin"]

MOST_DETAIL = 120


@admin.register(User)
class UserAdmin(OrderPages, ReadOnlyAdmin):
    """Users. The page behind a row is everything about that user: accounts/admin/user_page.py."""

    list_display = ("address", "display_name", "status", "is_verified", "staff", "created_at")
    address = spelled("email")
    list_filter = (
        "status",
        ("email_verified_at", admin.EmptyFieldListFilter),
        ("contested_at", admin.EmptyFieldListFilter),
        "is_staff",
    )
    search_fields = ("email",)  # enables the search; get_search_results runs it
    search_help_text = user_search.HELP
    ordering = ("-created_at", "-id")
    exclude = ("password",)
    orders: ClassVar = {**actions.ORDERS, **roles.ORDERS}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (user_search.narrow(queryset, term) if term else queryset), False

    @admin.display(boolean=True, description="verified")
    def is_verified(self, user: User) -> bool:
        return user.email_verified

    @admin.display(description="staff")
    def staff(self, user: User) -> str:
        return "staff" if user.is_staff else ""

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **options: Any) -> HttpResponse:
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        person = User.objects.filter(pk=as_id(object_id)).first()
        if person is None:
            raise Http404
        context = {
            **self.admin_site.each_context(request),
            "title": str(person),
            "subtitle": "User",
            "opts": self.model._meta,  # noqa: SLF001 -- Django's documented name
            "original": person,
            "buttons": [*actions.buttons(request, person), *roles.buttons(request, person)],
            **user_page.context(request, person),
        }
        return TemplateResponse(request, "admin/accounts/user/page.html", context)


class EndReasons(OneOf):
    title, parameter_name, values = "end", "end_reason", tuple(Session.EndReason.values)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Select ended sessions only, since the index has no others."""
        rows = super().queryset(request, queryset)
        return rows.filter(ended_at__isnull=False) if self.value() else rows


@admin.register(Session)
class SessionAdmin(OfUsersAdmin):
    help_texts, labels = field_help.SESSION, field_help.ABBREVIATIONS
    list_display = ("user", "created_at", "last_used_at", "ended_at", "end_reason", "address", "device")
    list_filter = (("ended_at", admin.EmptyFieldListFilter), EndReasons)
    exclude = ("current_jti", "previous_jti", "authenticated_at", "retry_key")
    address = words("ip", "from")

    @admin.display(description="device")
    def device(self, session: Session) -> str:
        return devices.describe(session.user_agent) or session.user_agent[:MOST_DEVICE]


@admin.register(PendingRegistration)
class PendingRegistrationAdmin(OfUsersAdmin):
    help_texts = field_help.REGISTRATION
    list_display = ("user", "display_name", "created_at", "confirmed_at", "voided_at")
    exclude = ("password",)


@admin.register(MailToken)
class MailTokenAdmin(OfUsersAdmin):
    """Mailed links and codes. The row contains neither: staff can see that one was sent, but not what it was."""

    help_texts = field_help.MAIL_TOKEN
    list_display = (
        "user",
        "what_for",
        "to",
        "created_at",
        "expires_at",
        "used_at",
        "voided_at",
        "code_tries",
    )
    list_filter = ("purpose",)
    what_for, to = words("purpose"), spelled("email", "to")


class Kinds(OneOf):
    title, parameter_name, values = "kind", "kind", tuple(sorted({*mail.KINDS, *mail.NOTICES}))


class MailStates(OneOf):
    """A filter by state, each of which has an index."""

    title, parameter_name, values = "state", "ended", ("waiting", "dead", "sent")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = {
            "waiting": Q(sent_at__isnull=True, dead_at__isnull=True),
            "dead": Q(dead_at__isnull=False),
            "sent": Q(sent_at__isnull=False),
        }
        return queryset.filter(chosen.get(str(self.value()), Q()))


@admin.register(OutboxMessage)
class OutboxMessageAdmin(OfUsersAdmin):
    help_texts = field_help.OUTBOX_MESSAGE
    list_display = ("mail", "user", "created_at", "state", "attempts", "last_error")
    list_filter = (MailStates, Kinds)
    fields = (
        "kind", "user", "token", "event", "requested_email", "due_at", "leased_until", "attempts", "sent_at",
        "dead_at", "last_error",
    )  # fmt: skip
    mail = words("kind", "email")
    actions = ("send_again",)
    change_form_outer_before_template = "admin/send_again.html"

    @admin.display(description="state")
    def state(self, message: OutboxMessage) -> str:
        return user_page.mail_state(message)

    def has_send_mails_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.send_mails")

    @admin.action(description="Retry dead emails", permissions=["send_mails"])
    def send_again(self, request: HttpRequest, chosen: QuerySet[OutboxMessage]) -> None:
        revived = mail.send_again(chosen.values_list("pk", flat=True), actor=actor(request))
        kind = messages.SUCCESS if revived else messages.WARNING
        self.message_user(
            request, f"{revived} queued again. Only emails that were given up can be retried.", kind
        )


@admin.register(EventSubscription)
class EventSubscriptionAdmin(SubscriptionPages, ReadOnlyAdmin):
    help_texts, labels = field_help.WEBHOOK, field_help.ABBREVIATIONS
    list_display = ("name", "receiver", "wanted", "enabled", "failures_in_a_row", "rests_until")
    search_fields = ("name", "url")
    ordering = ("name",)
    exclude = ("secrets",)
    actions = ("pause", "resume", "rotate", "retire")
    actions_list: ClassVar = ("subscribe",)

    @admin.display(description="URL")
    def receiver(self, subscription: EventSubscription) -> str:
        return subscription.url

    @admin.display(description="types")
    def wanted(self, subscription: EventSubscription) -> str:
        return ", ".join(subscription.types) or "all"


@admin.register(EventDelivery)
class EventDeliveryAdmin(DeliveryPages, ReadOnlyAdmin):
    help_texts = field_help.DELIVERY
    list_display = ("event", "subscription", "person", "state", "attempts", "last_error")
    list_filter = (
        ("dead_at", admin.EmptyFieldListFilter),
        ("delivered_at", admin.EmptyFieldListFilter),
        "subscription",
    )
    search_fields = ("user_id__exact",)
    search_help_text = "A user's full id"
    person = user_by_id
    list_select_related = ("subscription", "event")
    ordering = ("-id",)
    actions = ("send_again",)
    change_form_outer_before_template = "admin/send_again.html"


class EventTypes(OneOf):
    title, parameter_name, values = "type", "type", tuple(sorted(Event))


@admin.register(AuditEvent)
class AuditEventAdmin(OfUsersAdmin):
    """Events by user; searching for a member of staff also finds what they did."""

    help_texts, labels = field_help.AUDIT_EVENT, field_help.ABBREVIATIONS
    list_display = ("created_at", "what", "user", "by", "address", "about")
    list_filter = (EventTypes,)
    what, address = words("type", "what"), words("ip", "from")
    fields = (
        *("created_at", "what", "user", "actor_page", "address", "asserted_ip"),
        *("user_agent", "session_id", "detail"),
    )
    readonly_fields = ("what", "actor_page", "address")
    search_help_text = "A user. For staff, this also finds what they did"
    ordering = ("-id",)

    @admin.display(description="by")
    def by(self, event: AuditEvent) -> str:
        return user_page.actor_link(event.actor)

    @admin.display(description="by")
    def actor_page(self, event: AuditEvent) -> str:
        """Return the member of staff's name, for the page of one event."""
        kind, _, pk = event.actor.partition(" ")
        staff = User.objects.filter(pk=as_id(pk)).first() if kind == "staff" else None
        return link(str(staff), "accounts_user_change", pk) if staff else event.actor or "the user"

    @admin.display(description="detail")
    def about(self, event: AuditEvent) -> str:
        return Truncator(user_page.detail_of(event)).chars(MOST_DETAIL)

    def found(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        users = user_search.ids(term)
        staff = User.objects.filter(pk__in=users, is_staff=True).values_list("pk", flat=True)
        return rows.filter(Q(user_id__in=users) | Q(actor__in=[f"staff {pk}" for pk in staff]))


@admin.register(AddressChange)
class AddressChangeAdmin(OfUsersAdmin):
    help_texts = field_help.ADDRESS_CHANGE
    list_display = ("user", "old", "new", "created_at", "confirmed_at", "ended_at")
    old, new = spelled("old_email", "from"), spelled("new_email", "to")


@admin.register(FactorReset)
class FactorResetAdmin(OfUsersAdmin):
    help_texts = field_help.FACTOR_RESET
    list_display = ("user", "created_at", "applies_at", "applied_at", "cancelled_at", "actor", "reason")


@admin.register(ServiceEvent)
class ServiceEventAdmin(ReadOnlyAdmin):
    """The feed for other services, newest first."""

    help_texts = field_help.SERVICE_EVENT
    list_display = ("position", "type", "person", "created_at")
    person = user_by_id
    search_fields = ("user_id",)
    search_help_text = "A full event type or a position"
    ordering = ("-position",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        is_position = term.isdecimal() and len(term) < 19
        return queryset.filter(Q(position=int(term)) if is_position else Q(type=term)), False


@admin.register(Service)
class ServiceAdmin(ReadOnlyAdmin):
    help_texts = field_help.SERVICE
    list_display = ("name", "description", "created_at", "disabled_at")
    search_fields = ("name",)
    ordering = ("name",)


@admin.register(ServiceKey)
class ServiceKeyAdmin(KeyPages, ReadOnlyAdmin):
    help_texts, labels = field_help.SERVICE_KEY, field_help.ABBREVIATIONS
    list_display = (
        "id", "service", "scope_list", "a_day", "created_at", "expires_at", "revoked_at", "last_used_at",
    )  # fmt: skip
    a_day = counted("daily_budget")
    list_filter = ("service", ("revoked_at", admin.EmptyFieldListFilter))
    search_fields = ("id", "service__name")
    list_select_related = ("service",)
    ordering = ("service", "-created_at")
    actions = ("budget", "revoke")
    actions_list: ClassVar = ("create_key",)

    @admin.display(description="scopes")
    def scope_list(self, key: ServiceKey) -> str:
        return ", ".join(key.scopes)


@admin.register(SigningKeyUse)
class SigningKeyUseAdmin(ReadOnlyAdmin):
    """When each key of a ring last signed, to tell whether it can be removed."""

    help_texts = field_help.SIGNING_KEY_USE
    list_display = ("ring", "kid", "last_signed_at")
    ordering = ("ring", "kid")


@admin.register(AccountDay)
class AccountDayAdmin(ReadOnlyAdmin):
    """The numbers behind the plots on the first page."""

    help_texts = field_help.ACCOUNT_DAY
    list_display = ("day", "measure", "number", "state", "counted_at")
    number = counted("count")
    list_filter = ("measure",)
    ordering = ("-day", "measure")

    @admin.display(description="state")
    def state(self, day: AccountDay) -> str:
        return "final" if day.final else "still being counted"

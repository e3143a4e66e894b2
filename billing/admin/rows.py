"""Billing in the admin. Payments are shown, not edited; every order open to staff has a page that asks why."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.forms.models import model_to_dict
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from accounts import audit
from accounts.admin.lists import OfUsersAdmin, OneOf, PageOfUser, PlotsAdmin, ReadOnlyAdmin, counted, moment
from accounts.admin.orders import EditedByOrder, OrderForm, actor
from accounts.admin.sections import queued_state
from accounts.audit import Event
from accounts.kit.problems import Problem
from accounts.models import User
from billing import money
from billing.admin import field_help, orders, overview, stripe_search, user_page
from billing.admin.orders import OrderPages, RefundDecisions
from billing.errors import StripeObjectMissing
from billing.models import (
    BillingAccount,
    CustomerChange,
    InboxEvent,
    Payment,
    PaymentLine,
    Plan,
    RefundRequest,
    Revenue,
    StrangerPayment,
)
from billing.shop import plan_sync
from billing.stripe import sdk
from billing.stripe_sync import inbox


class PlanForm(forms.ModelForm, OrderForm):  # type: ignore[type-arg]
    """Passes `reason` on to the audit log, with what was changed."""

    class Meta:
        model = Plan
        fields = (
            "code", "name", "kind", "credits", "amount", "currency", "interval", "interval_count", "trial_days",
            "trial_credits",
            "credits_expire_days", "grace_hours", "grace_debit_hours", "grace_invoice_hours", "stripe_price", "active",
        )  # fmt: skip
        help_texts = field_help.PLAN

    def clean(self) -> dict[str, Any] | None:
        """Refuse a plan that would be shown at another price than Stripe charges."""
        cleaned: dict[str, Any] | None = super().clean()
        names = {"stripe_price", *plan_sync.OF_THE_PRICE}
        is_changed = not names.isdisjoint(self.changed_data)
        if is_changed and not self.errors and self.cleaned_data["credits"] and sdk.is_configured():
            self._compare(Plan(**{name: self.cleaned_data[name] for name in names}))
        return cleaned

    def _compare(self, plan: Plan) -> None:
        try:
            with sdk.within():
                differing = plan_sync.differences(plan)
        except StripeObjectMissing:
            differing = {"stripe_price": "no price with this id"}
        except Problem:
            self.add_error("stripe_price", "Stripe cannot be asked about this price now. Try again later.")
            return
        for name, value in differing.items():
            self.add_error(name, f"Stripe has {value or 'nothing'} here.")


@admin.register(Plan)
class PlanAdmin(EditedByOrder):
    """Lets superusers edit plans, with a reason. A change does not re-price payments that were seen before."""

    form = PlanForm
    list_display = ("code", "name", "kind", "worth", "price", "interval", "trial_days", "active")
    worth = counted("credits")
    list_filter = ("kind", "active")
    search_fields = ("code", "name", "stripe_price")
    ordering = ("code",)

    @admin.display(description="price")
    def price(self, plan: Plan) -> str:
        return money.written(plan.amount, plan.currency)

    def has_delete_permission(self, request: HttpRequest, obj: Plan | None = None) -> bool:
        """Refuse, since payments refer to the plan. One that is no longer sold is made inactive."""
        return False

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:  # noqa: FBT001 -- Django's signature
        before = Plan.objects.filter(pk=obj.pk).first()
        super().save_model(request, obj, form, change)
        was, now = (model_to_dict(before) if before else {}), model_to_dict(obj)
        changed = {name: [was.get(name), value] for name, value in now.items() if was.get(name) != value}
        detail = {"plan": obj.code, "changed": changed, "reason": form.cleaned_data["reason"]}
        audit.record(Event.PLAN_CHANGED, user_id=None, actor=actor(request), detail=detail)


class BillingAdmin(OfUsersAdmin):
    """Rows of a user, found by the user or by the beginning of a Stripe id."""

    search_help_text = "A user, or the beginning of a Stripe id"
    stripe_ids: ClassVar[tuple[str, ...]] = ()  # columns, each with an index

    def found(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        if of_customers := stripe_search.users(term):
            return rows.filter(user_id__in=of_customers)
        if keys := stripe_search.keys(rows, self.stripe_ids, term):
            return rows.filter(pk__in=keys)
        return super().found(rows, term)

    @admin.display(description="user")
    def person(self, row: Any) -> SafeString:
        page = reverse("admin:billing_billingaccount_change", args=[row.user_id])
        return format_html('<a class="text-primary-600 underline" href="{}">{}</a>', page, row.user)


@admin.register(BillingAccount)
class BillingAccountAdmin(PageOfUser, OrderPages, BillingAdmin):
    """The billing status of users. The page behind a row is the user's, and exists even before they buy anything."""

    list_display = ("user", "status", "plan", "current_period_end", "cancel_at_period_end", "changed_at")
    list_filter = ("status", "plan", "cancel_at_period_end")
    list_select_related = ("user", "plan")
    stripe_ids = ("subscription",)
    ordering = ("-changed_at",)
    page_title, page_template = "Billing", "admin/billing/account.html"
    page_permissions: ClassVar = {
        "may_refund": "billing.refund_payment",
        "may_cancel": "billing.end_subscription",
        "may_replay": "billing.replay_event",
    }
    orders = orders.OF_ACCOUNTS

    def page_context(self, person: User) -> dict[str, Any]:
        return user_page.context(person)


class Currencies(OneOf):
    """Filters by the currencies of the plans, which are few."""

    title, parameter_name = "currency", "currency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = Plan.objects.order_by("currency").values_list("currency", flat=True).distinct()
        return [(name, name.upper()) for name in names]


@admin.register(Payment)
class PaymentAdmin(OrderPages, BillingAdmin):
    help_texts = field_help.PAYMENT
    list_display = ("id", "person", "kind", "plan", "worth", "amount", "left", "paid_at")
    worth = counted("credits")
    list_filter = ("kind", "plan", Currencies)
    list_select_related = ("user", "plan")
    stripe_ids = ("id", "payment_intent", "subscription")
    fields = (
        "created_at", "user", "kind", "plan", "quantity", "worth", "expires_at", "amount", "back", "contested",
        "left", "on_balance", "paid_at", "settled_at", "id", "payment_intent", "subscription", "bought", "version",
    )  # fmt: skip
    readonly_fields = ("worth", "amount", "back", "contested", "left", "on_balance", "bought")
    orders = orders.OF_PAYMENTS

    @admin.display(description="paid")
    def amount(self, payment: Payment) -> str:
        return money.written(payment.paid or 0, payment.currency) if payment.currency else ""

    @admin.display(description="net")
    def left(self, payment: Payment) -> str:
        return money.written(payment.kept or 0, payment.currency) if payment.currency else ""

    @admin.display(description="refunded")
    def back(self, payment: Payment) -> str:
        return money.written(payment.refunded, payment.currency) if payment.currency else ""

    @admin.display(description="lines")
    def bought(self, payment: Payment) -> SafeString:
        rows = payment.lines.select_related("plan").order_by("pk")
        return format_html_join(
            mark_safe("<br>"),
            "{} of {}: {} of {} credits, {} of {} net",
            (
                (row.quantity, row.plan or row.price or row.kind, f"{row.worth:,}", f"{row.credits:,}",
                 *(money.written(amount, payment.currency) for amount in (row.covered, row.due)))
                for row in rows
            ),
        )  # fmt: skip

    @admin.display(description="left on the customer's balance")
    def on_balance(self, payment: Payment) -> str:
        return money.written(payment.to_balance, payment.currency) if payment.to_balance else ""

    @admin.display(description="disputed")
    def contested(self, payment: Payment) -> str:
        return money.written(payment.disputed, payment.currency) if payment.currency else ""


@admin.register(RefundRequest)
class RefundRequestAdmin(RefundDecisions, BillingAdmin):
    """Refunds that staff have made, or asked others to approve. They are decided on a row's page."""

    list_display = (
        "asked", "person", "kind", "sum", "decision", "reason", "requested_by", "decided_by", "done", "payment",
    )  # fmt: skip
    asked, done = moment("requested_at"), moment("done_at")
    list_filter = ("decision",)
    list_select_related = ("user", "payment", "requested_by", "decided_by")
    stripe_ids = ("payment_id",)
    ordering = ("-requested_at",)

    @admin.display(description="at most")
    def sum(self, row: RefundRequest) -> str:
        return money.written(row.at_stake, row.currency) if row.currency else str(row.at_stake)


class Waiting(OneOf):
    """Filters for the lines whose price has no plan."""

    title, parameter_name, values = "kind", "kind", ("open",)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "open: no plan for its price")]


@admin.register(PaymentLine)
class PaymentLineAdmin(ReadOnlyAdmin):
    """The lines of payments. Open ones are settled within ten minutes of getting a plan."""

    help_texts = field_help.LINE
    list_display = (
        "payment",
        "price",
        "kind",
        "plan",
        "quantity",
        "worth",
        "price_due",
        "kept",
        "created_at",
    )
    fields = (
        "payment", "line", "price", "kind", "plan", "quantity", "worth", "price_due", "kept", "expires_at",
        "granted_by", "created_at",
    )  # fmt: skip
    readonly_fields = ("worth", "price_due", "kept")
    worth = counted("credits")
    list_filter = (Waiting,)
    list_select_related = ("plan", "payment")
    search_fields = ("payment",)  # shows the search box; get_search_results does the search
    search_help_text = "The beginning of a payment's id"
    ordering = ("-id",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        payments = stripe_search.keys(Payment.objects.all(), ("id",), term)
        return (queryset.filter(payment__in=payments) if term else queryset), False

    @admin.display(description="due")
    def price_due(self, line: PaymentLine) -> str:
        return money.written(line.due, line.payment.currency)

    @admin.display(description="net")
    def kept(self, line: PaymentLine) -> str:
        return money.written(line.covered, line.payment.currency)


@admin.register(StrangerPayment)
class StrangerPaymentAdmin(OrderPages, ReadOnlyAdmin):
    """Payments by unknown customers, shown until staff say whose they are."""

    help_texts = field_help.STRANGER_PAYMENT
    list_display = ("id", "customer", "paid", "paid_at", "seen_at", "user", "assigned_at", "assign")
    fields = ("id", "customer", "paid", "paid_at", "seen_at", "user", "assigned_at")
    readonly_fields = ("paid",)
    list_filter = (("assigned_at", admin.EmptyFieldListFilter),)
    list_select_related = ("user",)
    search_fields = ("id",)  # shows the search box; get_search_results does the search
    search_help_text = "The beginning of the id of a payment or a customer"
    ordering = ("-seen_at", "-id")
    orders = orders.OF_STRANGERS

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        found = stripe_search.narrow(queryset, ("id", "customer"), term) if term else queryset
        return found, False

    @admin.display(description="paid")
    def paid(self, payment: StrangerPayment) -> str:
        return money.written(payment.amount, payment.currency) if payment.currency else str(payment.amount)

    @admin.display(description="")
    def assign(self, payment: StrangerPayment) -> str:
        if payment.assigned_at is not None:
            return ""
        page = reverse("admin:billing_strangerpayment_order", args=[payment.pk, "assign"])
        return format_html('<a class="text-primary-600 underline" href="{}">Assign to a user…</a>', page)


class EventTypes(OneOf):
    """Filters by the event types that have a handler."""

    title, parameter_name, values = "type", "type", tuple(sorted(inbox.HANDLERS))

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.values]


@admin.register(InboxEvent)
class InboxEventAdmin(OrderPages, ReadOnlyAdmin):
    """Stripe's events. The body is not shown, since it has addresses and names."""

    help_texts = field_help.INBOX_EVENT
    list_display = ("created", "type", "event_id", "state", "attempts", "last_error", "again")
    list_filter = (
        ("dead_at", admin.EmptyFieldListFilter),
        ("done_at", admin.EmptyFieldListFilter),
        EventTypes,
    )
    search_fields = ("event_id",)  # shows the search box; get_search_results does the search
    search_help_text = "The beginning of the id of an event or a customer"
    ordering = ("-id",)
    fields = (
        "type", "event_id", "created", "customer", "about", "livemode", "received_at", "settled_at", "mirrored_at",
        "done_at", "attempts", "due_at", "leased_until", "dead_at", "last_error",
    )  # fmt: skip
    orders = orders.OF_EVENTS

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        found = stripe_search.narrow(queryset, ("event_id", "customer"), term) if term else queryset
        return found, False

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Add the link to retry an event, for staff who may do so."""
        may = request.user.has_perm("billing.replay_event")
        return tuple(name for name in super().get_list_display(request) if may or name != "again")

    @admin.display(description="state")
    def state(self, event: InboxEvent) -> str:
        return queued_state(event, "done", event.done_at)

    @admin.display(description="")
    def again(self, event: InboxEvent) -> str:
        if event.dead_at is None:
            return ""
        page = reverse("admin:billing_inboxevent_order", args=[event.pk, "replay"])
        return format_html('<a class="text-primary-600 underline" href="{}">Retry…</a>', page)


@admin.register(CustomerChange)
class CustomerChangeAdmin(BillingAdmin):
    help_texts = field_help.CUSTOMER_CHANGE
    list_display = ("kind", "person", "created_at", "state", "attempts", "last_error")
    fields = (
        "kind", "user", "subscription", "created_at", "done_at", "attempts", "due_at", "leased_until", "dead_at",
        "last_error",
    )  # fmt: skip
    list_filter = ("kind", ("dead_at", admin.EmptyFieldListFilter))
    ordering = ("-id",)

    @admin.display(description="state")
    def state(self, change: CustomerChange) -> str:
        return queued_state(change, "done", change.done_at)


@admin.register(Revenue)
class RevenueAdmin(PlotsAdmin):
    """Money kept, by currency and day."""

    heading, plots_template = "Revenue", "admin/billing/overview.html"
    plots = staticmethod(overview.context)

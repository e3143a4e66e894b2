"""Orders that staff may give in billing, each with a reason, recorded in the audit log before Stripe is called.

Stripe carries out refunds and cancellations; the credits follow at once, as they would with the event. Nobody may give
any of these orders for themselves.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts import audit
from accounts.admin import orders
from accounts.admin.decisions import DecisionPages
from accounts.admin.orders import Given, Order, OrderForm, staff_id
from accounts.approvals import DecisionRefused
from accounts.audit import Event
from accounts.kit.problems import Problem
from accounts.models import User
from billing import money, refunds
from billing.models import BillingAccount, InboxEvent, Payment, RefundRequest, StrangerPayment
from billing.settlement import lifecycle, settle, strangers
from billing.stripe import ending, sdk
from billing.stripe_sync import inbox
from credits.errors import explained

DONE = "Done, and recorded in the audit log. The result is shown below."


class OrderRefused(Exception):
    """This person may not give the order; the text says why."""


class RefundForm(OrderForm):
    """Asks for an amount in the payment's currency, and converts it to the smallest unit, in which Stripe counts.

    The browser limits it to what is left, and Stripe enforces that: an order that is sent twice finds less left the
    second time, and is valid all the same.
    """

    def __init__(self, *args: Any, subject: Payment, **options: Any) -> None:
        super().__init__(*args, subject=subject, **options)
        left = money.amount_of(subject.kept or 0, subject.currency)
        smallest = money.amount_of(1, subject.currency)
        self.fields["amount"] = forms.DecimalField(
            required=False,
            min_value=smallest,
            decimal_places=money.decimals(subject.currency),
            max_digits=15,
            label=f"Amount in {subject.currency.upper()}",
            help_text="Leave empty to refund everything that is left, "
            f"{money.written(subject.kept or 0, subject.currency)}.",
            widget=UnfoldAdminDecimalFieldWidget(attrs={"max": str(left), "inputmode": "decimal"}),
        )
        self.order_fields(["amount"])

    def clean_amount(self) -> int | None:
        given = self.cleaned_data["amount"]
        return None if given is None else money.smallest_units(given, self.subject.currency)


class AssignForm(OrderForm):
    person = forms.CharField(
        label="User", help_text="An id or a full email address.", widget=UnfoldAdminTextInputWidget
    )

    def clean_person(self) -> User:
        """Return the one user who is meant: money is never assigned by part of a name."""
        given = str(self.cleaned_data["person"]).strip()
        found = User.objects.exclude(status=User.Status.DELETED)
        try:
            user: User | None = found.filter(pk=UUID(given)).first()
        except ValueError:
            user = found.filter(email=given.lower()).first()
        if user is None:
            raise ValidationError("No user has this id or address.")
        return user


class CancelForm(OrderForm):
    at_once = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Otherwise it ends with the paid period.",
    )


@dataclass(frozen=True, kw_only=True)
class BillingOrder(Order):
    model: type[Model]
    template: str = "admin/billing/order.html"
    refusals: tuple[type[Exception], ...] = (Problem, OrderRefused, DecisionRefused)
    asks_others: bool = True

    def find(self, request: HttpRequest, **where: Any) -> Any:
        """Return the row. Raises Http404, also for a key that no row can have, such as letters for a number."""
        try:
            key = self.model._meta.pk.to_python(where["pk"])  # noqa: SLF001 -- Django's documented name
        except ValidationError:
            raise Http404 from None
        return get_object_or_404(self.model, pk=key)

    def context(self, request: HttpRequest, subject: Any, form: OrderForm) -> dict[str, Any]:
        return {"about": _about(subject)}

    def shown(self, subject: Any) -> Model | None:
        return subject.user if isinstance(subject, BillingAccount) else subject

    def back(self, subject: Any) -> str:
        return _page_of(subject)

    def explain(self, refusal: Exception) -> str:
        return explained(refusal) if isinstance(refusal, Problem) else str(refusal)

    def do(self, given: Given) -> str:
        if _owner(given.subject) == staff_id(given.request):
            raise OrderRefused(refunds.OF_ONES_OWN)
        self.carry_out(given)
        return DONE


@dataclass(frozen=True, kw_only=True)
class RefundOrder(BillingOrder):
    """A refund. Above the daily limit, a second person decides."""

    def is_offered_on(self, subject: Payment) -> bool:
        return bool(subject.kept)

    def context(self, request: HttpRequest, subject: Any, form: OrderForm) -> dict[str, Any]:
        left = money.written(refunds.left_today(staff_id(request), subject.currency), subject.currency)
        limit = f"You can refund up to {left} today; above that, a second person has to approve."
        return {"about": _about(subject), "limit": limit}

    def do(self, given: Given) -> str | None:  # type: ignore[override]
        asked = self.carry_out(given)
        if asked.decision == RefundRequest.Decision.PENDING:
            told = "This needs a second approver: it exceeds your daily limit. Nothing was refunded yet."
            messages.warning(given.request, told)
            return None
        return DONE


class UndoOrder(RefundOrder):
    """A refund that also ends the payment's subscription, so there has to be one."""

    def is_offered_on(self, subject: Payment) -> bool:
        return bool(subject.kept and subject.subscription)


class RefundDecisions(DecisionPages):
    """The page on which a request for a refund is decided."""

    decision_title, decision_permission = "Refund", "billing.approve_refund"
    decision_template, decision_url = "admin/billing/refundrequest/page.html", "billing_decide"

    def explain_problem(self, problem: Problem) -> str:
        return explained(problem)

    def approve(self, request_id: UUID, staff_id: UUID) -> str:
        refunds.approve(request_id=request_id, staff_id=staff_id)
        return "Approved and refunded."

    def refuse(self, request_id: UUID, staff_id: UUID) -> str:
        refunds.refuse(request_id=request_id, staff_id=staff_id)
        return "Declined. Nothing was refunded."

    def is_open(self, asked: RefundRequest) -> bool:
        return super().is_open(asked) or (
            asked.decision == RefundRequest.Decision.APPROVED and asked.done_at is None
        )

    def decision_context(self, asked: RefundRequest) -> dict[str, Any]:
        most = money.written(asked.at_stake, asked.currency) if asked.currency else str(asked.at_stake)
        return {"about": _about(asked.payment), "most": most}


class ReplayOrder(BillingOrder):
    """Carries out again what was given up; everything else is retried anyway."""

    def is_offered_on(self, subject: Any) -> bool:
        return subject.dead_at is not None


class AssignOrder(BillingOrder):
    def is_offered_on(self, subject: StrangerPayment) -> bool:
        return subject.assigned_at is None


class OrderPages(orders.OrderPages):
    """Serves `<pk>/order/<verb>/` for each of `orders`, with a button for it on the row's own page."""

    change_form_outer_before_template = "admin/buttons.html"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        buttons = [
            (order.title, reverse(f"admin:billing_{self.opts.model_name}_order", args=[row.pk, verb]))
            for verb, order in self.orders.items()
            if row is not None and order.allows(request) and order.is_offered_on(row)
        ]
        context = {**(extra_context or {}), "buttons": buttons}
        return super().change_view(request, object_id, form_url, context)  # type: ignore[no-any-return]

    def order_urls(self) -> list[URLPattern]:
        name = f"billing_{self.opts.model_name}_order"
        return [path("<path:pk>/order/<slug:verb>/", self.admin_site.admin_view(self.order_page), name=name)]

    def order_page(self, request: HttpRequest, *, verb: str, **where: Any) -> HttpResponse:
        if verb not in self.orders:
            raise PermissionDenied
        return super().order_page(request, verb=verb, **where)


def _owner(subject: Any) -> Any:
    """Return the id of the user behind a payment or subscription; None for an unassigned payment or a Stripe event."""
    if isinstance(subject, InboxEvent):
        return None
    return subject.pk if isinstance(subject, BillingAccount) else subject.user_id


def _page_of(subject: Any) -> str:
    if isinstance(subject, InboxEvent):
        return reverse("admin:billing_inboxevent_changelist")
    if isinstance(subject, StrangerPayment):
        return reverse("admin:billing_strangerpayment_changelist")
    return reverse("admin:billing_billingaccount_change", args=[_owner(subject)])


def _about(subject: Any) -> dict[str, str]:
    if isinstance(subject, Payment):
        paid, left = (
            money.written(amount or 0, subject.currency) if subject.currency else "none"
            for amount in (subject.paid, subject.kept)
        )
        return {"Payment": subject.pk, "User": str(subject.user), "Paid": paid, "Left to refund": left}
    if isinstance(subject, StrangerPayment):
        amount = money.written(subject.amount, subject.currency) if subject.currency else str(subject.amount)
        return {"Payment": subject.pk, "Customer": subject.customer or "a guest", "Paid": amount}
    if isinstance(subject, BillingAccount):
        return {"Subscription": subject.subscription, "User": str(subject.user), "Status": subject.status}
    return {"Event": subject.event_id, "Type": subject.type, "Error": subject.last_error}


def _refund(given: Given) -> RefundRequest:
    return _ask(given, RefundRequest.Kind.REFUND, given.fields["amount"])


def _undo(given: Given) -> RefundRequest:
    """Order a refund that ends the subscription, usually the later of two that one user has paid."""
    return _ask(given, RefundRequest.Kind.UNDO, None)


def _ask(given: Given, kind: str, amount: int | None) -> RefundRequest:
    return refunds.request(
        request_id=given.form_id,
        payment=given.subject,
        kind=kind,
        amount=amount,
        reason=given.fields["reason"],
        staff_id=staff_id(given.request),
    )


def _settle_again(given: Given) -> None:
    """Bring the credits in line with what Stripe says now; if they are already, nothing is posted."""
    payment = given.subject
    _record(Event.SETTLEMENT_ORDERED, given, payment.user_id, {"payment": payment.pk})
    settle.settle(payment.pk)


def _assign(given: Given) -> None:
    """Assign a payment, and settle all that its customer has paid. What cannot be settled now is retried each night."""
    payment, user = given.subject, given.fields["person"]
    if user.pk == staff_id(given.request):
        raise OrderRefused(refunds.OF_ONES_OWN)
    detail = {"payment": payment.pk, "customer": payment.customer}
    with transaction.atomic():
        assigned = strangers.assign(payment, user.pk)
        if not assigned:
            raise OrderRefused("This payment has been assigned to another user. Nothing was changed.")
        _record(Event.PAYMENT_ASSIGNED, given, user.pk, detail)
    for payment_id in assigned:
        settle.settle(payment_id)


def _cancel(given: Given) -> None:
    account, at_once = given.subject, given.fields["at_once"]
    detail = {"subscription": account.subscription, "at_once": at_once}
    _record(Event.CANCELLATION_ORDERED, given, account.pk, detail)
    with sdk.within():
        (ending.at_once if at_once else ending.with_period)(account.subscription)
        lifecycle.follow(account.pk)


def _replay(given: Given) -> None:
    event = given.subject
    _record(Event.EVENT_REPLAYED, given, None, {"event": event.event_id, "type": event.type})
    inbox.replay(event)


def _record(event: Event, given: Given, user_id: Any, detail: dict[str, Any]) -> None:
    detail = {**detail, "reason": given.fields["reason"]}
    audit.record(event, user_id=user_id, actor=given.actor, detail=detail)


OF_PAYMENTS = {
    "refund": RefundOrder(
        title="Refund",
        permission="billing.refund_payment",
        model=Payment,
        form=RefundForm,
        carry_out=_refund,
    ),
    "undo": UndoOrder(
        title="End the subscription and refund",
        permission="billing.refund_payment",
        model=Payment,
        carry_out=_undo,
    ),
    "settle": BillingOrder(
        title="Settle again",
        permission="billing.refund_payment",
        model=Payment,
        carry_out=_settle_again,
    ),
}
OF_STRANGERS = {
    "assign": AssignOrder(
        title="Assign to a user",
        permission="billing.assign_payment",
        model=StrangerPayment,
        form=AssignForm,
        carry_out=_assign,
    )
}
OF_ACCOUNTS = {
    "cancel": BillingOrder(
        title="Cancel the subscription",
        permission="billing.end_subscription",
        model=BillingAccount,
        form=CancelForm,
        carry_out=_cancel,
    )
}
OF_EVENTS = {
    "replay": ReplayOrder(
        title="Retry",
        permission="billing.replay_event",
        model=InboxEvent,
        asks_others=False,
        carry_out=_replay,
    )
}

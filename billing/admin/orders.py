"""What staff may do with billing, and its pages: what it is about, and why, in the audit log before Stripe is asked.

Refunds and cancellations are Stripe's to carry out; the credits follow at once, as they would with the event.
"""

import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts import audit
from accounts.audit import Event
from accounts.kit.problems import Problem
from billing import money
from billing.errors import Unsettleable
from billing.models import BillingAccount, InboxEvent, Payment
from billing.settlement import lifecycle, settle
from billing.stripe import gateway, sdk
from billing.stripe.shapes import ENDED_SUBSCRIPTIONS
from billing.stripe_sync import inbox

Done = Callable[[Any, dict[str, Any], str], None]


class ReasonForm(forms.Form):
    """`order_id` is made with the form, so that sending it twice orders once."""

    reason = forms.CharField(
        max_length=300, widget=UnfoldAdminTextInputWidget, help_text="Stays in the audit log"
    )
    order_id = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, subject: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.subject = subject


class RefundForm(ReasonForm):
    """Asks in the payment's currency; what is asked becomes its smallest unit, in which Stripe counts.

    That no more is given back than is left is for the browser to say and for Stripe to hold: an order that is sent
    twice finds less left the second time, and is right all the same.
    """

    field_order = ("amount", "reason", "order_id")

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
            help_text=f"Empty: all that is left, {money.written(subject.kept or 0, subject.currency)}.",
            widget=UnfoldAdminDecimalFieldWidget(attrs={"max": str(left), "inputmode": "decimal"}),
        )
        self.order_fields(self.field_order)

    def clean_amount(self) -> int | None:
        given = self.cleaned_data["amount"]
        return None if given is None else money.smallest_units(given, self.subject.currency)


class CancelForm(ReasonForm):
    at_once = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Else it ends with the period that is paid for.",
    )


class OrderPages:
    """`<pk>/order/<verb>/` for each of `orders`: verb to permission, title, form and what is done."""

    admin_site: Any
    model: Any
    order_kinds: ClassVar[dict[str, tuple[str, str, type[ReasonForm], Done]]]

    def order_urls(self) -> list[URLPattern]:
        name = f"billing_{self.model._meta.model_name}_order"  # noqa: SLF001 -- Django's documented name
        return [path("<path:pk>/order/<slug:verb>/", self.admin_site.admin_view(self.order_page), name=name)]

    def order_page(self, request: HttpRequest, pk: str, verb: str) -> HttpResponse:
        if verb not in self.order_kinds:
            raise PermissionDenied
        permission, title, form_class, done = self.order_kinds[verb]
        if not request.user.has_perm(permission):
            raise PermissionDenied
        subject = get_object_or_404(self.model, pk=self._key(pk))
        form = form_class(request.POST or None, initial={"order_id": uuid.uuid4()}, subject=subject)
        if form.is_valid() and _carry_out(request, subject, form, done):
            return HttpResponseRedirect(_page_of(subject))
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.model._meta,  # noqa: SLF001
            "subject": subject,
            "about": _about(subject),
            "back": _page_of(subject),
            "form": form,
        }
        return TemplateResponse(request, "admin/billing/order.html", context)

    def _key(self, pk: str) -> Any:
        """Raises Http404 for what no row of the model can be known by, such as letters where they are numbered."""
        try:
            return self.model._meta.pk.to_python(pk)  # noqa: SLF001
        except ValidationError:
            raise Http404 from None


def _carry_out(request: HttpRequest, subject: Any, form: ReasonForm, done: Done) -> bool:
    try:
        done(subject, form.cleaned_data, f"staff {request.user.pk}")
    except Problem as problem:
        form.add_error(None, str(problem.detail))
        return False
    except Unsettleable as error:
        form.add_error(None, f"No plan has the price that was paid: {error}")
        return False
    messages.success(request, "Done: it is in the audit log, and what it changes shows below.")
    return True


def _page_of(subject: Any) -> str:
    if isinstance(subject, InboxEvent):
        return reverse("admin:billing_inboxevent_changelist")
    user_id = subject.pk if isinstance(subject, BillingAccount) else subject.user_id
    return reverse("admin:billing_billingaccount_change", args=[user_id])


def _about(subject: Any) -> dict[str, str]:
    if isinstance(subject, Payment):
        paid, left = (
            money.written(amount or 0, subject.currency) if subject.currency else "none"
            for amount in (subject.paid, subject.kept)
        )
        return {"Payment": subject.pk, "User": str(subject.user), "Paid": paid, "Left to refund": left}
    if isinstance(subject, BillingAccount):
        return {"Subscription": subject.subscription, "User": str(subject.user), "Status": subject.status}
    return {"Event": subject.event_id, "Type": subject.type, "Error": subject.last_error}


def order_refund(payment: Any, given: dict[str, Any], actor: str) -> None:
    refund(
        payment,
        amount=given["amount"],
        reason=given["reason"],
        actor=actor,
        order_id=given["order_id"],
    )


def order_settle_again(payment: Any, given: dict[str, Any], actor: str) -> None:
    settle_again(payment, reason=given["reason"], actor=actor)


def order_cancel(account: Any, given: dict[str, Any], actor: str) -> None:
    cancel(account, at_once=given["at_once"], reason=given["reason"], actor=actor)


def order_replay(event: Any, given: dict[str, Any], actor: str) -> None:
    replay(event, reason=given["reason"], actor=actor)


def refund(payment: Payment, *, amount: int | None, reason: str, actor: str, order_id: uuid.UUID) -> None:
    """All that is kept, or part of it; the same order refunds once. Raises what the gateway raises."""
    detail = {"payment": payment.pk, "amount": amount, "currency": payment.currency, "reason": reason}
    audit.record(Event.REFUND_ORDERED, user_id=payment.user_id, actor=actor, detail=detail)
    with sdk.within():
        gateway.create_refund(
            payment_intent=payment.payment_intent,
            amount=amount,
            metadata={"order": str(order_id)},
            key=f"refund-{order_id}",
        )
        settle.settle(payment.pk)


def settle_again(payment: Payment, *, reason: str, actor: str) -> None:
    """Brings the credits in line with what Stripe says now: where they are, nothing is posted."""
    detail = {"payment": payment.pk, "reason": reason}
    audit.record(Event.SETTLEMENT_ORDERED, user_id=payment.user_id, actor=actor, detail=detail)
    settle.settle(payment.pk)


def cancel(account: BillingAccount, *, at_once: bool, reason: str, actor: str) -> None:
    detail = {"subscription": account.subscription, "at_once": at_once, "reason": reason}
    audit.record(Event.CANCELLATION_ORDERED, user_id=account.pk, actor=actor, detail=detail)
    with sdk.within():
        found = gateway.retrieve_subscription(account.subscription)
        if found["status"] not in ENDED_SUBSCRIPTIONS:
            if at_once:
                gateway.cancel_subscription(subscription=account.subscription)
            else:
                gateway.set_cancel_at_period_end(subscription=account.subscription, cancel=True)
        lifecycle.follow(account.pk)


def replay(event: InboxEvent, *, reason: str, actor: str) -> None:
    """Only what was given up: everything else is carried out anyway."""
    detail = {"event": event.event_id, "type": event.type, "reason": reason}
    audit.record(Event.EVENT_REPLAYED, user_id=None, actor=actor, detail=detail)
    inbox.replay(event)

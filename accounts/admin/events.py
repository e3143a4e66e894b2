"""Event subscriptions, which superusers create, pause and rotate, each with a reason; and deliveries.

A secret appears once, in the response that creates it. Staff who may retry mails may also retry deliveries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.debug import sensitive_variables
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.admin.lists import as_id
from accounts.admin.orders import (
    Given,
    Order,
    OrderForm,
    OrderPages,
    actor,
    ask,
    is_superuser,
    reason_field,
)
from accounts.admin.sections import queued_state
from accounts.events import subscriptions
from accounts.events.subscriptions import SubscriptionRefused
from accounts.models import EventDelivery, EventSubscription

LIST = "accounts_eventsubscription_changelist"
NEW = "admin/accounts/eventsubscription/new.html"


class NewSubscriptionForm(OrderForm):
    """Checks only the shape; the rules are in subscriptions.create, and its refusals show at the top."""

    name = forms.CharField(
        max_length=40, widget=UnfoldAdminTextInputWidget, help_text="May contain a-z, 0-9, - and _."
    )
    url = forms.CharField(
        label="URL",
        max_length=500,
        widget=UnfoldAdminTextInputWidget,
        help_text="An https URL whose host is in EVENT_WEBHOOK_HOSTS.",
    )
    types = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="For example: credits.low, user.deleted. Leave empty for all events.",
    )
    reason = reason_field()

    def clean_types(self) -> list[str]:
        return [name.strip() for name in self.cleaned_data["types"].split(",") if name.strip()]


class RotateForm(OrderForm):
    """`newest` is the mark of the secret when the page was opened: the order is about that secret, not a later one."""

    newest = forms.CharField(max_length=16, widget=forms.HiddenInput)


@sensitive_variables()
def _create(given: Given) -> dict[str, Any]:
    return {"issued": subscriptions.create(actor=given.actor, **given.fields)}


@sensitive_variables()
def _rotate(given: Given) -> dict[str, Any]:
    issued = subscriptions.rotate(name=given.subject[0].name, actor=given.actor, **given.fields)
    return {"title": "New secret", "issued": issued, "rotated": True}


def _retire(given: Given) -> str:
    done = sum(
        subscriptions.retire(name=one.name, actor=given.actor, **given.fields) for one in given.subject
    )
    return f"{done} old secrets retired."


def _pause(given: Given) -> str:
    _switch(given, enabled=False)
    return "Paused. Events are kept and sent on resume."


def _resume(given: Given) -> str:
    _switch(given, enabled=True)
    return "Deliveries resumed."


def _switch(given: Given, *, enabled: bool) -> None:
    for one in given.subject:
        subscriptions.change(name=one.name, enabled=enabled, actor=given.actor, **given.fields)


@dataclass(frozen=True, kw_only=True)
class SubscriptionOrder(Order):
    template: str = "admin/accounts/eventsubscription/order.html"
    path: str = "order/{verb}"
    back_to: str = LIST
    refusals: tuple[type[Exception], ...] = (SubscriptionRefused,)

    def find(self, request: HttpRequest, **where: Any) -> Sequence[EventSubscription]:
        ids = [key for text in request.GET.getlist("subscription") if (key := as_id(text))]
        return list(EventSubscription.objects.filter(pk__in=ids).order_by("name"))


class RotateOrder(SubscriptionOrder):
    """An order for exactly one subscription, since its secret is shown once."""

    def find(self, request: HttpRequest, **where: Any) -> Sequence[EventSubscription]:
        chosen = super().find(request, **where)
        if len(chosen) != 1:
            raise Http404
        return chosen

    def initial(self, subject: Sequence[EventSubscription]) -> dict[str, Any]:
        return {"newest": subscriptions.mark_of_newest(subject[0])}


ORDERS: dict[str, Order] = {
    "new": Order(
        title="New subscription",
        template=NEW,
        back_to=LIST,
        form=NewSubscriptionForm,
        refusals=(SubscriptionRefused,),
        carry_out=_create,
    ),
    "pause": SubscriptionOrder(
        title="Pause subscriptions",
        explanation="Nothing more is sent to them. Events are kept and sent on resume.",
        button="Pause",
        carry_out=_pause,
    ),
    "resume": SubscriptionOrder(
        title="Resume subscriptions",
        explanation="Kept events are sent at once, oldest first, and failures are counted from zero.",
        button="Resume",
        carry_out=_resume,
    ),
    "retire": SubscriptionOrder(
        title="Retire old secrets",
        explanation="Only the newest secret signs from now on: a receiver that does not know it refuses every event.",
        button="Retire old secrets",
        carry_out=_retire,
    ),
    "rotate": RotateOrder(
        title="Make a new secret",
        explanation="It is shown once. The current one also signs until it is retired; any older one ends at once.",
        button="Make a new secret",
        answer_template=NEW,
        form=RotateForm,
        carry_out=_rotate,
    ),
}


class SubscriptionPages(OrderPages):
    """Pages at `order/<verb>?subscription=<id>`: which subscriptions, what will happen, and why."""

    orders = ORDERS

    def has_manage_events_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    @action(description="New subscription", url_path="new", permissions=["manage_events"], icon="webhook")  # type: ignore[untyped-decorator]
    def subscribe(self, request: HttpRequest) -> HttpResponse:
        return self.order_page(request, verb="new")

    @admin.action(description="Make a new secret…", permissions=["manage_events"])
    def rotate(self, request: HttpRequest, chosen: QuerySet[EventSubscription]) -> HttpResponse | None:
        if chosen.count() != 1:
            self.message_user(request, "Select one subscription: its secret is shown once.", messages.WARNING)
            return None
        return _ask("rotate", chosen)

    @admin.action(description="Retire old secrets…", permissions=["manage_events"])
    def retire(self, request: HttpRequest, chosen: QuerySet[EventSubscription]) -> HttpResponse:
        return _ask("retire", chosen)

    @admin.action(description="Pause…", permissions=["manage_events"])
    def pause(self, request: HttpRequest, chosen: QuerySet[EventSubscription]) -> HttpResponse:
        return _ask("pause", chosen)

    @admin.action(description="Resume…", permissions=["manage_events"])
    def resume(self, request: HttpRequest, chosen: QuerySet[EventSubscription]) -> HttpResponse:
        return _ask("resume", chosen)


def _ask(verb: str, chosen: QuerySet[EventSubscription]) -> HttpResponse:
    return ask(f"accounts_eventsubscription_{verb}", "subscription", chosen)


class DeliveryPages:
    message_user: Any

    @admin.display(description="state")
    def state(self, delivery: EventDelivery) -> str:
        return queued_state(delivery, "delivered", delivery.delivered_at)

    def has_send_mails_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("accounts.send_mails"))

    @admin.action(description="Retry", permissions=["send_mails"])
    def send_again(self, request: HttpRequest, chosen: QuerySet[EventDelivery]) -> None:
        ids = list(chosen.values_list("pk", flat=True))
        revived = subscriptions.send_again(ids, actor=actor(request))
        kind = messages.SUCCESS if revived else messages.WARNING
        self.message_user(
            request, f"{revived} queued for redelivery. Pending deliveries are retried automatically.", kind
        )

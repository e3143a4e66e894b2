"""Subscriptions to events in the admin: the superuser's to make, pause and rotate, each with a reason.

A secret is in the answer that makes it, once, and nowhere else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.debug import sensitive_variables
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.admin.actions import OrderForm, reason_field
from accounts.admin.lists import as_id
from accounts.events import subscriptions
from accounts.events.subscriptions import Issued, SubscriptionRefused
from accounts.models import EventDelivery, EventSubscription


class NewSubscriptionForm(forms.Form):
    """Shape only; the rules are those of event_subscriptions.create, and its refusals show at the top."""

    name = forms.CharField(max_length=40, widget=UnfoldAdminTextInputWidget, help_text="a-z, 0-9, - and _")
    url = forms.CharField(
        max_length=500, widget=UnfoldAdminTextInputWidget, help_text="https, of a host in EVENT_WEBHOOK_HOSTS"
    )
    types = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Such as credits.low, user.deleted. Empty: all",
    )
    reason = reason_field()

    def subscribe(self, actor: str) -> Issued | None:
        if not self.is_valid():
            return None
        names = [name.strip() for name in self.cleaned_data.pop("types").split(",") if name.strip()]
        try:
            return subscriptions.create(**self.cleaned_data, types=names, actor=actor)
        except SubscriptionRefused as refusal:
            self.add_error(None, ValidationError(str(refusal)))
            return None


class RotateForm(OrderForm):
    """`newest` is the secret's mark as the page was opened, so that sending the form twice rotates once."""

    newest = forms.CharField(max_length=16, widget=forms.HiddenInput)


@dataclass(frozen=True, kw_only=True)
class Order:
    title: str
    explanation: str
    button: str


ORDERS = {
    "pause": Order(
        title="Pause subscriptions",
        explanation="Nothing more is sent to them. What happens meanwhile is kept, and sent when they go on.",
        button="Pause",
    ),
    "resume": Order(
        title="Let subscriptions go on",
        explanation="What was kept is sent at once, oldest first, and failures are counted from none again.",
        button="Go on",
    ),
    "retire": Order(
        title="Let only the newest secret sign",
        explanation="The secret before it signs no more: a receiver that does not know the newest refuses every event.",
        button="Retire the older secret",
    ),
}
ROTATE = Order(
    title="Make a new secret",
    explanation="It is shown once. The one of now signs too, until it is retired; one before that ends at once.",
    button="Make a new secret",
)


class SubscriptionPages:
    """`order/<verb>?subscription=<id>`: which subscriptions, what will happen, and why."""

    admin_site: Any
    model: Any
    message_user: Any

    def subscription_urls(self) -> list[URLPattern]:
        pages: dict[str, Callable[..., HttpResponse]] = {
            verb: partial(self.order_page, verb=verb) for verb in ORDERS
        }
        pages["rotate"] = self.rotate_page
        return [
            path(f"order/{verb}", self.admin_site.admin_view(page), name=f"accounts_eventsubscription_{verb}")
            for verb, page in pages.items()
        ]

    def has_manage_events_permission(self, request: HttpRequest) -> bool:
        return bool(getattr(request.user, "is_superuser", False))

    @action(description="New subscription", url_path="new", permissions=["manage_events"], icon="webhook")  # type: ignore[untyped-decorator]
    def subscribe(self, request: HttpRequest) -> HttpResponse:
        return self._new(request)

    @sensitive_variables()
    def _new(self, request: HttpRequest) -> HttpResponse:
        self._only_managers(request)
        form = NewSubscriptionForm(request.POST or None)
        issued = form.subscribe(_actor(request)) if request.method == "POST" else None
        return self._page(request, "new", title="New subscription", form=form, issued=issued)

    @admin.action(description="Make a new secret…", permissions=["manage_events"])
    def rotate(self, request: HttpRequest, chosen: QuerySet[EventSubscription]) -> HttpResponse | None:
        if chosen.count() != 1:
            self.message_user(request, "Choose one subscription: its secret is shown once.", messages.WARNING)
            return None
        return _ask("rotate", chosen)

    @admin.action(description="Let only the newest secret sign…", permissions=["manage_events"])
    def retire(self, request: HttpRequest, chosen: QuerySet[EventSubscription]) -> HttpResponse:
        return _ask("retire", chosen)

    @admin.action(description="Pause…", permissions=["manage_events"])
    def pause(self, request: HttpRequest, chosen: QuerySet[EventSubscription]) -> HttpResponse:
        return _ask("pause", chosen)

    @admin.action(description="Go on, at once…", permissions=["manage_events"])
    def resume(self, request: HttpRequest, chosen: QuerySet[EventSubscription]) -> HttpResponse:
        return _ask("resume", chosen)

    def order_page(self, request: HttpRequest, *, verb: str) -> HttpResponse:
        self._only_managers(request)
        chosen = _chosen(request)
        form = OrderForm(request.POST or None)
        if request.method == "POST" and chosen and form.is_valid():
            said = _carry_out(verb, chosen, actor=_actor(request), reason=form.cleaned_data["reason"])
            messages.success(request, said)
            return HttpResponseRedirect(reverse("admin:accounts_eventsubscription_changelist"))
        order = ORDERS[verb]
        return self._page(request, "order", title=order.title, order=order, chosen=chosen, form=form)

    @sensitive_variables()
    def rotate_page(self, request: HttpRequest) -> HttpResponse:
        self._only_managers(request)
        chosen = _chosen(request)
        if len(chosen) != 1:
            raise Http404
        form = RotateForm(request.POST or None, initial={"newest": subscriptions.mark_of_newest(chosen[0])})
        if request.method == "POST" and (issued := _rotated(chosen[0], form, _actor(request))):
            return self._page(request, "new", title="New secret", issued=issued, rotated=True)
        return self._page(request, "order", title=ROTATE.title, order=ROTATE, chosen=chosen, form=form)

    def _only_managers(self, request: HttpRequest) -> None:
        if not self.has_manage_events_permission(request):
            raise PermissionDenied

    def _page(self, request: HttpRequest, name: str, **context: Any) -> HttpResponse:
        site = {**self.admin_site.each_context(request), "opts": self.model._meta}  # noqa: SLF001
        return TemplateResponse(request, f"admin/accounts/eventsubscription/{name}.html", {**site, **context})


class DeliveryPages:
    message_user: Any

    def has_send_mails_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("accounts.send_mails"))

    @admin.action(description="Send again", permissions=["send_mails"])
    def send_again(self, request: HttpRequest, chosen: QuerySet[EventDelivery]) -> None:
        ids = list(chosen.values_list("pk", flat=True))
        revived = subscriptions.send_again(ids, actor=_actor(request))
        kind = messages.SUCCESS if revived else messages.WARNING
        self.message_user(
            request, f"{revived} will be sent again. Open ones are under way by themselves.", kind
        )


def _ask(verb: str, chosen: QuerySet[EventSubscription]) -> HttpResponse:
    query = urlencode([("subscription", pk) for pk in chosen.values_list("pk", flat=True)])
    return HttpResponseRedirect(f"{reverse(f'admin:accounts_eventsubscription_{verb}')}?{query}")


def _chosen(request: HttpRequest) -> Sequence[EventSubscription]:
    ids = [key for text in request.GET.getlist("subscription") if (key := as_id(text))]
    return list(EventSubscription.objects.filter(pk__in=ids).order_by("name"))


def _carry_out(verb: str, chosen: Sequence[EventSubscription], *, actor: str, reason: str) -> str:
    """What the message says that was done."""
    if verb == "retire":
        done = sum(subscriptions.retire(name=one.name, actor=actor, reason=reason) for one in chosen)
        return f"{done} old secrets sign no more."
    for one in chosen:
        subscriptions.change(name=one.name, enabled=verb == "resume", actor=actor, reason=reason)
    return "Sending goes on." if verb == "resume" else "Nothing is sent; what happens meanwhile is kept."


@sensitive_variables()
def _rotated(subscription: EventSubscription, form: RotateForm, actor: str) -> Issued | None:
    if not form.is_valid():
        return None
    try:
        return subscriptions.rotate(name=subscription.name, actor=actor, **form.cleaned_data)
    except SubscriptionRefused as refusal:
        form.add_error(None, ValidationError(str(refusal)))
        return None


def _actor(request: HttpRequest) -> str:
    return f"staff {request.user.pk}"

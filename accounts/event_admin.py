"""Webhooks in the admin: subscriptions are the superuser's, dead letters those of whoever may send again.

A secret is in the answer that makes it, once, and nowhere else.
"""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.debug import sensitive_variables
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import event_subscriptions
from accounts.event_subscriptions import Issued, SubscriptionRefused
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
    issued: Issued | None = None

    def subscribe(self, actor: str) -> Issued | None:
        if not self.is_valid():
            return None
        names = [name.strip() for name in self.cleaned_data.pop("types").split(",") if name.strip()]
        try:
            return event_subscriptions.create(**self.cleaned_data, types=names, actor=actor)
        except SubscriptionRefused as refusal:
            self.add_error(None, ValidationError(str(refusal)))
            return None


class SubscriptionPages:
    """Making a subscription and rotating its secret."""

    admin_site: Any
    model: Any
    message_user: Any

    def has_manage_events_permission(self, request: HttpRequest) -> bool:
        return bool(getattr(request.user, "is_superuser", False))

    @action(description="New subscription", url_path="new", permissions=["manage_events"], icon="webhook")  # type: ignore[untyped-decorator]
    def subscribe(self, request: HttpRequest) -> HttpResponse:
        return self._new(request)

    @sensitive_variables()
    def _new(self, request: HttpRequest) -> HttpResponse:
        if not self.has_manage_events_permission(request):
            raise PermissionDenied
        form = NewSubscriptionForm(request.POST or None)
        issued = form.subscribe(_actor(request)) if request.method == "POST" else None
        return self._page(request, title="New subscription", form=form, issued=issued)

    @admin.action(description="Make a new secret", permissions=["manage_events"])
    @sensitive_variables()
    def rotate(self, request: HttpRequest, chosen: QuerySet[EventSubscription]) -> HttpResponse | None:
        if len(names := list(chosen.values_list("name", flat=True)[:2])) != 1:
            self.message_user(request, "Choose one subscription: its secret is shown once.", messages.WARNING)
            return None
        issued = event_subscriptions.rotate(name=names[0], actor=_actor(request))
        return self._page(request, title="New secret", issued=issued, rotated=True)

    @admin.action(description="Let only the newest secret sign", permissions=["manage_events"])
    def retire(self, request: HttpRequest, chosen: QuerySet[EventSubscription]) -> None:
        done = sum(event_subscriptions.retire(name=one.name, actor=_actor(request)) for one in chosen)
        self.message_user(request, f"{done} old secrets sign no more.")

    @admin.action(description="Pause", permissions=["manage_events"])
    def pause(self, request: HttpRequest, chosen: QuerySet[EventSubscription]) -> None:
        self._switch(request, chosen, enabled=False)

    @admin.action(description="Go on, at once", permissions=["manage_events"])
    def resume(self, request: HttpRequest, chosen: QuerySet[EventSubscription]) -> None:
        self._switch(request, chosen, enabled=True)

    def _switch(self, request: HttpRequest, chosen: QuerySet[EventSubscription], *, enabled: bool) -> None:
        for one in chosen:
            event_subscriptions.change(name=one.name, enabled=enabled, actor=_actor(request))
        state = "Sending goes on." if enabled else "Nothing is sent; what happens meanwhile is kept."
        self.message_user(request, state)

    def _page(self, request: HttpRequest, **context: Any) -> HttpResponse:
        site = {**self.admin_site.each_context(request), "opts": self.model._meta}  # noqa: SLF001
        return TemplateResponse(request, "admin/accounts/eventsubscription/new.html", {**site, **context})


class DeliveryPages:
    message_user: Any

    def has_send_mails_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("accounts.send_mails"))

    @admin.action(description="Send again", permissions=["send_mails"])
    def send_again(self, request: HttpRequest, chosen: QuerySet[EventDelivery]) -> None:
        ids = list(chosen.values_list("pk", flat=True))
        revived = event_subscriptions.send_again(ids, actor=_actor(request))
        kind = messages.SUCCESS if revived else messages.WARNING
        self.message_user(
            request, f"{revived} will be sent again. Open ones are under way by themselves.", kind
        )


def _actor(request: HttpRequest) -> str:
    return f"staff {request.user.pk}"

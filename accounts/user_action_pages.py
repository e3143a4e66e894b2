"""The pages behind the buttons of a user's page: each says what will happen, and asks for the reason."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.admin import actions
from accounts.admin.actions import ACTIONS, END_SESSION, REFUSALS, Action
from accounts.admin.user_page import may_act_on
from accounts.identity import status
from accounts.models import User


def reason_field(help_text: str = "Stays in the audit log") -> forms.CharField:
    return forms.CharField(
        max_length=status.LONGEST_REASON, widget=UnfoldAdminTextInputWidget, help_text=help_text
    )


class ReasonForm(forms.Form):
    reason = reason_field("Stays in the audit log until the user is erased")


class OrderForm(forms.Form):
    """Of what belongs to no user."""

    reason = reason_field()


class ActionPages:
    """Mixed into the admin of users."""

    admin_site: Any
    model: Any

    def action_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        pages = [
            path(
                f"<uuid:user_id>/{verb}", view(self._page_of(action)), name=f"accounts_user_{page_name(verb)}"
            )
            for verb, action in ACTIONS.items()
        ]
        end = view(self._page_of(END_SESSION))
        return [
            *pages,
            path("<uuid:user_id>/end-session/<uuid:target>", end, name="accounts_user_end_session"),
        ]

    def _page_of(self, action: Action) -> Callable[..., HttpResponse]:
        return partial(self._act, action=action)

    def _act(self, request: HttpRequest, user_id: UUID, *, action: Action, **target: UUID) -> HttpResponse:
        person = get_object_or_404(User, pk=user_id)
        if not may_act_on(request, person, action.permission):
            raise PermissionDenied
        form = ReasonForm(request.POST or None)
        back = reverse("admin:accounts_user_change", args=[person.pk])
        if (
            request.method == "POST"
            and form.is_valid()
            and _carried_out(request, person, action, form, **target)
        ):
            messages.success(request, f"{person}: done. It holds from the next request on.")
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{action.title} {person}",
            "opts": self.model._meta,  # noqa: SLF001 -- Django's documented name
            "person": person,
            "action": action,
            "form": form,
            "back": back,
        }
        return TemplateResponse(request, "admin/accounts/user/action.html", context)

    def buttons(self, request: HttpRequest, person: User) -> list[tuple[str, str]]:
        return [
            (f"{ACTIONS[verb].button}…", reverse(f"admin:accounts_user_{page_name(verb)}", args=[person.pk]))
            for verb in actions.offered(person)
            if may_act_on(request, person, ACTIONS[verb].permission)
        ]


def page_name(verb: str) -> str:
    return verb.replace("-", "_")


def _carried_out(
    request: HttpRequest, person: User, action: Action, form: ReasonForm, **target: UUID
) -> bool:
    try:
        action.carry_out(
            user_id=person.pk, reason=form.cleaned_data["reason"], actor=f"staff {request.user.pk}", **target
        )
    except REFUSALS as refusal:
        form.add_error(None, str(refusal))
        return False
    return True

"""What staff may do to a user: each with a reason, audited, never to themselves, and to other staff only as superuser.

An action is a page that says what will happen and asks why; sending its form does it. The rules are those of the
functions that commands and the API call too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import audit, mail, sessions
from accounts.admin.user_page import may_act_on
from accounts.audit import Event
from accounts.factors import resets
from accounts.identity import mail_requests, status
from accounts.models import OutboxMessage, Session, User


class ActionRefused(Exception):
    """It is not possible; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """`carry_out` is called with user_id, reason and actor, and with `target` where the action has one."""

    title: str
    permission: str
    explanation: str
    button: str
    carry_out: Callable[..., None]


@transaction.atomic
def sign_out(*, user_id: UUID, reason: str, actor: str) -> None:
    """Ends every session, at once."""
    User.objects.locked().get(pk=user_id)
    sessions.end_all(user_id, reason=Session.EndReason.ENDED_BY_STAFF)
    audit.record(Event.SIGNED_OUT_EVERYWHERE, user_id=user_id, actor=actor, detail={"reason": reason})


@transaction.atomic
def end_session(*, user_id: UUID, reason: str, actor: str, target: UUID) -> None:
    """Ends one session, at once. Raises ActionRefused."""
    User.objects.locked().get(pk=user_id)
    chosen = sessions.live_of(user_id).filter(pk=target)
    if not chosen.update(ended_at=Now(), end_reason=Session.EndReason.ENDED_BY_STAFF):
        raise ActionRefused("This session is over already.")
    audit.record(
        Event.SESSION_ENDED, user_id=user_id, session_id=target, actor=actor, detail={"reason": reason}
    )


def mail_verification(*, user_id: UUID, reason: str, actor: str) -> None:
    _order_mail(mail_requests.VERIFICATION_REQUESTED, user_id, reason, actor)


def mail_reset(*, user_id: UUID, reason: str, actor: str) -> None:
    _order_mail(mail_requests.RESET_REQUESTED, user_id, reason, actor)


@transaction.atomic
def _order_mail(kind: str, user_id: UUID, reason: str, actor: str) -> None:
    """The same request that the user could have made. Raises ActionRefused."""
    user = User.objects.locked().get(pk=user_id)
    if not user.email:
        raise ActionRefused("This user has no address.")
    if kind == mail_requests.VERIFICATION_REQUESTED and user.email_verified:
        raise ActionRefused("The address is verified already.")
    mail.enqueue(kind, requested_email=user.email)
    audit.record(Event.MAIL_ORDERED, user_id=user_id, actor=actor, detail={"mail": kind, "reason": reason})


@transaction.atomic
def revive_mails(*, user_id: UUID, reason: str, actor: str) -> None:
    """Sends the user's dead mails again. Raises ActionRefused."""
    dead = OutboxMessage.objects.filter(user=user_id, dead_at__isnull=False)
    if not mail.send_again(dead.values_list("pk", flat=True), actor=actor):
        raise ActionRefused("This user has no dead mail.")
    audit.record(
        Event.MAIL_ORDERED, user_id=user_id, actor=actor, detail={"mail": "dead ones", "reason": reason}
    )


def remove_factors(*, user_id: UUID, reason: str, actor: str) -> None:
    resets.request(user_id=user_id, reason=reason, actor=actor)


@transaction.atomic
def keep_factors(*, user_id: UUID, reason: str, actor: str) -> None:
    resets.cancel(user_id=user_id, actor=actor, reason=reason)


REFUSALS: tuple[type[Exception], ...] = (ActionRefused, status.StatusRefused, resets.ResetRefused)

ACTIONS = {
    "suspend": Action(
        title="Suspend",
        permission="accounts.change_status",
        explanation="Every session ends at the next request, nothing more can be spent, and signing in is refused "
        "until somebody reactivates the account.",
        button="Suspend",
        carry_out=status.suspend,
    ),
    "reactivate": Action(
        title="Reactivate",
        permission="accounts.change_status",
        explanation="The user can sign in and spend again. Sessions that were ended stay ended.",
        button="Reactivate",
        carry_out=status.reactivate,
    ),
    "sign-out": Action(
        title="Sign out everywhere",
        permission="accounts.end_sessions",
        explanation="Every session ends at the next request, on all devices. The user can sign in again.",
        button="End all sessions",
        carry_out=sign_out,
    ),
    "mail-verification": Action(
        title="Send a verification mail to",
        permission="accounts.send_mails",
        explanation="A mail with a new link and code goes to the address; older ones of it are void.",
        button="Send",
        carry_out=mail_verification,
    ),
    "mail-reset": Action(
        title="Send a password reset to",
        permission="accounts.send_mails",
        explanation="A mail with a link to choose a new password goes to the address. Until it is used the old "
        "password and all sessions stay as they are.",
        button="Send",
        carry_out=mail_reset,
    ),
    "revive-mails": Action(
        title="Send dead mails again to",
        permission="accounts.send_mails",
        explanation="The mails that were given up go back into the queue, with all their tries.",
        button="Send again",
        carry_out=revive_mails,
    ),
    "remove-factors": Action(
        title="Remove all second factors of",
        permission="accounts.reset_factors",
        explanation="For somebody who has lost them all and whom you have recognised by other means. A mail says so at "
        "once, with a link that cancels it; 72 hours later every factor goes and every session ends.",
        button="Begin the 72 hours",
        carry_out=remove_factors,
    ),
    "keep-factors": Action(
        title="Keep the second factors of",
        permission="accounts.reset_factors",
        explanation="The removal that is under way is cancelled.",
        button="Keep the factors",
        carry_out=keep_factors,
    ),
}
END_SESSION = Action(
    title="End a session of",
    permission="accounts.end_sessions",
    explanation="The device is signed out at its next request. The others stay signed in.",
    button="End the session",
    carry_out=end_session,
)


def offered(user: User) -> list[str]:
    """Of the actions that stand at the top of a user's page, those that the state of the account allows."""
    if user.status == User.Status.ACTIVE:
        return ["suspend"]
    return ["reactivate"] if user.status == User.Status.SUSPENDED else []


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
            for verb in offered(person)
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

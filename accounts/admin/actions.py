"""Staff's actions on a user: each with a reason, audited, never on oneself, and on other staff only by superusers.

The rules are in the same functions that commands and the API call.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse

from accounts import audit, mail, sessions
from accounts.admin.orders import Given, Order, OrderForm, reason_field
from accounts.admin.user_page import may_act_on
from accounts.audit import Event
from accounts.factors import resets
from accounts.identity import contests, status
from accounts.mail.terms import HOUR, in_units
from accounts.models import OutboxMessage, Session, User
from accounts.sign_in import pauses

# The wait before all factors of a user who has lost them are removed.
DELAY = in_units(settings.FACTOR_RESET_DELAY, HOUR)


class ActionRefused(Exception):
    """The action is not possible; the message says why."""


@transaction.atomic
def sign_out(*, user_id: UUID, reason: str, actor: str) -> None:
    User.objects.locked().get(pk=user_id)
    sessions.end_all(user_id, reason=Session.EndReason.ENDED_BY_STAFF)
    audit.record(Event.SIGNED_OUT_EVERYWHERE, user_id=user_id, actor=actor, detail={"reason": reason})


@transaction.atomic
def end_session(*, user_id: UUID, reason: str, actor: str, target: UUID) -> None:
    """End one session, at once. Raise ActionRefused."""
    User.objects.locked().get(pk=user_id)
    chosen = sessions.live_of(user_id).filter(pk=target)
    if not chosen.update(ended_at=Now(), end_reason=Session.EndReason.ENDED_BY_STAFF):
        raise ActionRefused("This session has already ended.")
    audit.record(
        Event.SESSION_ENDED, user_id=user_id, session_id=target, actor=actor, detail={"reason": reason}
    )


def mail_verification(*, user_id: UUID, reason: str, actor: str) -> None:
    _order_mail(mail.VERIFICATION_REQUESTED, user_id, reason, actor)


def mail_reset(*, user_id: UUID, reason: str, actor: str) -> None:
    _order_mail(mail.RESET_REQUESTED, user_id, reason, actor)


@transaction.atomic
def _order_mail(kind: str, user_id: UUID, reason: str, actor: str) -> None:
    """Make the request that the user could have made, outside all limits. Raise ActionRefused."""
    user = User.objects.locked().get(pk=user_id)
    if not user.email:
        raise ActionRefused("This user has no email address.")
    if kind == mail.VERIFICATION_REQUESTED and user.email_verified:
        raise ActionRefused("The address is already verified.")
    detail = {"mail": kind, "reason": reason}
    event = audit.record(Event.MAIL_ORDERED, user_id=user_id, actor=actor, detail=detail)
    mail.enqueue(kind, requested_email=user.email, event=event)


@transaction.atomic
def revive_mails(*, user_id: UUID, reason: str, actor: str) -> None:
    """Queue the user's dead mails again. Raise ActionRefused."""
    dead = OutboxMessage.objects.filter(user=user_id, dead_at__isnull=False)
    if not mail.send_again(dead.values_list("pk", flat=True), actor=actor):
        raise ActionRefused("This user has no dead emails.")
    audit.record(
        Event.MAIL_ORDERED, user_id=user_id, actor=actor, detail={"mail": "dead ones", "reason": reason}
    )


def remove_factors(*, user_id: UUID, reason: str, actor: str) -> None:
    resets.request(user_id=user_id, reason=reason, actor=actor)


@transaction.atomic
def keep_factors(*, user_id: UUID, reason: str, actor: str) -> None:
    resets.cancel(user_id=user_id, actor=actor, reason=reason)


class UserForm(OrderForm):
    reason = reason_field("Kept in the audit log until the user is erased.")


@dataclass(frozen=True, kw_only=True)
class UserOrder(Order):
    """An order about a user. `carry_out` is called with user_id, reason, actor, and the values of URL and form."""

    template: str = "admin/accounts/user/action.html"
    path: str = "<id:user_id>/{verb}"
    done: str = "Done. Takes effect on the next request."
    form: type[OrderForm] = UserForm
    refusals: tuple[type[Exception], ...] = (ActionRefused, status.StatusRefused, resets.ResetRefused)

    def find(self, request: HttpRequest, **where: Any) -> User:
        return get_object_or_404(User, pk=where["user_id"])

    def allows_on(self, request: HttpRequest, subject: User) -> bool:
        return may_act_on(request, subject, self.permission)

    def heading(self, subject: User) -> str:
        return f"{self.title} {subject}"

    def back(self, subject: User) -> str:
        return reverse("admin:accounts_user_change", args=[subject.pk])

    def do(self, given: Given) -> str:
        self.carry_out(**given.where, **given.fields, actor=given.actor)
        return f"{given.subject}: {self.done}"


ORDERS = {
    "suspend": UserOrder(
        title="Suspend",
        permission="accounts.change_status",
        explanation="Every session ends at the next request, nothing more can be spent, and the user cannot sign in "
        "until someone reactivates the account. A deletion that the user has requested goes on.",
        button="Suspend",
        carry_out=status.suspend,
    ),
    "reactivate": UserOrder(
        title="Reactivate",
        permission="accounts.change_status",
        explanation="The user can sign in and spend again. Sessions that ended stay ended, and an account that its "
        "user has closed stays closed.",
        button="Reactivate",
        carry_out=status.reactivate,
    ),
    "settle-contest": UserOrder(
        title="Settle the contest over",
        permission="accounts.change_status",
        explanation="For an account that its old address took back after someone set a password from the new "
        "one. First check what was bought since then, and refund or adjust it. Settling lets the user spend and "
        "buy again.",
        button="Settle the contest",
        carry_out=contests.settle,
    ),
    "sign-out": UserOrder(
        title="Sign out everywhere",
        permission="accounts.end_sessions",
        explanation="Every session ends at the next request, on all devices. The user can sign in again.",
        button="End all sessions",
        carry_out=sign_out,
    ),
    "mail-verification": UserOrder(
        title="Send a verification email to",
        permission="accounts.send_mails",
        explanation="An email with a new link and code goes to the address; older ones stop working.",
        button="Send",
        done="The email is on its way.",
        carry_out=mail_verification,
    ),
    "mail-reset": UserOrder(
        title="Send a password reset to",
        permission="accounts.send_mails",
        explanation="An email with a link to set a new password goes to the address. Until it is used, the old "
        "password and all sessions stay as they are.",
        button="Send",
        done="The email is on its way.",
        carry_out=mail_reset,
    ),
    "revive-mails": UserOrder(
        title="Send dead emails again to",
        permission="accounts.send_mails",
        explanation="Emails that were given up go back into the queue with a fresh set of attempts.",
        button="Send again",
        done="The emails have been queued again.",
        carry_out=revive_mails,
    ),
    "remove-factors": UserOrder(
        title="Remove all second factors of",
        permission="accounts.reset_factors",
        explanation="For a user who has lost them all and whom you have identified by other means. An email tells "
        f"them at once, with a link to cancel; {DELAY} hours later every factor is removed, including "
        "those added since, and every session ends.",
        button=f"Start the {DELAY}-hour wait",
        done=f"All second factors will be removed in {DELAY} hours unless the owner objects. An email has told them.",
        carry_out=remove_factors,
    ),
    "lift-pause": UserOrder(
        title="End the sign-in pause of",
        permission="accounts.reset_factors",
        explanation="For an owner whom you have identified by other means and who is locked out after many wrong "
        "passwords or codes. All counts start again from zero, and the owner is notified by email.",
        button="End the pause",
        done="The pause has ended, and the owner has been notified by email.",
        carry_out=pauses.lift,
    ),
    "keep-factors": UserOrder(
        title="Keep the second factors of",
        permission="accounts.reset_factors",
        explanation="Cancels the pending removal.",
        button="Keep the second factors",
        done="The removal has been cancelled. The second factors stay.",
        carry_out=keep_factors,
    ),
    "end-session": UserOrder(
        path="<id:user_id>/end-session/<id:target>",
        title="End a session of",
        permission="accounts.end_sessions",
        explanation="The device is signed out at its next request. The others stay signed in.",
        button="End the session",
        carry_out=end_session,
    ),
}


def buttons(request: HttpRequest, person: User) -> list[tuple[str, str]]:
    """Return the buttons at the top of a user's page that the account's state and this member of staff allow."""
    return [
        (f"{ORDERS[verb].button}…", reverse(f"admin:accounts_user_{verb}", args=[person.pk]))
        for verb in _offered(person)
        if may_act_on(request, person, ORDERS[verb].permission)
    ]


def _offered(user: User) -> list[str]:
    contest = ["settle-contest"] if user.contested_at else []
    if user.status in {User.Status.ACTIVE, User.Status.PENDING_DELETION}:
        return [*contest, "suspend"]
    return [*contest, "reactivate"] if user.status == User.Status.SUSPENDED else contest

"""Help users who have lost every factor: staff schedule the removal, and the owner has time to object.

The factors are removed FACTOR_RESET_DELAY (72 h) later, and with them those added by then: if a thief's factor keeps
the owner out, the thief could otherwise add another. A mail announces this at once, with a link that cancels it, and
another mail follows the removal. An impostor who talks staff into it gains neither the mailbox nor the password.
"""

from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts import audit, mail, sessions
from accounts.audit import Event
from accounts.errors import TokenInvalid
from accounts.factors import rows
from accounts.kit import throttles
from accounts.kit.client import Client
from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.models import FactorReset, MailToken, User

LONGEST_REASON = 500


class ResetRefused(Exception):
    """The reset is not possible; the message says why."""


@transaction.atomic
def request(*, user_id: UUID, reason: str, actor: str) -> FactorReset:
    """Schedule the removal and mail the owner. Raise ResetRefused."""
    user = User.objects.locked().get(pk=user_id)
    _check(user, reason)
    reset = FactorReset.objects.create(
        user=user,
        reason=reason.strip(),
        actor=actor,
        email=user.email or "",
        applies_at=Now() + settings.FACTOR_RESET_DELAY,
    )
    reset.refresh_from_db()
    audit.record(
        Event.FACTOR_RESET_REQUESTED, user_id=user.pk, actor=actor, detail={"reason": reason.strip()}
    )
    token = tokens.issue(Purpose.KEEP_FACTORS, user_id=user.pk, email=user.email or "")
    mail.enqueue(mail.FACTOR_RESET_STARTED, user_id=user.pk, token=token)
    return reset


def _check(user: User, reason: str) -> None:
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise ResetRefused(f"Give a reason of {LONGEST_REASON} characters or fewer.")
    if not user.email_verified:
        raise ResetRefused("The address is not verified, so the owner could not be notified.")
    if not user.mfa_enabled:
        raise ResetRefused("The account has no second factor.")
    if FactorReset.objects.open().filter(user=user).exists():
        raise ResetRefused("A reset is already pending.")


def keep(text: str, *, client: Client) -> User:
    """Cancel the removal for the owner, by the mailed link. Raise TokenInvalid or RateLimited."""
    throttles.take(*throttles.from_network("cancel_mfa_reset", client.limited_ip))
    token_id = tokens.id_from_link(text, Purpose.KEEP_FACTORS)
    if token_id is None:
        raise TokenInvalid
    return _keep(token_id, client)


@transaction.atomic
def _keep(token_id: UUID, client: Client) -> User:
    token = MailToken.objects.filter(pk=token_id).first()
    if token is None:
        raise TokenInvalid
    user: User = User.objects.locked().get(pk=token.user_id)
    if not tokens.use(token_id, Purpose.KEEP_FACTORS) or not _cancel(user.pk):
        raise TokenInvalid
    audit.record(Event.FACTOR_RESET_CANCELLED, user_id=user.pk, client=client)
    return user


@transaction.atomic
def cancel(*, user_id: UUID, actor: str, reason: str = "") -> None:
    """Cancel the removal for staff. Raise ResetRefused."""
    user = User.objects.locked().get(pk=user_id)
    if not _cancel(user_id):
        raise ResetRefused("No reset is pending for this user.")
    _void_link(user)
    detail = {"reason": reason.strip()} if reason.strip() else {}
    audit.record(Event.FACTOR_RESET_CANCELLED, user_id=user.pk, actor=actor, detail=detail)


def apply_due() -> int:
    """Carry out the removals that are due, up to 100, each in its own transaction. Return how many were carried out."""
    due = FactorReset.objects.due().order_by("applies_at")
    return sum(_apply(user_id) for user_id in list(due.values_list("user", flat=True)[:100]))


@transaction.atomic
def _apply(user_id: UUID) -> bool:
    """Remove every factor and end every session; the password stays, and alone opens the account from now on."""
    user = User.objects.locked().get(pk=user_id)
    reset = FactorReset.objects.due().filter(user=user_id).first()
    if reset is None:
        return False
    if user.email != reset.email or user.status == User.Status.DELETED:
        _cancel(user_id)
        return False
    FactorReset.objects.filter(pk=reset.pk).update(applied_at=Now())
    rows.erase_factors(user_id)
    sessions.end_all(user_id, reason=sessions.EndReason.FACTORS_RESET)
    _void_link(user)
    event = audit.record(Event.FACTOR_RESET_APPLIED, user_id=user_id, actor=reset.actor)
    mail.notify(mail.FACTOR_RESET_DONE, user=user, event=event)
    return True


def _cancel(user_id: UUID) -> bool:
    return FactorReset.objects.filter(user=user_id).cancel() == 1


def _void_link(user: User) -> None:
    MailToken.objects.filter(user=user, purpose=Purpose.KEEP_FACTORS).void()

"""Corrections of balances by staff: alone within a daily limit, with a second person above it.

Nobody may request or decide a correction of their own balance. Every correction is an AdjustmentRequest, including
those that needed no approval, since the limit counts these: settings.CREDITS_APPROVAL_LIMIT (accounts/approvals.py).
"""

import uuid

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Abs

from accounts import approvals, audit, mail
from accounts.approvals import Decision, DecisionRefused
from accounts.audit import Event
from accounts.errors import UserNotFound
from accounts.models import AuditEvent, User
from credits import ledger
from credits.ledger.calls import Call, request_bytes
from credits.ledger.posting import retried
from credits.models import AdjustmentRequest, CreditTransaction

OF_ONES_OWN = "You cannot adjust your own balance."


def request(
    *, request_id: uuid.UUID, user_id: uuid.UUID, amount: int, reason: str, staff_id: uuid.UUID
) -> AdjustmentRequest:
    """Adjust a balance, or ask for a second person if that would exceed the day's limit. The same id takes effect once.

    Raises UserNotFound, BalanceLimit or InsufficientCredits, and DecisionRefused for a balance of the person's own, or
    for an id that belongs to another request.
    """
    if user_id == staff_id:
        raise DecisionRefused(OF_ONES_OWN)
    wanted = AdjustmentRequest(
        id=request_id, user_id=user_id, amount=amount, reason=reason, requested_by_id=staff_id
    )
    return retried(lambda: _request(wanted))


@transaction.atomic
def _request(wanted: AdjustmentRequest) -> AdjustmentRequest:
    names = ("user_id", "amount", "reason", "requested_by_id")
    if earlier := approvals.submitted(AdjustmentRequest.objects.all(), wanted, same=names, what="adjustment"):
        return earlier
    if not User.objects.exclude(status=User.Status.DELETED).filter(pk=wanted.user_id).exists():
        raise UserNotFound
    alone = abs(wanted.amount) <= left_today(wanted.requested_by_id)
    wanted.decision = Decision.DIRECT if alone else Decision.PENDING
    wanted.save(force_insert=True)
    if alone:
        _post(wanted)
    event = _record(
        Event.CREDITS_ADJUSTED if alone else Event.ADJUSTMENT_REQUESTED, wanted, wanted.requested_by_id
    )
    if not alone:
        mail.ask_approvers(
            mail.ADJUSTMENT_WAITS,
            permission="credits.approve_adjustment",
            event=event,
            but=[wanted.requested_by_id, wanted.user_id],
        )
    return wanted


def left_today(staff_id: uuid.UUID) -> int:
    """Return how many credits this person may still move today without approval."""
    return approvals.left_today(
        AdjustmentRequest.objects.all(), staff_id, stake=Abs("amount"), limit=settings.CREDITS_APPROVAL_LIMIT
    )


def approve(*, request_id: uuid.UUID, staff_id: uuid.UUID) -> CreditTransaction:
    """Approve someone else's request and post it, once even if others decide at the same moment.

    Raises DecisionRefused, and whatever the ledger raises; the request then stays open.
    """
    return retried(lambda: _approve(request_id, staff_id))


@transaction.atomic
def _approve(request_id: uuid.UUID, staff_id: uuid.UUID) -> CreditTransaction:
    approved = _decide(request_id, staff_id, Decision.APPROVED)
    row = _post(approved)
    _record(Event.ADJUSTMENT_APPROVED, approved, staff_id)
    return row


@transaction.atomic
def refuse(*, request_id: uuid.UUID, staff_id: uuid.UUID) -> None:
    """Close someone else's request without touching the balance. Raises DecisionRefused."""
    _record(Event.ADJUSTMENT_REFUSED, _decide(request_id, staff_id, Decision.REFUSED), staff_id)


def _decide(request_id: uuid.UUID, staff_id: uuid.UUID, decision: Decision) -> AdjustmentRequest:
    return approvals.decide(AdjustmentRequest.objects.all(), request_id, staff_id, decision, own=OF_ONES_OWN)


def expire() -> int:
    """Close the requests that were not decided in time. Return how many."""
    return approvals.expire(AdjustmentRequest.objects.all())


def _post(adjustment: AdjustmentRequest) -> CreditTransaction:
    call = Call(
        service="admin",
        key=f"adjustment-{adjustment.pk}",
        request=request_bytes("adjust", fields=[str(adjustment.user_id), adjustment.amount]),
        description=adjustment.reason,
        metadata=_who(adjustment),
    )
    row = ledger.adjust(user_id=adjustment.user_id, amount=adjustment.amount, call=call)
    adjustment.transaction = row
    AdjustmentRequest.objects.filter(pk=adjustment.pk).update(transaction=row)
    return row


def _who(adjustment: AdjustmentRequest) -> dict[str, str]:
    staff = {"staff": str(adjustment.requested_by_id)}
    return {**staff, "approved_by": str(adjustment.decided_by_id)} if adjustment.decided_by_id else staff


def _record(event: Event, adjustment: AdjustmentRequest, staff_id: uuid.UUID) -> AuditEvent:
    detail = {"request": str(adjustment.pk), "amount": adjustment.amount}
    return audit.record(event, user_id=adjustment.user_id, actor=f"staff {staff_id}", detail=detail)

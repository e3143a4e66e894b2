"""Refunds by staff: alone within a daily limit, with a second person above it, never for themselves.

Each is a RefundRequest, including those that needed no approval, since the limit counts these:
settings.REFUND_APPROVAL_LIMIT, in the smallest unit of each currency (accounts/approvals.py). The credits follow as
they do after a refund in Stripe's Dashboard.

The request is committed before Stripe is called. Stripe refunds once per request, whatever is repeated: by its key, and
by the request's id in the metadata of what was made, which is looked for first. If Stripe refuses, nothing was
refunded: a request that needed no approval is deleted, and any other is open again. If Stripe does not answer, it may
have refunded, and the request stays: asking for it again continues it.
"""

import uuid
from collections.abc import Mapping
from contextlib import suppress

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts import approvals, audit, mail
from accounts.approvals import DecisionRefused
from accounts.audit import Event
from accounts.kit.problems import Problem
from accounts.models import AuditEvent
from billing.errors import BillingFailed, BillingUnavailable
from billing.models import Payment, RefundRequest
from billing.settlement import lifecycle, settle
from billing.stripe import ending, gateway, sdk, snapshots
from billing.stripe.shapes import Object

Decision = RefundRequest.Decision
Kind = RefundRequest.Kind
OF_ONES_OWN = "You cannot do this for your own purchase."


def request(
    *,
    request_id: uuid.UUID,
    payment: Payment,
    kind: str,
    amount: int | None,
    reason: str,
    staff_id: uuid.UUID,
) -> RefundRequest:
    """Refund an amount, or all that is left, or ask for a second person if that would exceed the limit.

    The same id takes effect once. Raises DecisionRefused, and what the gateway raises.
    """
    at_stake = (payment.kept or 0) if amount is None else amount
    wanted = RefundRequest(
        id=request_id,
        payment=payment,
        user_id=payment.user_id,
        kind=kind,
        amount=amount,
        at_stake=at_stake,
        currency=payment.currency,
        reason=reason,
        requested_by_id=staff_id,
    )
    if wanted.user_id == staff_id:
        raise DecisionRefused(OF_ONES_OWN)
    asked = _request(wanted)
    if asked.decision == Decision.DIRECT:
        _carry_out(asked)
    return asked


@transaction.atomic
def _request(wanted: RefundRequest) -> RefundRequest:
    names = ("payment_id", "kind", "amount", "requested_by_id")
    if earlier := approvals.submitted(RefundRequest.objects.all(), wanted, same=names, what="refund"):
        return earlier
    alone = wanted.at_stake <= left_today(wanted.requested_by_id, wanted.currency)
    wanted.decision = Decision.DIRECT if alone else Decision.PENDING
    wanted.save(force_insert=True)
    event = _record(Event.REFUND_ORDERED if alone else Event.REFUND_REQUESTED, wanted, wanted.requested_by_id)
    if not alone:
        mail.ask_approvers(
            mail.REFUND_WAITS,
            permission="billing.approve_refund",
            event=event,
            but=[wanted.requested_by_id, wanted.user_id],
        )
    return wanted


def left_today(staff_id: uuid.UUID, currency: str) -> int:
    """Return how much this person may still refund today without approval, in the smallest unit."""
    of_currency = RefundRequest.objects.filter(currency=currency)
    return approvals.left_today(of_currency, staff_id, stake="at_stake", limit=settings.REFUND_APPROVAL_LIMIT)


def approve(*, request_id: uuid.UUID, staff_id: uuid.UUID) -> RefundRequest:
    """Approve someone else's request and carry it out, once even if others decide at the same moment.

    Raises DecisionRefused, and what the gateway raises; a request that Stripe refuses is open again.
    """
    approved = _approve(request_id, staff_id)
    _carry_out(approved)
    return approved


@transaction.atomic
def _approve(request_id: uuid.UUID, staff_id: uuid.UUID) -> RefundRequest:
    """Approve a request. Any approver may continue one that is approved but that Stripe has not answered for."""
    waiting = RefundRequest.objects.filter(pk=request_id, decision=Decision.APPROVED, done_at=None)
    if begun := waiting.exclude(user=staff_id).exclude(requested_by=staff_id).first():
        return begun
    approved = _decide(request_id, staff_id, Decision.APPROVED)
    _record(Event.REFUND_APPROVED, approved, staff_id)
    return approved


@transaction.atomic
def refuse(*, request_id: uuid.UUID, staff_id: uuid.UUID) -> None:
    """Close someone else's request without a refund. Raises DecisionRefused."""
    _record(Event.REFUND_REFUSED, _decide(request_id, staff_id, Decision.REFUSED), staff_id)


def expire() -> int:
    """Close the requests that were not decided in time. Return how many."""
    return approvals.expire(RefundRequest.objects.all())


def _decide(request_id: uuid.UUID, staff_id: uuid.UUID, decision: approvals.Decision) -> RefundRequest:
    return approvals.decide(RefundRequest.objects.all(), request_id, staff_id, decision, own=OF_ONES_OWN)


# ---------------------------------------------------------------- at Stripe


def _carry_out(asked: RefundRequest) -> None:
    own = RefundRequest.objects.filter(pk=asked.pk, done_at=None)
    try:
        with sdk.within():
            _give_back(asked)
    except (BillingUnavailable, BillingFailed):
        raise
    except (Problem, DecisionRefused):
        own.filter(decision=Decision.DIRECT).delete()
        own.filter(decision=Decision.APPROVED).update(
            decision=Decision.PENDING, decided_by=None, decided_at=None
        )
        raise
    own.update(done_at=Now())
    with suppress(BillingUnavailable), sdk.within():  # it is refunded, and its event settles it
        settle.settle(asked.payment_id)
        if asked.kind == Kind.UNDO:
            lifecycle.follow(asked.user_id)


def _give_back(asked: RefundRequest) -> None:
    """Refund once. What was paid outside Stripe is repaid there: a credit note says so, and takes its credits."""
    payment, metadata = asked.payment, {"order": str(asked.pk)}
    key = f"refund-{asked.pk}"
    if asked.kind == Kind.UNDO:
        ending.at_once(payment.subscription)
    if payment.payment_intent:
        _refund(asked, metadata, key)
        return
    if _is_among(
        asked, gateway.list_credit_notes(invoice=payment.pk) if payment.pk.startswith("in_") else []
    ):
        return
    if not payment.kept or not payment.pk.startswith("in_"):
        raise DecisionRefused("There is nothing left to refund.")
    amount = payment.kept if asked.amount is None else asked.amount
    gateway.note_paid_back(invoice=payment.pk, amount=amount, metadata=metadata, key=key)


def _refund(asked: RefundRequest, metadata: dict[str, str], key: str) -> None:
    """Refund at Stripe, spread over the payments if an invoice was paid in several."""
    intents = snapshots.intents_of(asked.payment_id) or [asked.payment.payment_intent]
    made = {intent: gateway.list_refunds(payment_intent=intent) for intent in intents}
    for number, (intent, amount) in enumerate(_parts(asked, made).items()):
        if not _is_among(asked, made[intent]):
            own_key = f"{key}-{number}" if number else key
            gateway.create_refund(payment_intent=intent, amount=amount, metadata=metadata, key=own_key)


def _parts(asked: RefundRequest, made: Mapping[str, list[Object]]) -> dict[str, int | None]:
    """Return how much of each payment intent to refund. None: all that is left, as far as Stripe allows it.

    `made` holds the refunds of each. Those of an earlier attempt, whose answer was lost, still belong to this request.
    """
    if len(made) == 1:
        return dict.fromkeys(made, asked.amount)
    left = {
        intent: snapshots.refundable(intent)
        + sum(int(refund["amount"]) for refund in refunds if _is_among(asked, [refund]))
        for intent, refunds in made.items()
    }
    if not any(left.values()) or (asked.amount or 0) > sum(left.values()):
        raise DecisionRefused("Stripe has less than that left to refund.")
    parts: dict[str, int | None] = {}
    wanted = sum(left.values()) if asked.amount is None else asked.amount
    for intent in made:
        if part := min(wanted, left[intent]):
            parts[intent] = part
            wanted -= part
    return parts


def _is_among(asked: RefundRequest, made: list[Object]) -> bool:
    """Return whether an earlier attempt, whose answer was lost, made one of these."""
    return any((item.get("metadata") or {}).get("order") == str(asked.pk) for item in made)


def _record(event: Event, asked: RefundRequest, staff_id: uuid.UUID) -> AuditEvent:
    detail = {
        "request": str(asked.pk),
        "payment": asked.payment_id,
        "kind": asked.kind,
        "amount": asked.amount,
        "at_stake": asked.at_stake,
        "currency": asked.currency,
        "reason": asked.reason,
    }
    return audit.record(event, user_id=asked.user_id, actor=f"staff {staff_id}", detail=detail)

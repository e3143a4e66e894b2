"""Placing, finding and settling holds."""

from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.conf import settings
from django.db.models import Q, QuerySet

from accounts import tiers
from accounts.errors import UserNotFound
from accounts.kit.documentation import documented
from accounts.kit.responses import Response
from accounts.tiers import InternalEndpoint, ServiceRequest
from credits import ledger
from credits.answers import HoldAnswer, hold_answer
from credits.errors import (
    AccountContested,
    AccountFrozen,
    AccountSuspended,
    CaptureExceedsHold,
    HoldNotFound,
    HoldNotOpen,
    InsufficientCredits,
)
from credits.ledger import clock
from credits.models import CreditLot, CreditTransaction, placed_by
from credits.views.asked import Credits, Description, Metadata, Reference, Seconds, answer, call_of
from credits.views.examples import CAPTURED, HOLD, RELEASED, USER

Status = CreditLot.Status


class Holds(InternalEndpoint):
    scope = {"GET": "credits:read", "POST": "credits:use"}

    class Body(tiers.Body):
        user_id: UUID
        amount: Credits
        expires_in: Seconds = int(settings.HOLD_LIFETIME.total_seconds())
        description: Description | None = None
        reference: Reference | None = None
        metadata: Metadata | None = None

    class Query(tiers.Query):
        user_id: UUID | None = None
        status: Literal[tuple(Status.values)] | None = None  # type: ignore[valid-type]

    @documented(
        "Place a hold",
        answer=HoldAnswer,
        status=201,
        idempotent=True,
        problems=(InsufficientCredits, AccountSuspended, AccountContested, AccountFrozen, UserNotFound),
        body_example={"user_id": USER, "amount": 40, "expires_in": 900, "reference": "job-4712"},
        example=HOLD,
    )
    def post(self, request: ServiceRequest) -> Response:
        """Sets credits aside for work whose cost is not known yet. `expires_in` is in seconds."""
        body = request.data
        placed = ledger.hold(
            user_id=body.user_id,
            amount=body.amount,
            lifetime=timedelta(seconds=body.expires_in),
            call=call_of(request, "hold"),
        )
        hold = with_placing().get(holder_id=placed.holder_id, transaction_id=placed.pk)
        return answer(placed_answer(hold), status=201, replayed=placed.replayed)

    @documented("List holds", answer=HoldAnswer, paged=True, example=HOLD)
    def get(self, request: ServiceRequest) -> Response:
        """Lists one user's holds, newest first. Without `user_id`, lists the holds that the calling service placed.

        After a crash, `?status=open` shows a service what it still has to settle.
        """
        query = self.query(request)
        narrowed = {"holder_id": query.user_id} if query.user_id else {"service": request.auth.service}
        rows = _with_status(with_placing().filter(**narrowed), query.status)
        page: Response = self.pages.page(
            rows,
            request,
            order=("-id",),
            bound_to={**msgspec.structs.asdict(query), "service": request.auth.service},
            render=current_answer,
        )
        return page


class Hold(InternalEndpoint):
    scope = "credits:read"

    @documented("Get a hold", answer=HoldAnswer, problems=(HoldNotFound,), example=HOLD)
    def get(self, request: ServiceRequest, hold_id: UUID) -> Response:
        """Returns a hold as it is now."""
        hold = with_placing().filter(placed_by([hold_id])).first()
        if hold is None:
            raise HoldNotFound
        return Response(current_answer(hold))


class CaptureHold(InternalEndpoint):
    scope = "credits:use"

    class Body(tiers.Body):
        amount: Credits | None = None
        description: Description | None = None
        reference: Reference | None = None
        metadata: Metadata | None = None

    @documented(
        "Capture a hold",
        answer=HoldAnswer,
        idempotent=True,
        problems=(HoldNotFound, HoldNotOpen, CaptureExceedsHold),
        body_example={"amount": 25},
        example=CAPTURED,
    )
    def post(self, request: ServiceRequest, hold_id: UUID) -> Response:
        """Spends what is held, or `amount` of it, and returns the rest. Only the service that placed the hold can do
        this.
        """
        call = call_of(request, "capture", path=hold_id)
        settled = ledger.capture(hold_id=hold_id, amount=request.data.amount, call=call)
        return _settled(settled)


class ReleaseHold(InternalEndpoint):
    scope = "credits:use"

    @documented(
        "Release a hold",
        answer=HoldAnswer,
        idempotent=True,
        problems=(HoldNotFound, HoldNotOpen),
        example=RELEASED,
    )
    def post(self, request: ServiceRequest, hold_id: UUID) -> Response:
        """Returns what is held. Only the service that placed the hold can do this."""
        settled = ledger.release(hold_id=hold_id, call=call_of(request, "release", path=hold_id))
        return _settled(settled)


def _settled(row: CreditTransaction) -> Response:
    hold = with_placing().get(holder_id=row.holder_id, transaction_id=row.hold)
    return answer(settled_answer(hold, row), status=200, replayed=row.replayed)


def placed_answer(hold: CreditLot) -> HoldAnswer:
    """Return the hold as it was when it was placed."""
    return hold_answer(hold, status=Status.OPEN, captured=0)


def settled_answer(hold: CreditLot, settled: CreditTransaction) -> HoldAnswer:
    """Return the hold as this capture or release left it."""
    return hold_answer(hold, status=hold.status, captured=hold.captured, settled=settled)


def current_answer(hold: Any) -> HoldAnswer:
    """Return the hold as it is now: one that has run out is expired, whether or not that is posted yet."""
    status = Status.EXPIRED if hold.is_over else hold.status
    return hold_answer(hold, status=status, captured=hold.captured)


def with_placing() -> QuerySet[Any]:
    """Return a query for holds with the rows that placed them; `is_over` marks those that ran out, not yet posted."""
    over = Q(status=Status.OPEN, expires_at__lte=clock.NOW)
    return (
        CreditLot.objects.filter(kind=CreditLot.Kind.HOLD)
        .select_related("transaction")
        .annotate(is_over=over)
    )


def _with_status(rows: QuerySet[Any], status: str | None) -> QuerySet[Any]:
    if status is None:
        return rows
    if status == Status.OPEN:
        return rows.filter(status=Status.OPEN, is_over=False)
    if status == Status.EXPIRED:
        return rows.filter(Q(status=Status.EXPIRED) | Q(is_over=True))
    return rows.filter(status=status)

"""The credits table of the contract: each view checks a shape, calls one verb of the ledger, and answers."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.db.models import QuerySet
from msgspec import UNSET, Meta, UnsetType
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import tiers
from accounts.documentation import documented
from accounts.errors import UserNotFound, ValidationFailed
from accounts.models import User
from accounts.tiers import InternalEndpoint, idempotency_key
from credits import balance, ledger
from credits.calls import Call, request_bytes
from credits.errors import AccountFrozen, AccountSuspended, BalanceLimit, InsufficientCredits, TransactionNotFound
from credits.models import CreditTransaction, TransactionType
from credits.posting import ledger_time

METADATA_BYTES = 4096

Credits = Annotated[int, Meta(ge=1, le=10**12, description="Whole credits.")]
Description = Annotated[str, Meta(max_length=500)]
Reference = Annotated[str, Meta(max_length=255)]
Metadata = Annotated[dict[str, Any], Meta(description="A JSON object of at most 4 KiB.")]
Moment = Annotated[datetime, Meta(tz=True)]


class TransactionAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One row of the journal."""

    id: UUID
    user_id: UUID
    type: Literal[tuple(TransactionType.values)]  # type: ignore[valid-type]
    amount: Annotated[int, Meta(description="Signed: negative where credits were taken.")]
    balance_after: int
    held_after: int
    description: str | None
    reference: str | None
    metadata: dict[str, Any] | None
    service: Annotated[str, Meta(description="The service that asked for it.")]
    created_at: datetime
    refund_of: UUID | UnsetType = UNSET
    hold_id: UUID | UnsetType = UNSET


class Expiring(msgspec.Struct):
    amount: int
    expires_at: datetime


class BalanceAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a user has. `expiring` and `blocked` are left out of a past balance."""

    user_id: UUID
    balance: int
    held: int
    debt: int
    available: int
    expiring: list[Expiring] | UnsetType = UNSET
    blocked: list[str] | UnsetType = UNSET
    as_of: datetime


USER = "8d0f2c1e-5b7a-4a56-9d38-1c0de5a1f2b3"
TRANSACTION = {
    "id": "0193a7c4-6f2e-7cc1-b0a4-2f6d1e9b8c70",
    "user_id": USER,
    "type": "use",
    "amount": -30,
    "balance_after": 70,
    "held_after": 0,
    "description": "Three pictures",
    "reference": "job-4711",
    "metadata": None,
    "service": "studio",
    "created_at": "2026-11-23T10:00:00.000001Z",
}
ADDED = {**TRANSACTION, "type": "bonus", "amount": 100, "balance_after": 100, "description": "Welcome", "reference": None}


class CreditBalance(InternalEndpoint):
    scope = "credits:read"

    class Query(tiers.Query):
        user_id: UUID
        at: Moment | None = None

    @documented(
        "Read a balance",
        answer=BalanceAnswer,
        problems=(UserNotFound,),
        example={
            "user_id": USER,
            "balance": 170,
            "held": 20,
            "debt": 0,
            "available": 150,
            "expiring": [{"amount": 100, "expires_at": "2026-12-24T00:00:00Z"}],
            "blocked": [],
            "as_of": "2026-11-23T10:00:00Z",
        },
    )
    def get(self, request: Request) -> Response:
        """What the user has, now or at a past instant. A user without transactions has 0."""
        query = self.query(request)
        if query.at is None:
            return Response(_balance_answer(balance.current(query.user_id), present=True))
        return Response(_balance_answer(balance.past(query.user_id, query.at), present=False))


class AddCredits(InternalEndpoint):
    scope = "credits:add"

    class Body(tiers.Body):
        user_id: UUID
        amount: Credits
        type: Literal["purchase", "bonus", "adjustment"] = "bonus"
        description: Description | None = None
        reference: Reference | None = None
        expires_at: Moment | None = None
        metadata: Metadata | None = None

    @documented(
        "Add credits",
        answer=TransactionAnswer,
        status=201,
        idempotent=True,
        problems=(UserNotFound, BalanceLimit),
        body_example={"user_id": USER, "amount": 100, "description": "Welcome"},
        example=ADDED,
    )
    def post(self, request: Request) -> Response:
        """Gives the user a grant of credits, once per key. With `expires_at` what is left of it then expires."""
        body = request.data
        added = ledger.add(
            user_id=body.user_id,
            amount=body.amount,
            type=body.type,
            expires_at=body.expires_at,
            call=_call(request, "add"),
        )
        return _answer(added)


class UseCredits(InternalEndpoint):
    scope = "credits:use"

    class Body(tiers.Body):
        user_id: UUID
        amount: Credits
        description: Description | None = None
        reference: Reference | None = None
        metadata: Metadata | None = None

    @documented(
        "Use credits",
        answer=TransactionAnswer,
        status=201,
        idempotent=True,
        problems=(InsufficientCredits, AccountSuspended, AccountFrozen, UserNotFound),
        body_example={"user_id": USER, "amount": 30, "description": "Three pictures", "reference": "job-4711"},
        example=TRANSACTION,
    )
    def post(self, request: Request) -> Response:
        """Takes credits from the user, once per key: grants that burn first go first. All of it or nothing."""
        body = request.data
        return _answer(ledger.use(user_id=body.user_id, amount=body.amount, call=_call(request, "use")))


class Transactions(InternalEndpoint):
    scope = "credits:read"

    class Query(tiers.Query):
        user_id: UUID | None = None
        type: Literal[tuple(TransactionType.values)] | None = None  # type: ignore[valid-type]
        reference: str | None = None
        since: Moment | None = None
        until: Moment | None = None

    @documented(
        "List transactions", answer=TransactionAnswer, paged=True, problems=(UserNotFound,), example=TRANSACTION
    )
    def get(self, request: Request) -> Response:
        """The journal of one user, newest first; without `user_id`, what the calling service did, over all users."""
        query = self.query(request)
        return self.pages.page(
            _journal(query, request.auth.service),
            request,
            order=("-at",) if query.user_id else ("-at", "-id"),
            bound_to={**msgspec.structs.asdict(query), "service": request.auth.service},
            render=transaction_answer,
            ahead=[row for row in _unposted(query.user_id) if _matches(row, query)],
        )


class Transaction(InternalEndpoint):
    scope = "credits:read"

    @documented("Read a transaction", answer=TransactionAnswer, problems=(TransactionNotFound,), example=TRANSACTION)
    def get(self, request: Request, transaction_id: UUID) -> Response:
        """One row of the journal."""
        row = CreditTransaction.objects.filter(pk=transaction_id).first()
        if row is None:
            raise TransactionNotFound
        return Response(transaction_answer(row))


def _call(request: Request, operation: str, *, path: str = "") -> Call:
    """Who asks for what under which key. The fields sent are what a repeat is compared by."""
    fields = {name: value for name, value in msgspec.structs.asdict(request.data).items() if value is not None}
    if len(msgspec.json.encode(fields.get("metadata"))) > METADATA_BYTES:
        raise ValidationFailed(("metadata", "too_long", "This must be at most 4 KiB of JSON."))
    return Call(
        service=request.auth.service,
        key=idempotency_key(request),
        request=request_bytes(operation, path=path, fields=fields),
        description=fields.get("description"),
        reference=fields.get("reference"),
        metadata=fields.get("metadata"),
    )


def _answer(row: CreditTransaction) -> Response:
    headers = {"Idempotency-Replayed": "true"} if row.replayed else None
    return Response(transaction_answer(row), status=201, headers=headers)


def transaction_answer(row: CreditTransaction) -> TransactionAnswer:
    return TransactionAnswer(
        id=row.pk,
        user_id=row.user_id,
        type=row.type,
        amount=row.amount,
        balance_after=row.balance,
        held_after=row.held,
        description=row.description,
        reference=row.reference,
        metadata=row.metadata,
        service=row.service,
        created_at=row.at,
        refund_of=row.refund_of or UNSET,
        hold_id=row.hold or UNSET,
    )


def _balance_answer(found: balance.Balance, *, present: bool) -> BalanceAnswer:
    return BalanceAnswer(
        user_id=found.user_id,
        balance=found.balance,
        held=found.held,
        debt=found.debt,
        available=found.available,
        expiring=[Expiring(amount, at) for amount, at in found.expiring] if present else UNSET,
        blocked=found.blocked if present else UNSET,
        as_of=found.as_of,
    )


def _journal(query: Any, service: str) -> QuerySet[CreditTransaction]:
    """The rows that the query asks for. Raises UserNotFound."""
    rows = CreditTransaction.objects.all()
    if query.user_id is None:
        rows = rows.filter(service=service)
    elif not User.objects.filter(pk=query.user_id).exclude(status=User.Status.DELETED).exists():
        raise UserNotFound
    filters = {
        "user_id": query.user_id,
        "type": query.type,
        "reference": query.reference,
        "at__gte": query.since,
        "at__lt": query.until,
    }
    return rows.filter(**{name: value for name, value in filters.items() if value is not None})


def _unposted(user_id: UUID | None) -> list[CreditTransaction]:
    """What has come due for the user and is not in the journal yet, newest first."""
    return balance.unposted(user_id, ledger_time())[::-1] if user_id else []


def _matches(row: CreditTransaction, query: Any) -> bool:
    return (
        query.type in (None, row.type)
        and query.reference is None
        and (query.since is None or row.at >= query.since)
        and (query.until is None or row.at < query.until)
    )

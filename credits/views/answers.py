"""What the credits endpoints answer with, and an example of each."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType
from rest_framework.response import Response

from credits.ledger.balance import Balance
from credits.models import CreditLot, CreditTransaction, TransactionType


class TransactionAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One row of the journal."""

    id: UUID
    user_id: UUID
    type: str
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


class HoldAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Credits set aside. `captured` is what was spent of them once the hold was settled."""

    id: UUID
    user_id: UUID
    status: Literal[tuple(CreditLot.Status.values)]  # type: ignore[valid-type]
    amount: int
    captured: int
    expires_at: datetime | None
    description: str | None
    reference: str | None
    metadata: dict[str, Any] | None
    service: str
    created_at: datetime
    transaction: TransactionAnswer | UnsetType = UNSET


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
        refund_of=row.refund_of or UNSET if row.type == TransactionType.REFUND else UNSET,
        hold_id=row.hold or UNSET,
    )


def hold_answer(
    hold: CreditLot, *, status: str, captured: int, settled: CreditTransaction | None = None
) -> HoldAnswer:
    """The hold as it was left by a call: a repeat of that call says the same, whatever became of the hold since."""
    placed = hold.transaction
    return HoldAnswer(
        id=hold.transaction_id,
        user_id=hold.user_id,
        status=status,
        amount=hold.issued,
        captured=captured,
        expires_at=hold.expires_at,
        description=placed.description,
        reference=placed.reference,
        metadata=placed.metadata,
        service=hold.service,
        created_at=placed.at,
        transaction=UNSET if settled is None else transaction_answer(settled),
    )


def balance_answer(found: Balance, *, present: bool) -> BalanceAnswer:
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


def answer(payload: Any, *, status: int, replayed: bool) -> Response:
    """An answer to a keyed call; one that was given before says so."""
    return Response(payload, status=status, headers={"Idempotency-Replayed": "true"} if replayed else None)


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
ADDED = {
    **TRANSACTION,
    "type": "bonus",
    "amount": 100,
    "balance_after": 100,
    "description": "Welcome",
    "reference": None,
}
REFUNDED = {
    **TRANSACTION,
    "type": "refund",
    "amount": 30,
    "balance_after": 100,
    "refund_of": TRANSACTION["id"],
}
HOLD = {
    "id": "0193a7c5-1d30-7a0e-8c55-7b9f3c2d1e0f",
    "user_id": USER,
    "status": "open",
    "amount": 40,
    "captured": 0,
    "expires_at": "2026-11-23T10:15:00Z",
    "description": None,
    "reference": "job-4712",
    "metadata": None,
    "service": "studio",
    "created_at": "2026-11-23T10:00:00Z",
}
CAPTURED = {
    **HOLD,
    "status": "captured",
    "captured": 25,
    "transaction": {**TRANSACTION, "amount": -25, "balance_after": 75, "hold_id": HOLD["id"]},
}
RELEASED = {
    **HOLD,
    "status": "released",
    "transaction": {
        **TRANSACTION,
        "type": "release",
        "amount": 0,
        "balance_after": 100,
        "hold_id": HOLD["id"],
    },
}

"""Balances, journal rows and holds as seen from outside: in the API, in commands and in a person's export."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from credits.ledger.balance import Balance
from credits.models import CreditLot, CreditTransaction


class TransactionAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One row of the journal."""

    id: UUID
    user_id: UUID
    type: str
    amount: Annotated[int, Meta(description="Negative if credits were taken.")]
    balance_after: int
    held_after: int
    description: str | None
    reference: str | None
    metadata: dict[str, Any] | None
    service: Annotated[str, Meta(description="The service that requested it.")]
    created_at: datetime
    refund_of: UUID | UnsetType = UNSET
    hold_id: UUID | UnsetType = UNSET
    feature: Annotated[
        str | UnsetType, Meta(description="Set for uses by feature, until the user is erased.")
    ] = UNSET
    quantity: int | UnsetType = UNSET
    unit_price: Annotated[int | UnsetType, Meta(description="The price of one unit when it was used.")] = (
        UNSET
    )


class HoldAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Credits set aside. `captured` is how many of them were spent when the hold was settled."""

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
    """A user's credits. A past balance has neither `expiring` nor `blocked`."""

    user_id: UUID
    balance: int
    held: int
    debt: int
    available: int
    expiring: list[Expiring] | UnsetType = UNSET
    blocked: list[str] | UnsetType = UNSET
    as_of: datetime


SHOWN = (
    "id", "holder_id", "type", "amount", "balance", "held", "description", "reference", "metadata", "service", "at",
    "refund_of", "hold", "feature", "quantity", "unit_price",
)  # fmt: skip


def transaction_answer(row: CreditTransaction) -> TransactionAnswer:
    """Return a journal row as seen from outside. It reads the columns in SHOWN and no others."""
    return TransactionAnswer(
        id=row.id,
        user_id=row.holder_id,
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
        feature=row.feature or UNSET,
        quantity=row.quantity or UNSET,
        unit_price=row.unit_price or UNSET,
    )


def hold_answer(
    hold: CreditLot, *, status: str, captured: int, settled: CreditTransaction | None = None
) -> HoldAnswer:
    """Return the hold as a call left it: a repeat of that call gets the same, whatever happened to the hold since."""
    placed = hold.transaction
    return HoldAnswer(
        id=hold.transaction_id,
        user_id=hold.holder_id,
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

"""The ledger's verbs as operations: each verb's effect on one account whose lock is held, for a new key.

`ledger.use(...)` carries out a single `operations.use(...)` (credits/ledger/verbs.py); a batch carries out many
together (credits/ledger/batch.py). An operation that raises leaves nothing behind.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from django.db.models import Sum

from accounts import hooks
from accounts.kit.problems import ValidationFailed
from credits.errors import (
    AccountContested,
    AccountFrozen,
    AccountSuspended,
    CaptureExceedsHold,
    FeatureNotFound,
    HoldNotOpen,
    RefundExceedsUse,
    TransactionNotFound,
    TransactionNotRefundable,
)
from credits.ledger.account import PRIORITIES, Account, Move
from credits.ledger.budgets import Budget
from credits.ledger.calls import Call
from credits.ledger.posting import Operation
from credits.models import CreditLot, CreditTransaction, TransactionType

LONGEST_LIFE = timedelta(days=36525)  # 100 years
Lot = TypeVar("Lot", CreditLot, CreditLot | None)
# Set by accounts, as is CONTESTED; all other reasons are billing's.
SUSPENDING = frozenset({hooks.SUSPENDED, hooks.DELETION})

# ---------------------------------------------------------------- credits come and go


def add(
    *,
    amount: int,
    call: Call,
    type: str = TransactionType.BONUS,
    expires_at: datetime | None = None,
    budget: Budget | None = None,
) -> Operation[CreditTransaction]:
    def apply(account: Account) -> CreditTransaction:
        _require_future(expires_at, account.now)
        if budget is not None:
            account.require_room(amount)
            budget.take(amount, now=account.now)
        until = expires_at and expires_at.astimezone(UTC)  # PostgreSQL reads no offset of 16 hours or more
        moves = account.grant(
            amount, source=type, priority=PRIORITIES[TransactionType(type)], expires_at=until, call=call
        )
        return account.post(type, moves, call=call)

    return Operation(type, call, apply)


def use(*, amount: int | None, call: Call) -> Operation[CreditTransaction]:
    def apply(account: Account) -> CreditTransaction:
        if amount is None:
            raise FeatureNotFound
        _require_unblocked(account)
        account.require(amount)
        return account.post(TransactionType.USE, account.draw(amount), call=call)

    return Operation(TransactionType.USE, call, apply, uses=amount)


def adjust(*, amount: int, call: Call) -> Operation[CreditTransaction]:
    def take(account: Account) -> CreditTransaction:
        account.require(-amount)
        return account.post(TransactionType.ADJUSTMENT, account.draw(-amount), call=call)

    if amount > 0:
        return add(amount=amount, call=call, type=TransactionType.ADJUSTMENT)
    return Operation(TransactionType.ADJUSTMENT, call, take)


# ---------------------------------------------------------------- holds


def hold(*, amount: int, lifetime: timedelta, call: Call) -> Operation[CreditTransaction]:
    def apply(account: Account) -> CreditTransaction:
        _require_unblocked(account)
        account.require(amount)
        drawn = account.draw(amount)
        held = account.new_lot(
            kind=CreditLot.Kind.HOLD, source=TransactionType.HOLD, issued=amount, remaining=amount,
            expires_at=account.now + lifetime, drawn=_drawn(drawn), service=call.service,
        )  # fmt: skip
        return account.post(TransactionType.HOLD, [*drawn, (held, amount)], call=call, held=amount, hold=held)

    return Operation(TransactionType.HOLD, call, apply)


def capture(found: CreditLot, *, amount: int | None, call: Call) -> Operation[CreditTransaction]:
    def apply(account: Account) -> CreditTransaction:
        return _settle(
            account, found, call, amount, type_=TransactionType.USE, status=CreditLot.Status.CAPTURED
        )

    return Operation("capture", call, apply)


def release(found: CreditLot, *, call: Call) -> Operation[CreditTransaction]:
    def apply(account: Account) -> CreditTransaction:
        return _settle(
            account, found, call, 0, type_=TransactionType.RELEASE, status=CreditLot.Status.RELEASED
        )

    return Operation(TransactionType.RELEASE, call, apply)


def _settle(
    account: Account, found: CreditLot, call: Call, amount: int | None, *, type_: str, status: str
) -> CreditTransaction:
    lot = account.lot(found.pk)
    if lot.status != CreditLot.Status.OPEN:
        raise HoldNotOpen
    held = lot.remaining
    captured = held if amount is None else amount
    if captured > held:
        raise CaptureExceedsHold
    moves = account.close_hold(lot, captured=captured, status=status, at=account.moment())
    return account.post(type_, moves, call=call, held=-held, hold=lot)


# ---------------------------------------------------------------- credits come back


def refund(
    used: CreditTransaction, *, amount: int | None, call: Call, budget: Budget | None = None
) -> Operation[CreditTransaction]:
    def apply(account: Account) -> CreditTransaction:
        if used.type != TransactionType.USE:
            raise TransactionNotRefundable
        refunded = _refunded(account, used)
        left = -used.amount - refunded
        returning = left if amount is None else amount
        if not 0 < returning <= left:
            raise RefundExceedsUse
        account.require_room(returning)
        if budget is not None and used.service != call.service:  # a service may give back what it took itself
            budget.take(returning, now=account.now)
        burnt = [(account.lot(lot), credits) for lot, credits in _burnt(used)]
        returned = slice_of(reversed(burnt), skip=refunded, take=returning)
        moves = account.give_back(returned, at=account.moment(), revive=True)
        return account.post(TransactionType.REFUND, moves, call=call, refund_of=used)

    return Operation(TransactionType.REFUND, call, apply)


def charge_back(*, granted_by: UUID, amount: int, call: Call) -> Operation[CreditTransaction | None]:
    def apply(account: Account) -> CreditTransaction | None:
        grant = _grant(account, granted_by)
        taken = min(amount, grant.issued - grant.expired - grant.charged_back)
        if taken <= 0:
            return None
        grant.charged_back += taken
        own = min(taken, grant.remaining)
        grant.remaining -= own
        moves: list[Move] = [(grant, -own)] if own else []
        moves += _take_elsewhere(account, taken - own)
        made = CreditTransaction(pk=granted_by)
        return account.post(TransactionType.CHARGEBACK, moves, call=call, refund_of=made)

    return Operation(TransactionType.CHARGEBACK, call, apply)


def restore(*, granted_by: UUID, amount: int, call: Call) -> Operation[CreditTransaction | None]:
    def apply(account: Account) -> CreditTransaction | None:
        grant = _grant(account, granted_by)
        returning = min(amount, grant.charged_back)
        if returning <= 0:
            return None
        account.require_room(returning)
        taken = _taken(account, grant)
        grant.charged_back -= returning
        moves: list[Move] = []
        for lot, credits in slice_of(reversed(taken), skip=0, take=returning):
            if lot is None:
                moves += account.repay(grant, credits, at=account.moment())
            else:
                moves += account.give_back([(lot, credits)], at=account.moment(), revive=True)
        made = CreditTransaction(pk=granted_by)
        return account.post(TransactionType.CHARGEBACK, moves, call=call, refund_of=made)

    return Operation("restore", call, apply)


# ---------------------------------------------------------------- conditions and helpers


def _require_future(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and not now < expires_at <= now + LONGEST_LIFE:
        raise ValidationFailed(("expires_at", "invalid", "This must be in the future, within 100 years."))


def _require_unblocked(account: Account) -> None:
    """Raise AccountSuspended, AccountContested or AccountFrozen if spending is blocked."""
    reasons = set(account.row.blocked)
    if SUSPENDING & reasons:
        raise AccountSuspended
    if hooks.CONTESTED in reasons:
        raise AccountContested
    if reasons:
        raise AccountFrozen


def _drawn(moves: list[Move]) -> list[list[int]]:
    return [[lot.pk, -credits] for lot, credits in moves if lot is not None]


def _take_elsewhere(account: Account, amount: int) -> list[Move]:
    """Take credits from other live grants; what they cannot cover becomes debt."""
    row = account.row
    live = sum(lot.remaining for lot in account.live_grants()) if amount else 0
    moves = account.draw(min(amount, live)) if live else []
    if missing := amount - min(amount, live):
        row.debt += missing
        moves.append((None, -missing))
    return moves


def _grant(account: Account, granted_by: UUID) -> CreditLot:
    """Return the grant that a journal row made for this user. Raises TransactionNotFound."""
    grants = CreditLot.objects.filter(
        holder_id=account.row.holder_id, kind=CreditLot.Kind.GRANT, transaction_id=granted_by
    )
    pk = grants.order_by("pk").values_list("pk", flat=True).first()
    if pk is None:
        raise TransactionNotFound
    return account.lot(pk)


def _taken(account: Account, grant: CreditLot) -> list[Move]:
    """Return, in order, what chargebacks of a grant took and nothing has restored. None stands for debt."""
    rows = CreditTransaction.objects.filter(
        holder_id=account.row.holder_id, type=TransactionType.CHARGEBACK, refund_of=grant.transaction_id
    ).order_by("at")
    taken: list[Move] = []
    for row in rows:
        if row.amount < 0:
            taken += [(account.lot(lot) if lot else None, -credits) for lot, credits in row.lots]
        else:
            kept = sum(credits for _, credits in taken) - row.amount
            taken = list(slice_of(taken, skip=0, take=kept))
    return taken


def _burnt(used: CreditTransaction) -> list[tuple[int, int]]:
    """Return the grants that a use burnt, in burn order. A capture's first move is the hold itself."""
    moves = used.lots[1:] if used.hold else used.lots
    return [(lot, -credits) for lot, credits in moves if credits < 0]


def _refunded(account: Account, used: CreditTransaction) -> int:
    """Return the sum of a use's refunds so far, including those that this batch has not saved yet."""
    rows = CreditTransaction.objects.filter(
        holder_id=used.holder_id, refund_of=used.pk, type=TransactionType.REFUND
    )
    saved: int = rows.aggregate(total=Sum("amount"))["total"] or 0
    posted = (posting.transaction for posting in account.postings)
    return saved + sum(row.amount for row in posted if row.refund_of == used.pk)


def slice_of(amounts: Iterable[tuple[Lot, int]], *, skip: int, take: int) -> Iterator[tuple[Lot, int]]:
    """Yield the part of a list of credits that starts `skip` credits in and is `take` credits long."""
    for lot, credits in amounts:
        skipped = min(skip, credits)
        taken = min(take, credits - skipped)
        skip, take = skip - skipped, take - taken
        if taken:
            yield lot, taken

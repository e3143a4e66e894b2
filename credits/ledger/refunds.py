"""What comes back: the refund of a use to its user, and the chargeback of a grant that was not paid for after all."""

import uuid
from collections.abc import Iterable, Iterator

from django.db.models import Sum

from credits.errors import RefundExceedsUse, TransactionNotFound, TransactionNotRefundable
from credits.ledger.account import Account, Move
from credits.ledger.calls import Call
from credits.ledger.posting import Operation, perform
from credits.models import CreditLot, CreditTransaction, TransactionType


def refund(
    *, transaction_id: uuid.UUID, amount: int | None, call: Call, own_only: bool = False
) -> CreditTransaction:
    """Gives back a use or a capture, or part of it, to the grants it was drawn from, last drawn first.

    Without `amount` all that is left of it. All refunds of a use together never exceed it. `own_only` narrows to what
    the calling service used. Raises TransactionNotFound, TransactionNotRefundable or RefundExceedsUse.
    """
    use = CreditTransaction.objects.filter(pk=transaction_id).first()
    if use is None or (own_only and use.service != call.service):
        raise TransactionNotFound
    return perform(use.user_id, call, refunding(use, amount=amount, call=call), kind=TransactionType.REFUND)


def refunding(use: CreditTransaction, *, amount: int | None, call: Call) -> Operation[CreditTransaction]:
    def give_back(account: Account) -> CreditTransaction:
        if use.type != TransactionType.USE:
            raise TransactionNotRefundable
        refunded = _refunded(account, use)
        left = -use.amount - refunded
        returning = left if amount is None else amount
        if not 0 < returning <= left:
            raise RefundExceedsUse
        account.require_room(returning)
        burnt = [(account.lot(lot), credits) for lot, credits in _burnt(use)]
        returned = slice_of(reversed(burnt), skip=refunded, take=returning)
        moves = account.give_back(returned, at=account.moment(), revive=True)
        return account.post(TransactionType.REFUND, moves, call=call, refund_of=use)

    return give_back


def charge_back(
    *, user_id: uuid.UUID, granted_by: uuid.UUID, amount: int, call: Call
) -> CreditTransaction | None:
    """Takes back a grant: its own remainder, then other live grants in burn order, and the rest becomes debt.

    At most what was issued less what expired and what was taken before; None, and no row, when that is nothing. Open
    holds are honoured. `granted_by` is the journal row that made the grant.
    """

    def take(account: Account) -> CreditTransaction | None:
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

    return perform(user_id, call, take, kind=TransactionType.CHARGEBACK)


def restore(
    *, user_id: uuid.UUID, granted_by: uuid.UUID, amount: int, call: Call
) -> CreditTransaction | None:
    """A chargeback won: what was taken goes back to where it was taken from, after debt, last taken first."""

    def give_back(account: Account) -> CreditTransaction | None:
        grant = _grant(account, granted_by)
        returning = min(amount, grant.charged_back)
        if returning <= 0:
            return None
        account.require_room(returning)
        taken = _taken(account, grant)
        grant.charged_back -= returning
        returned = slice_of(reversed(taken), skip=0, take=returning)
        moves = account.give_back(returned, at=account.moment(), revive=True)
        return account.post(
            TransactionType.CHARGEBACK, moves, call=call, refund_of=CreditTransaction(pk=granted_by)
        )

    return perform(user_id, call, give_back, kind="restore")


def _take_elsewhere(account: Account, amount: int) -> list[Move]:
    """From other live grants as far as they go; what is missing is debt."""
    row = account.row
    live = sum(lot.remaining for lot in account.live_grants()) if amount else 0
    moves = account.draw(min(amount, live)) if live else []
    if missing := amount - min(amount, live):
        row.debt += missing
        moves.append((None, -missing))
    return moves


def _grant(account: Account, granted_by: uuid.UUID) -> CreditLot:
    """The grant that a journal row made for this user. Raises TransactionNotFound."""
    grants = CreditLot.objects.filter(
        user_id=account.row.user_id, kind=CreditLot.Kind.GRANT, transaction=granted_by
    )
    pk = grants.order_by("pk").values_list("pk", flat=True).first()
    if pk is None:
        raise TransactionNotFound
    return account.lot(pk)


def _taken(account: Account, grant: CreditLot) -> list[tuple[CreditLot, int]]:
    """What chargebacks of a grant took and what was not restored since, in order. Debt counts as the grant's own."""
    rows = CreditTransaction.objects.filter(
        user_id=account.row.user_id, type=TransactionType.CHARGEBACK, refund_of=grant.transaction_id
    ).order_by("at")
    taken: list[tuple[CreditLot, int]] = []
    for row in rows:
        if row.amount < 0:
            taken += [(account.lot(lot) if lot else grant, -credits) for lot, credits in row.lots]
        else:
            kept = sum(credits for _, credits in taken) - row.amount
            taken = list(slice_of(taken, skip=0, take=kept))
    return taken


def _burnt(use: CreditTransaction) -> list[tuple[int, int]]:
    """The grants that a use burnt, in burn order. A capture's first move is the hold itself."""
    moves = use.lots[1:] if use.hold else use.lots
    return [(lot, -credits) for lot, credits in moves if credits < 0]


def _refunded(account: Account, use: CreditTransaction) -> int:
    """All refunds of a use so far, with those that this batch has not saved yet."""
    rows = CreditTransaction.objects.filter(refund_of=use.pk, type=TransactionType.REFUND)
    saved: int = rows.aggregate(total=Sum("amount"))["total"] or 0
    posted = (posting.transaction for posting in account.postings)
    return saved + sum(row.amount for row in posted if row.refund_of == use.pk)


def slice_of(
    amounts: Iterable[tuple[CreditLot, int]], *, skip: int, take: int
) -> Iterator[tuple[CreditLot, int]]:
    """The part of a list of credits that begins `skip` credits in and is `take` credits long."""
    for lot, credits in amounts:
        skipped = min(skip, credits)
        taken = min(take, credits - skipped)
        skip, take = skip - skipped, take - taken
        if taken:
            yield lot, taken

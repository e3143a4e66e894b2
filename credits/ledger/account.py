"""One user's credits in memory: how grants, holds and debt affect one another.

Nothing here writes to the database. credits/ledger/posting.py loads an account under the lock and saves it; reads
load one without the lock and discard it, which is how a balance includes what has come due before it is posted.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Min, QuerySet

from credits.errors import BalanceLimit, InsufficientCredits
from credits.identifiers import uuid7, uuid7_of
from credits.ledger.calls import Call
from credits.models import (
    BALANCE_LIMIT,
    FOREVER,
    VERSION,
    CreditLot,
    CreditTransaction,
    TransactionType,
    UserCredit,
)

MICROSECOND = timedelta(microseconds=1)
FIRST_PAGE = 20  # grants that a call reads at first, in burn order
# Lower burns first: given credits before bought ones. A refund takes the priority of the grant it replaces.
PRIORITIES = {
    TransactionType.TRIAL: 10,
    TransactionType.BONUS: 20,
    TransactionType.SUBSCRIPTION: 30,
    TransactionType.ADJUSTMENT: 40,
    TransactionType.PURCHASE: 50,
}
BY_ITSELF = Call(service="system")

_BY_POSITION = tuple(field.attname for field in CreditTransaction._meta.concrete_fields)  # noqa: SLF001

# A lot and the signed credits that went in or out of it; None stands for debt, which counts down from zero.
Move = tuple[CreditLot | None, int]


@dataclass(slots=True)
class Posting:
    """An unsaved journal row; saving it sets its lot ids and its hash."""

    transaction: CreditTransaction
    moves: list[Move]


class Account:
    """One user's balance row, the lots that a call touches, and the rows it wants to add to the journal."""

    def __init__(self, row: UserCredit, *, now: datetime, lots: Iterable[CreditLot] | None = None) -> None:
        """If given, `lots` must be all of the user's non-empty lots; no others are queried later."""
        self.row = row
        self.now = now
        self.complete = lots is not None
        self._given = lots or ()
        self.loaded: dict[int, tuple[Any, ...]] = {}  # each lot's mutable state, as stored
        self.created: list[CreditLot] = []
        self.postings: list[Posting] = []
        self.debt_before = row.debt
        self.alerts: list[int] = []  # credits available after each step that crossed the alert's threshold

    # ------------------------------------------------------------------ lots

    @cached_property
    def lots(self) -> dict[int, CreditLot]:
        """Return the loaded lots by id, with the open lot. Read on first access, since most refusals need none."""
        lots = {lot.pk: lot for lot in self._given}
        opened = self.row.open_lot
        if opened is not None and opened not in lots:
            lots[opened] = self._stored(opened)
        self.loaded = {pk: lot.state for pk, lot in lots.items()}
        if opened is not None:
            lots[opened].remaining = self.row.open_left
        return lots

    def lot(self, pk: int) -> CreditLot:
        if pk not in self.lots:
            self._remember(self._stored(pk))
        return self.lots[pk]

    def _stored(self, pk: int) -> CreditLot:
        return CreditLot.objects.get(pk=pk, holder_id=self.row.holder_id)

    def _remember(self, lot: CreditLot) -> CreditLot:
        """Return the object for a lot during this call: the first one loaded wins."""
        known = self.lots.setdefault(lot.pk, lot)
        self.loaded.setdefault(lot.pk, lot.state)
        return known

    def _elsewhere(self) -> QuerySet[CreditLot]:
        """Return the non-empty lots that this call has not loaded. Not for use when `complete`."""
        return CreditLot.objects.filter(holder_id=self.row.holder_id, remaining__gt=0).exclude(
            pk__in=list(self.lots)
        )

    def _here(self) -> Iterator[CreditLot]:
        return (lot for lot in (*self.lots.values(), *self.created) if lot.remaining > 0)

    def live_grants(self) -> Iterator[CreditLot]:
        """Return the non-empty grants in burn order."""
        here = sorted(
            (lot for lot in self._here() if lot.kind == CreditLot.Kind.GRANT), key=CreditLot.burn_order
        )
        if self.complete:
            return iter(here)
        return heapq.merge(here, self._other_grants(), key=CreditLot.burn_order)

    def _other_grants(self) -> Iterator[CreditLot]:
        """Yield the grants not loaded yet, in growing pages: the first few are usually enough."""
        size = FIRST_PAGE
        while page := list(
            self._elsewhere().filter(kind=CreditLot.Kind.GRANT).order_by(*CreditLot.BURN_ORDER)[:size]
        ):
            yield from [self._remember(lot) for lot in page]
            if len(page) < size:
                return
            size *= 10

    def next_due(self) -> datetime | None:
        """Return the earliest expiry of all non-empty lots, or None."""
        here = [lot.expires_at for lot in self._here() if lot.expires_at]
        elsewhere = None if self.complete else self._elsewhere().aggregate(due=Min("expires_at"))["due"]
        return min([*here, *([elsewhere] if elsewhere else [])], default=None)

    # ------------------------------------------------------------------ journal rows

    def post(
        self,
        type_: str,
        moves: list[Move],
        *,
        call: Call = BY_ITSELF,
        at: datetime | None = None,
        held: int = 0,
        refund_of: CreditTransaction | None = None,
        hold: CreditLot | None = None,
    ) -> CreditTransaction:
        """Add a row whose amount is the sum of its moves, at least a microsecond after the previous row."""
        row = self.row
        available = row.available
        row.at = self.moment(at)
        row.balance += (amount := _total(moves))
        row.held += held
        if row.alert_below is not None and row.available < row.alert_below <= available:
            self.alerts.append(row.available)
        pk = uuid7_of(row.holder_id, row.at) if call is BY_ITSELF else uuid7()
        self._sign_new_lots(pk)
        transaction = new_row(
            id=pk, holder_id=row.holder_id, at=row.at, type=type_, amount=amount, balance=row.balance, held=row.held,
            service=call.service, key=call.key, digest=call.digest, description=call.description,
            reference=call.reference, metadata=call.metadata, salt=call.salt(),
            refund_of=refund_of.pk if refund_of else None, hold=hold.transaction_id if hold else None,
            unit_price=call.unit_price, feature=call.feature, quantity=call.quantity, version=VERSION,
        )  # fmt: skip
        self.postings.append(Posting(transaction, moves))
        return transaction

    def _sign_new_lots(self, transaction_id: UUID) -> None:
        """Set the row's id and time on the lots made for it."""
        for lot in self.created:
            if lot.transaction_id is None:
                lot.transaction_id, lot.created_at = transaction_id, self.row.at

    def moment(self, at: datetime | None = None) -> datetime:
        """Return the next row's time: `at` or now, but at least a microsecond after the previous row."""
        return max(at or self.now, self.row.at + MICROSECOND)

    # ------------------------------------------------------------------ giving

    def require_room(self, amount: int) -> None:
        """Raise BalanceLimit if the balance would exceed what every JSON reader holds exactly."""
        if self.row.balance + amount > BALANCE_LIMIT:
            raise BalanceLimit

    def grant(
        self, amount: int, *, source: str, priority: int, expires_at: datetime | None, call: Call
    ) -> list[Move]:
        """Take in credits as a grant. They pay debt first; the grant keeps the rest and records the whole as `issued`.

        Raises BalanceLimit.
        """
        self.require_room(amount)
        moves = self._pay_debt(amount)
        rest = amount - _total(moves)
        lot = self.new_lot(
            kind=CreditLot.Kind.GRANT, source=source, priority=priority, issued=amount, remaining=rest,
            expires_at=expires_at, service=call.service,
        )  # fmt: skip
        return [*moves, (lot, rest)] if rest else moves

    def new_lot(self, **fields: Any) -> CreditLot:
        """Make a lot that belongs to the row posted next."""
        lot = CreditLot(id=self.next_lot_id(), holder_id=self.row.holder_id, **fields)
        self.created.append(lot)
        return lot

    def next_lot_id(self) -> int:
        """Return a provisional id for an unsaved lot; it sorts after all saved ones."""
        return 2**62 + len(self.created)

    def _pay_debt(self, amount: int) -> list[Move]:
        paid = min(amount, self.row.debt)
        self.row.debt -= paid
        return [(None, paid)] if paid else []

    # ------------------------------------------------------------------ taking

    def require(self, amount: int) -> None:
        """Raise InsufficientCredits unless this much is available. In debt, nothing is available."""
        if self.row.available < amount:
            raise InsufficientCredits(available=self.row.available, required=amount)

    def draw(self, amount: int) -> list[Move]:
        """Take credits from the live grants in burn order. The caller has checked that they hold enough."""
        moves: list[Move] = []
        for lot in self.live_grants():
            taken = min(amount, lot.remaining)
            lot.remaining -= taken
            moves.append((lot, -taken))
            amount -= taken
            if amount == 0:
                break
        return moves

    def forfeit(self) -> None:
        """Forfeit all free credits, whatever their expiry. Holds stay; the credits they return are forfeited later."""
        moves: list[Move] = [(lot, -lot.remaining) for lot in self.live_grants()]
        for lot, credits in moves:
            if lot is not None:
                lot.remaining, lot.expired = 0, lot.expired - credits
        if moves:
            self.post(TransactionType.FORFEIT, moves)

    # ------------------------------------------------------------------ coming back

    def give_back(
        self, returned: Iterable[tuple[CreditLot, int]], *, at: datetime, revive: bool
    ) -> list[Move]:
        """Return credits to the grants they came from, after paying debt.

        A grant takes no more than it has room for; the rest becomes a refund grant in its place. With `revive`, so does
        everything returned to an expired grant; without it, those credits go into the grant and expire at once. A
        refund grant lasts as long as the grant it replaces, and at least REFUND_LIFETIME.
        """
        moves: list[Move] = []
        for lot, credits in returned:
            moves += (paid := self._pay_debt(credits))
            if rest := credits - _total(paid):
                moves += self._home(lot, rest, at=at, revive=revive)
        return moves

    def _home(self, lot: CreditLot, credits: int, *, at: datetime, revive: bool) -> list[Move]:
        expired = lot.expires_at is not None and lot.expires_at <= at
        own = 0 if revive and expired else min(credits, lot.room)
        lot.remaining += own
        moves: list[Move] = [(lot, own)] if own else []
        return [*moves, *self._in_place_of(lot, credits - own, at=at)]

    def repay(self, grant: CreditLot, credits: int, *, at: datetime) -> list[Move]:
        """Return what a chargeback of this grant turned into debt. The grant itself never held it.

        It pays any remaining debt; the rest becomes a refund grant, since other grants have paid that part.
        """
        paid = self._pay_debt(credits)
        return [*paid, *self._in_place_of(grant, credits - _total(paid), at=at)]

    def _in_place_of(self, lot: CreditLot, credits: int, *, at: datetime) -> list[Move]:
        if not credits:
            return []
        refund = self.new_lot(
            kind=CreditLot.Kind.GRANT, source=TransactionType.REFUND, priority=lot.priority, issued=credits,
            remaining=credits, expires_at=lot.expires_at and max(lot.expires_at, at + settings.REFUND_LIFETIME),
            service=lot.service,
        )  # fmt: skip
        return [(refund, credits)]

    def close_hold(self, hold: CreditLot, *, captured: int, status: str, at: datetime) -> list[Move]:
        """Empty a hold: burn the captured credits in the order they were drawn, and give the rest back."""
        moves: list[Move] = [(hold, -hold.remaining)]
        hold.remaining, hold.captured, hold.status = 0, captured, status
        returned = []
        for pk, drawn in hold.drawn or []:
            burnt = min(drawn, captured)
            captured -= burnt
            if burnt:
                moves += [(self.lot(pk), burnt), (self.lot(pk), -burnt)]
            if drawn > burnt:
                returned.append((self.lot(pk), drawn - burnt))
        return moves + self.give_back(returned, at=at, revive=False)

    # ------------------------------------------------------------------ what happens automatically

    def sweep(self) -> None:
        """Post everything that has come due, each item at its own due time.

        Every locked call does this first, so the journal is the same whether a background sweep runs every second or
        never. The balance row knows when the next lot runs out, so usually no lot is read.
        """
        if self.row.due_at is None or self.row.due_at > self.now:
            return
        if not self.complete:
            for lot in self._elsewhere().filter(expires_at__lte=self.now):
                self._remember(lot)
        self._post_due(self._here())

    def post_consequences(self) -> None:
        """Post what an operation has made due. After a sweep, that can only be credits its row returned to a lot."""
        if self.postings:
            self._post_due(lot for lot, credits in self.postings[-1].moves if lot is not None and credits > 0)

    def _post_due(self, lots: Iterable[CreditLot]) -> None:
        """Post those of these lots that are due, and any due lots that they return credits to."""
        queue = [due_order(lot) for lot in lots if self._is_due(lot)]
        heapq.heapify(queue)
        while queue:
            lot = self._known(heapq.heappop(queue)[1])
            moves = self._run_out(lot) if lot.remaining else []
            for other, credits in moves:
                if other is not None and credits > 0 and self._is_due(other):
                    heapq.heappush(queue, due_order(other))

    def _known(self, pk: int) -> CreditLot:
        return self.lots.get(pk) or next(lot for lot in self.created if lot.pk == pk)

    def _is_due(self, lot: CreditLot) -> bool:
        return lot.expires_at is not None and lot.expires_at <= self.now

    def _run_out(self, lot: CreditLot) -> list[Move]:
        """Expire a grant, or return a hold to its grants: at its own due time, or right after the last row."""
        credits, at = lot.remaining, self.moment(lot.expires_at)
        if lot.kind == CreditLot.Kind.HOLD:
            moves = self.close_hold(lot, captured=0, status=CreditLot.Status.EXPIRED, at=at)
            self.post(TransactionType.RELEASE, moves, at=at, held=-credits, hold=lot)
            return moves
        lot.remaining = 0
        lot.expired += credits
        self.post(TransactionType.EXPIRY, [(lot, -credits)], at=at)
        return []


def due_order(lot: CreditLot) -> tuple[datetime, int]:
    return lot.expires_at or FOREVER, lot.pk


def new_row(**columns: Any) -> CreditTransaction:
    """Make a journal row from named columns. Django takes a third of the time when they are passed by position."""
    values: Any = [columns.get(name) for name in _BY_POSITION]
    return CreditTransaction(*values)


def _total(moves: list[Move]) -> int:
    return sum(credits for _, credits in moves)

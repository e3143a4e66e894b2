"""Holds: credits set aside now, and taken, or given back, later. One hold is settled once."""

import uuid
from datetime import timedelta

from django.db import transaction

from accounts import audit
from accounts.audit import Event
from credits.errors import CaptureExceedsHold, HoldNotFound, HoldNotOpen
from credits.ledger.account import Account, Move
from credits.ledger.calls import Call, request_bytes
from credits.ledger.posting import Operation, perform, retried
from credits.ledger.verbs import require_spendable
from credits.models import CreditLot, CreditTransaction, TransactionType

DEFAULT_LIFETIME = timedelta(minutes=15)
LONGEST_LIFETIME = timedelta(days=7)


def place(*, user_id: uuid.UUID, amount: int, lifetime: timedelta, call: Call) -> CreditTransaction:
    """Sets credits aside until they are captured, released, or the lifetime is over. The row's id is the hold's.

    Raises UserNotFound, InsufficientCredits, AccountSuspended or AccountFrozen.
    """
    return perform(
        user_id, call, placing(amount=amount, lifetime=lifetime, call=call), kind=TransactionType.HOLD
    )


def placing(*, amount: int, lifetime: timedelta, call: Call) -> Operation[CreditTransaction]:
    def set_aside(account: Account) -> CreditTransaction:
        require_spendable(account)
        account.require(amount)
        drawn = account.draw(amount)
        hold = account.new_lot(
            kind=CreditLot.Kind.HOLD, source=TransactionType.HOLD, issued=amount, remaining=amount,
            expires_at=account.now + lifetime, drawn=_drawn(drawn), service=call.service,
        )  # fmt: skip
        return account.post(TransactionType.HOLD, [*drawn, (hold, amount)], call=call, held=amount, hold=hold)

    return set_aside


def capture(*, hold_id: uuid.UUID, amount: int | None, call: Call) -> CreditTransaction:
    """Spends a hold, or `amount` of it; the rest returns to its grants. Credits held in time may be captured though
    their grant has expired, and whatever has blocked the user since.

    Raises HoldNotFound, HoldNotOpen or CaptureExceedsHold.
    """
    hold = find(hold_id, service=call.service)
    return perform(hold.user_id, call, capturing(hold, amount=amount, call=call), kind="capture")


def capturing(hold: CreditLot, *, amount: int | None, call: Call) -> Operation[CreditTransaction]:
    return _settling(hold, call, amount=amount, type_=TransactionType.USE, status=CreditLot.Status.CAPTURED)


def release(*, hold_id: uuid.UUID, call: Call) -> CreditTransaction:
    """Gives a hold back to its grants. Raises HoldNotFound or HoldNotOpen."""
    hold = find(hold_id, service=call.service)
    return perform(hold.user_id, call, releasing(hold, call=call), kind=TransactionType.RELEASE)


def releasing(hold: CreditLot, *, call: Call) -> Operation[CreditTransaction]:
    return _settling(hold, call, amount=0, type_=TransactionType.RELEASE, status=CreditLot.Status.RELEASED)


def release_for_staff(*, hold_id: uuid.UUID, reason: str, staff_id: uuid.UUID, key: str) -> CreditTransaction:
    """Gives back a hold of any service. The journal and the audit say which member of staff did it, and why.

    The same key does it once. Raises HoldNotFound or HoldNotOpen.
    """
    hold = _find(hold_id)
    call = Call(
        service="admin", key=key, request=request_bytes("release", path=str(hold_id), fields=None),
        description=reason, metadata={"staff": str(staff_id)},
    )  # fmt: skip
    return retried(lambda: _release_for_staff(hold, call, staff_id))


@transaction.atomic
def _release_for_staff(hold: CreditLot, call: Call, staff_id: uuid.UUID) -> CreditTransaction:
    row = perform(hold.user_id, call, releasing(hold, call=call), kind=TransactionType.RELEASE)
    if not row.replayed:
        detail = {"hold": str(hold.transaction_id), "amount": hold.issued, "service": hold.service}
        audit.record(Event.HOLD_RELEASED, user_id=hold.user_id, actor=f"staff {staff_id}", detail=detail)
    return row


def _settling(
    found: CreditLot, call: Call, *, amount: int | None, type_: str, status: str
) -> Operation[CreditTransaction]:
    def close(account: Account) -> CreditTransaction:
        hold = account.lot(found.pk)
        if hold.status != CreditLot.Status.OPEN:
            raise HoldNotOpen
        held = hold.remaining
        captured = held if amount is None else amount
        if captured > held:
            raise CaptureExceedsHold
        moves = account.close_hold(hold, captured=captured, status=status, at=account.moment())
        return account.post(type_, moves, call=call, held=-held, hold=hold)

    return close


def find(hold_id: uuid.UUID, *, service: str) -> CreditLot:
    """A hold that this service placed. Raises HoldNotFound, for another service's too."""
    hold = _find(hold_id)
    if hold.service != service:
        raise HoldNotFound
    return hold


def _find(hold_id: uuid.UUID) -> CreditLot:
    hold = CreditLot.objects.filter(kind=CreditLot.Kind.HOLD, transaction=hold_id).first()
    if hold is None:
        raise HoldNotFound
    return hold


def _drawn(moves: list[Move]) -> list[list[int]]:
    return [[lot.pk, -credits] for lot, credits in moves if lot is not None]

"""Holds: how to find one, and how staff release one. Each is settled once."""

import uuid

from django.db import transaction

from accounts import audit
from accounts.audit import Event
from credits.errors import HoldNotFound
from credits.ledger import operations
from credits.ledger.calls import Call, request_bytes
from credits.ledger.posting import perform, retried
from credits.models import CreditLot, CreditTransaction, placed_by


def find(hold_id: uuid.UUID, *, service: str) -> CreditLot:
    """Return a hold that this service placed. Raises HoldNotFound, also for another service's hold."""
    hold = _find(hold_id)
    if hold.service != service:
        raise HoldNotFound
    return hold


def _find(hold_id: uuid.UUID) -> CreditLot:
    hold = CreditLot.objects.filter(placed_by([hold_id])).first()
    if hold is None:
        raise HoldNotFound
    return hold


def release_for_staff(*, hold_id: uuid.UUID, reason: str, staff_id: uuid.UUID, key: str) -> CreditTransaction:
    """Release a hold of any service. The journal records who on the staff did it and why; the audit log records who.

    The same key releases once. Raises HoldNotFound or HoldNotOpen.
    """
    hold = _find(hold_id)
    call = Call(
        service="admin", key=key, request=request_bytes("release", path=str(hold_id), fields=None),
        description=reason, metadata={"staff": str(staff_id)},
    )  # fmt: skip
    return retried(lambda: _release_for_staff(hold, call, staff_id))


@transaction.atomic
def _release_for_staff(hold: CreditLot, call: Call, staff_id: uuid.UUID) -> CreditTransaction:
    row = perform(hold.holder_id, operations.release(hold, call=call))
    if not row.replayed:
        detail = {"hold": str(hold.transaction_id), "amount": hold.issued, "service": hold.service}
        audit.record(Event.HOLD_RELEASED, user_id=hold.holder_id, actor=f"staff {staff_id}", detail=detail)
    return row

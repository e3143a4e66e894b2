"""Many operations in one commit: each stands alone, in the order of the list, and few statements save all of them."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from psycopg.types.numeric import Int8

from accounts.errors import UserNotFound
from accounts.kit.problems import Problem
from credits.ledger.calls import Call
from credits.ledger.posting import (
    LockedAccount,
    Operation,
    count_operation,
    ledger_time,
    lock_all,
    new_lot_ids,
    retried,
)
from credits.ledger.saving import encode, save
from credits.models import CreditLot, CreditTransaction, UserCredit

LARGEST = 1000
SEEN = """
SELECT row.* FROM credits_credittransaction AS row
JOIN json_to_recordset(%s::json) AS given(user_id uuid, service text, key text) USING (user_id, service, key)
"""
LOTS = """
SELECT lot.* FROM credits_creditlot AS lot WHERE lot.user_id = ANY(%s) AND lot.remaining > 0
UNION ALL SELECT lot.* FROM credits_creditlot AS lot WHERE lot.id = ANY(%s) AND lot.remaining = 0
"""
KeyOfUser = tuple[uuid.UUID, str, str | None]


@dataclass(frozen=True, slots=True)
class Order:
    """One operation of a batch, for one user, under one key; or the problem that it is refused with unseen."""

    call: Call
    user_id: uuid.UUID | None = None
    operation: Operation[CreditTransaction] | None = None
    problem: Problem | None = None
    kind: str = ""  # what the metrics call it


def perform_all(orders: Sequence[Order]) -> list[CreditTransaction | Problem]:
    """Carries out the orders and gives for each its journal row, or the problem that refused it alone.

    A key that was used before, in another request or earlier in the list, gets its first answer. Raises
    ServiceUnavailable, and then nothing was done.
    """
    results = retried(lambda: _perform_all(orders))
    for order, result in zip(orders, results, strict=True):
        count_operation(result, kind=order.kind)
    return results


def _perform_all(orders: Sequence[Order]) -> list[CreditTransaction | Problem]:
    with transaction.atomic():
        rows = lock_all(sorted({order.user_id for order in orders if order.user_id and order.operation}))
        accounts = _load(rows, now=ledger_time())
        answered = _answered_before(orders)
        results = [_carry_out(order, accounts, answered) for order in orders]
        save(list(accounts.values()))
        return results


def _load(rows: Sequence[UserCredit], *, now: datetime) -> dict[uuid.UUID, LockedAccount]:
    """The accounts with all their lots, which one query reads (in the open one nothing remains), swept."""
    lots: dict[uuid.UUID, list[CreditLot]] = defaultdict(list)
    open_lots = [Int8(row.open_lot) for row in rows if row.open_lot]
    for lot in CreditLot.objects.raw(LOTS, [[row.pk for row in rows], open_lots]):
        lots[lot.user_id].append(lot)
    lot_ids = new_lot_ids(at_a_time=50)
    accounts = {row.pk: LockedAccount(row, now=now, lots=lots[row.pk], lot_ids=lot_ids) for row in rows}
    for account in accounts.values():
        account.sweep()
    return accounts


def _answered_before(orders: Sequence[Order]) -> dict[KeyOfUser, CreditTransaction]:
    """The journal rows of the keys that were used before."""
    keys = [
        {"user_id": order.user_id, "service": order.call.service, "key": order.call.key}
        for order in orders
        if order.user_id
    ]
    found = CreditTransaction.objects.raw(SEEN, [encode(keys)])
    return {(row.user_id, row.service, row.key): row for row in found}


def _carry_out(
    order: Order, accounts: dict[uuid.UUID, LockedAccount], answered: dict[KeyOfUser, CreditTransaction]
) -> CreditTransaction | Problem:
    try:
        return _answer(order, accounts, answered)
    except Problem as problem:
        return problem


def _answer(
    order: Order, accounts: dict[uuid.UUID, LockedAccount], answered: dict[KeyOfUser, CreditTransaction]
) -> CreditTransaction:
    if order.problem or order.operation is None or order.user_id is None:
        raise order.problem or UserNotFound
    key = (order.user_id, order.call.service, order.call.key)
    if found := answered.get(key):
        order.call.require_same_request(bytes(found.digest or b""))
        return replay_of(found)
    account = accounts.get(order.user_id)
    if account is None:
        raise UserNotFound
    row = answered[key] = order.operation(account)
    account.post_consequences()
    return row


def replay_of(row: CreditTransaction) -> CreditTransaction:
    """The same row as the answer to a repeat."""
    again = copy(row)
    again.replayed = True
    return again

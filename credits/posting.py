"""The lock, and the only code that writes journal rows by the slow path: load, sweep, carry out, save.

The order never changes: lock the balance row, look the key up, sweep, operate, sweep again, save. A repeated key is
therefore answered before any state is judged, and a refused call leaves nothing behind.
"""

import random
import time
import uuid
from collections.abc import Callable
from copy import copy
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from django.db import OperationalError, connection, transaction
from psycopg import errors as postgres_errors

from accounts.errors import ServiceUnavailable, UserNotFound
from credits.account import Account, Posting
from credits.calls import Call
from credits.models import CreditLot, CreditTransaction, UserCredit

RETRIES = 5
RETRIED = (postgres_errors.DeadlockDetected, postgres_errors.SerializationFailure, postgres_errors.LockNotAvailable)

Result = TypeVar("Result")
Posted = TypeVar("Posted", CreditTransaction, CreditTransaction | None)

CREATE_ROW = """
INSERT INTO credits_usercredit (user_id, balance, held, debt, blocked, open_left, at, hash)
SELECT id, 0, 0, 0, '{}', 0, credits_now() - interval '1 microsecond', '' FROM accounts_user WHERE id = %s AND status <> 'deleted'
ON CONFLICT DO NOTHING
"""

INSERT_TRANSACTION = """
INSERT INTO credits_credittransaction
    (id, user_id, at, type, amount, balance, held, lots, service, key, digest,
     description, reference, metadata, salt, refund_of, hold, text_digest, hash)
SELECT row.*, text.digest, credits_hash(
        %(previous)s, row.id, row.user_id, row.at, row.type, row.amount, row.balance, row.held,
        row.lots, row.service, row.key, row.digest, text.digest, row.refund_of, row.hold)
FROM (SELECT
        %(id)s::uuid AS id, %(user_id)s::uuid AS user_id, %(at)s::timestamptz AS at, %(type)s::text AS type,
        %(amount)s::bigint AS amount, %(balance)s::bigint AS balance, %(held)s::bigint AS held,
        %(lots)s::jsonb AS lots, %(service)s::text AS service, %(key)s::text AS key, %(digest)s::bytea AS digest,
        %(description)s::text AS description, %(reference)s::text AS reference, %(metadata)s::jsonb AS metadata,
        %(salt)s::bytea AS salt, %(refund_of)s::uuid AS refund_of, %(hold)s::uuid AS hold) AS row,
     LATERAL credits_text_digest(row.salt, row.description, row.reference, row.metadata) AS text(digest)
RETURNING hash
"""


class LockedAccount(Account):
    """An account whose row this transaction holds. `save` writes what changed."""

    def __init__(self, row: UserCredit, *, now: datetime) -> None:
        self._as_stored: dict[int, tuple[Any, ...]] = {}
        super().__init__(row, now=now)

    def _remember(self, lot: CreditLot) -> CreditLot:
        self._as_stored.setdefault(lot.pk, _changing(lot))
        return super()._remember(lot)

    def next_lot_id(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nextval(pg_get_serial_sequence('credits_creditlot', 'id'))")
            return int(cursor.fetchone()[0])

    def save(self) -> None:
        self._open_best_grant()
        CreditLot.objects.bulk_create([self._row_of(lot) for lot in self.created])
        for lot in self.lots.values():
            row = self._row_of(lot)
            if _changing(row) != self._as_stored[lot.pk]:
                row.save(update_fields=CHANGING)
        for posting in self.postings:
            self.row.hash = _insert(posting, previous=self.row.hash)
        self.row.due_at = self.next_due()
        self.row.save(force_update=True)

    def _open_best_grant(self) -> None:
        best = next(self.live_grants(), None)
        self.row.open_lot = best and best.pk
        self.row.open_left = best.remaining if best else 0

    def _row_of(self, lot: CreditLot) -> CreditLot:
        """The lot as the table holds it: the open grant's remainder lies in the balance row instead."""
        if lot.pk == self.row.open_lot:
            lot = copy(lot)
            lot.remaining = 0
        return lot


PLAIN_COLUMNS = (
    "id", "user_id", "at", "type", "amount", "balance", "held", "service", "key", "digest",
    "description", "reference", "salt", "refund_of", "hold",
)  # fmt: skip
CHANGING = ("remaining", "expired", "charged_back", "captured", "status")


def encode(value: Any) -> str | None:
    """JSON for a jsonb parameter."""
    return None if value is None else msgspec.json.encode(value).decode()


def _changing(lot: CreditLot) -> tuple[Any, ...]:
    return tuple(getattr(lot, field) for field in CHANGING)


def _insert(posting: Posting, *, previous: bytes) -> bytes:
    """Adds the row to the user's chain and returns its hash."""
    row = posting.transaction
    row.lots = [[lot.pk if lot else 0, credits] for lot, credits in posting.moves]
    values = {name: getattr(row, name) for name in PLAIN_COLUMNS}
    with connection.cursor() as cursor:
        cursor.execute(
            INSERT_TRANSACTION,
            {**values, "lots": encode(row.lots), "metadata": encode(row.metadata), "previous": previous},
        )
        row.hash = bytes(cursor.fetchone()[0])
    return row.hash


def perform(
    user_id: uuid.UUID, call: Call, operation: Callable[[LockedAccount], Posted]
) -> CreditTransaction | Posted:
    """Carries out one operation under the user's lock, once per key, and returns the journal row that answers for it.

    Raises UserNotFound, whatever the operation raises, and ServiceUnavailable when the lock cannot be had.
    """
    return retried(lambda: _perform(user_id, call, operation))


def _perform(
    user_id: uuid.UUID, call: Call, operation: Callable[[LockedAccount], Posted]
) -> CreditTransaction | Posted:
    with transaction.atomic():
        row = lock(user_id)
        if replayed := find_replay(user_id, call):
            return replayed
        account = LockedAccount(row, now=ledger_time())
        account.sweep()
        posted = operation(account)
        account.sweep()
        account.save()
        return posted


def lock(user_id: uuid.UUID) -> UserCredit:
    """The balance row, locked until the transaction ends; made if the user has none yet. Raises UserNotFound."""
    rows = UserCredit.objects.select_for_update(no_key=True)
    row = rows.filter(pk=user_id).first()
    if row is None:
        with connection.cursor() as cursor:
            cursor.execute(CREATE_ROW, [user_id])
        row = rows.filter(pk=user_id).first()
    if row is None:
        raise UserNotFound
    return row


def find_replay(user_id: uuid.UUID, call: Call) -> CreditTransaction | None:
    """The row that this key made before. Raises IdempotencyKeyReused if it was for another request."""
    if call.key is None:
        return None
    found = CreditTransaction.objects.filter(user_id=user_id, service=call.service, key=call.key).first()
    if found is not None:
        call.require_same_request(bytes(found.digest or b""))
        found.replayed = True
    return found


def ledger_time() -> datetime:
    """The ledger's clock, read after the lock was had."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT credits_now()")
        now: datetime = cursor.fetchone()[0]
        return now


def retried(operation: Callable[[], Result]) -> Result:
    """Repeats an operation that lost against others (deadlock, lock time-out), then gives up with a 503.

    Inside a transaction of the caller nothing is repeated: only the caller can start over.
    """
    for attempt in range(RETRIES):
        try:
            return operation()
        except OperationalError as error:
            if not isinstance(error.__cause__, RETRIED) or connection.in_atomic_block:
                raise
            time.sleep(random.uniform(0.5, 1) * 0.01 * 2**attempt)  # noqa: S311
    raise ServiceUnavailable

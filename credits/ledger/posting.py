"""The lock. Every change that the one statement of credits/ledger/spending.py cannot make goes through `perform`.

The order never changes: lock the balance row, look the key up, sweep, operate, post its consequences, save. A repeated
key is therefore answered before any state is judged, and a refused call leaves nothing behind.
"""

import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from django.db import OperationalError, connection, transaction
from django.db.models import DateTimeField, Func
from psycopg import errors as postgres_errors

from accounts.errors import UserNotFound
from accounts.kit import metrics
from accounts.kit.problems import Problem, ServiceUnavailable
from credits.ledger.account import Account
from credits.ledger.calls import Call
from credits.ledger.saving import save
from credits.models import CreditLot, CreditTransaction, UserCredit

LEDGER_NOW = Func(function="credits_now", output_field=DateTimeField())
RETRIES = 5
RETRIED = (
    postgres_errors.DeadlockDetected,
    postgres_errors.SerializationFailure,
    postgres_errors.LockNotAvailable,
)

Result = TypeVar("Result")
# What an operation posts: its journal row, or for some None, when there is nothing to do.
Posted = TypeVar("Posted", CreditTransaction, CreditTransaction | None)
Operation = Callable[[Account], Posted]

CREATE_ROWS = """
INSERT INTO credits_usercredit (user_id, balance, held, debt, blocked, open_left, at, hash)
SELECT id, 0, 0, 0, '{}', 0, credits_now() - interval '1 microsecond', ''
FROM accounts_user WHERE id = ANY(%s) AND status <> 'deleted' ORDER BY id
ON CONFLICT DO NOTHING
"""


# As one array, so that one prepared statement serves any number of users.
LOCK = """
SELECT row.* FROM credits_usercredit AS row JOIN accounts_user AS owner ON owner.id = row.user_id
WHERE row.user_id = ANY(%s) AND owner.status <> 'deleted' ORDER BY row.user_id FOR NO KEY UPDATE OF row
"""


class LockedAccount(Account):
    """An account whose row this transaction holds. New lots get their ids from the table's sequence."""

    def __init__(
        self,
        row: UserCredit,
        *,
        now: datetime,
        lots: Iterable[CreditLot] | None = None,
        lot_ids: Iterator[int] | None = None,
    ) -> None:
        self._lot_ids = lot_ids or new_lot_ids()
        super().__init__(row, now=now, lots=lots)

    def next_lot_id(self) -> int:
        return next(self._lot_ids)


def new_lot_ids(*, at_a_time: int = 1) -> Iterator[int]:
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence('credits_creditlot', 'id')) FROM generate_series(1, %s)",
                [at_a_time],
            )
            reserved = cursor.fetchall()
        yield from (number for (number,) in reserved)


def perform(
    user_id: uuid.UUID, call: Call, operation: Operation[Posted], *, kind: str
) -> Posted | CreditTransaction:
    """Carries out one operation under the user's lock, once per key, and returns the journal row that answers for it.

    Raises UserNotFound, whatever the operation raises, and ServiceUnavailable when the lock cannot be had; `kind`
    is what the metrics call the operation.
    """
    try:
        posted = retried(lambda: _perform(user_id, call, operation))
    except Problem as problem:
        count_operation(problem, kind=kind)
        raise
    count_operation(posted, kind=kind)
    return posted


def count_operation(result: CreditTransaction | Problem | None, *, kind: str) -> None:
    """In the metrics: what became of an operation under the lock. None did nothing and is not counted."""
    if isinstance(result, Problem):
        metrics.count(metrics.LEDGER, kind, "locked", result.default_code)
    elif result is not None:
        metrics.count(metrics.LEDGER, kind, "locked", "replayed" if result.replayed else "ok")


def _perform(user_id: uuid.UUID, call: Call, operation: Operation[Posted]) -> Posted | CreditTransaction:
    with transaction.atomic():
        row = lock(user_id)
        if replayed := find_replay(user_id, call):
            return replayed
        account = LockedAccount(row, now=ledger_time())
        account.sweep()
        posted = operation(account)
        account.post_consequences()
        save([account])
        return posted


def sweep_user(user_id: uuid.UUID) -> None:
    """Posts what has come due for a user, and nothing else."""
    retried(lambda: _sweep_user(user_id))


def _sweep_user(user_id: uuid.UUID) -> None:
    with transaction.atomic():
        account = LockedAccount(lock(user_id), now=ledger_time())
        account.sweep()
        save([account])


def lock(user_id: uuid.UUID) -> UserCredit:
    """The balance row, locked until the transaction ends; made if the user has none yet. Raises UserNotFound."""
    rows = lock_all([user_id])
    if not rows:
        raise UserNotFound
    return rows[0]


def lock_all(user_ids: Sequence[uuid.UUID]) -> list[UserCredit]:
    """The balance rows of those users that exist, locked in the order of their ids, so that nobody deadlocks."""
    started = time.perf_counter()
    found = list(UserCredit.objects.raw(LOCK, [list(user_ids)]))
    waited = time.perf_counter() - started
    metrics.observe(metrics.LOCK_WAIT, "user" if len(user_ids) == 1 else "batch", seconds=waited)
    if len(found) == len(user_ids):
        return found
    with connection.cursor() as cursor:
        cursor.execute(CREATE_ROWS, [list(user_ids)])
    return list(UserCredit.objects.raw(LOCK, [list(user_ids)]))


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
            metrics.count(metrics.LEDGER_RETRIES, type(error.__cause__).__name__)
            time.sleep(random.uniform(0.5, 1) * 0.01 * 2**attempt)  # noqa: S311
    raise ServiceUnavailable

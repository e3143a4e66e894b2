"""The lock: every change that credits/ledger/one_statement.py cannot make goes through `perform`.

The order never changes: lock the balance row, look up the key, sweep, operate, post the consequences, save. So a
repeated key is answered before any state is checked, and a refused call leaves nothing behind.
"""

import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from django.db import OperationalError, connection, transaction
from psycopg import errors as postgres_errors

from accounts.errors import UserNotFound
from accounts.kit import metrics
from accounts.kit.problems import Problem, ServiceUnavailable
from credits.ledger import clock
from credits.ledger.account import Account
from credits.ledger.calls import Call
from credits.ledger.saving import save
from credits.models import CreditLot, CreditTransaction, UserCredit, with_key

RETRIES = 5
RETRIED = (
    postgres_errors.DeadlockDetected,
    postgres_errors.SerializationFailure,
    postgres_errors.LockNotAvailable,
)

Result = TypeVar("Result")
# The journal row that an operation posts; for some operations None, if there is nothing to do.
Posted = TypeVar("Posted", CreditTransaction, CreditTransaction | None)


@dataclass(frozen=True, slots=True)
class Operation(Generic[Posted]):
    """A verb's effect on an account whose lock is held, and its call; `kind` is its label in the metrics.

    `uses` are the credits of a plain use, which a batch may carry out without `apply` (credits/ledger/many_uses.py).
    """

    kind: str
    call: Call
    apply: Callable[[Account], Posted]
    uses: int | None = None


OPEN = """
INSERT INTO credits_usercredit (holder_id, balance, held, debt, blocked, open_left, at, hash)
SELECT id, 0, 0, 0, '{}', 0, credits_now() - interval '1 microsecond', ''
FROM unnest(%s::uuid[]) AS given(id) ORDER BY id
ON CONFLICT DO NOTHING
"""

# As one array, so that one prepared statement serves any number of users.
LOCKED = """
FROM credits_usercredit AS row
WHERE row.holder_id = ANY(%s) AND row.closed_at IS NULL ORDER BY row.holder_id FOR NO KEY UPDATE
"""
LOCK = f"SELECT row.* {LOCKED}"
LOCK_ONLY = f"SELECT row.holder_id {LOCKED}"


# For automatic postings, which erased users get too.
LOCK_EVEN_CLOSED = "SELECT row.* FROM credits_usercredit AS row WHERE row.holder_id = %s FOR NO KEY UPDATE"


class LockedAccount(Account):
    """An account whose row this transaction has locked. New lots get their ids from the table's sequence."""

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


def perform(user_id: uuid.UUID, operation: Operation[Posted]) -> Posted | CreditTransaction:
    """Carry out one operation under the user's lock, once per key, and return its journal row.

    Raises UserNotFound, whatever the operation raises, and ServiceUnavailable if the lock cannot be taken.
    """
    try:
        posted = retried(lambda: _perform(user_id, operation))
        if isinstance(posted, Problem):
            raise posted
    except Problem as problem:
        count_operation(problem, kind=operation.kind)
        raise
    count_operation(posted, kind=operation.kind)
    return posted


def count_operation(result: CreditTransaction | Problem | None, *, kind: str, path: str = "locked") -> None:
    """Count an operation's outcome in the metrics. None means that nothing was done, and is not counted."""
    if isinstance(result, Problem):
        metrics.count(metrics.LEDGER, kind, path, result.default_code)
    elif result is not None:
        metrics.count(metrics.LEDGER, kind, path, "replayed" if result.replayed else "ok")


def _perform(user_id: uuid.UUID, operation: Operation[Posted]) -> Posted | CreditTransaction | Problem:
    """Return a refusal instead of raising it, so that the transaction, which has written nothing, ends with COMMIT.

    After a ROLLBACK, psycopg drops every statement that it has prepared on the connection.
    """
    with transaction.atomic():
        rows = lock_all([user_id])
        if not rows:
            return UserNotFound()
        try:
            if replayed := find_replay(user_id, operation.call):
                return replayed
            account = LockedAccount(rows[0], now=clock.now())
            account.sweep()
            posted = operation.apply(account)
        except Problem as refusal:
            return refusal
        account.post_consequences()
        save([account])
        return posted


def sweep_user(user_id: uuid.UUID) -> None:
    """Post what has come due for a user, and nothing else. An erased user also forfeits everything left."""
    retried(lambda: _sweep_user(user_id, closing=False))


def close_user(user_id: uuid.UUID) -> None:
    """Post what has come due for a user who is being erased, and forfeit everything left.

    From then on the ledger treats this user as unknown.
    """
    retried(lambda: _sweep_user(user_id, closing=True))


def _sweep_user(user_id: uuid.UUID, *, closing: bool) -> None:
    with transaction.atomic():
        for row in UserCredit.objects.raw(LOCK_EVEN_CLOSED, [user_id]):
            account = LockedAccount(row, now=clock.now())
            account.sweep()
            if closing or row.closed_at:
                account.forfeit()
            save([account])
            if closing:
                UserCredit.objects.filter(pk=user_id).update(closed_at=account.now)


def open_balances(user_ids: Sequence[uuid.UUID]) -> None:
    """Create empty balance rows for the users who have none."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN, [list(user_ids)])


def lock(user_id: uuid.UUID) -> UserCredit:
    """Return the balance row, locked until the transaction ends. Raises UserNotFound."""
    rows = lock_all([user_id])
    if not rows:
        raise UserNotFound
    return rows[0]


def lock_all(user_ids: Sequence[uuid.UUID]) -> list[UserCredit]:
    """Return the balance rows of those users who exist, locked in id order to prevent deadlocks."""
    with _measured_wait(user_ids):
        return list(UserCredit.objects.raw(LOCK, [list(user_ids)]))


def lock_existing(user_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Lock the balance rows as `lock_all` does, and return the ids of their users."""
    with _measured_wait(user_ids), connection.cursor() as cursor:
        cursor.execute(LOCK_ONLY, [list(user_ids)])
        return {user_id for (user_id,) in cursor.fetchall()}


@contextmanager
def _measured_wait(user_ids: Sequence[uuid.UUID]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    waited = time.perf_counter() - started
    metrics.observe(metrics.LOCK_WAIT, "user" if len(user_ids) == 1 else "batch", seconds=waited)


def find_replay(user_id: uuid.UUID, call: Call) -> CreditTransaction | None:
    """Return the row that this key made before. Raises IdempotencyKeyReused if it was for another request."""
    if call.key is None:
        return None
    found = with_key(user_id, call.service, call.key).first()
    if found is not None:
        call.require_same_request(bytes(found.digest or b""))
        found.replayed = True
    return found


def retried(operation: Callable[[], Result]) -> Result:
    """Retry an operation that lost to others (deadlock, serialization failure, lock time-out), then give up with a 503.

    Inside a caller's transaction nothing is retried: only the caller can start over.
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

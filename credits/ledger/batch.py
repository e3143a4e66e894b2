"""Many operations in one commit: each succeeds or fails alone, in list order, and few statements save them all."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.db import Error as AnyDatabaseError
from django.db.models import Value
from psycopg.types.numeric import Int8

from accounts.errors import UserNotFound
from accounts.kit import metrics
from accounts.kit.problems import InternalError, Problem, ServiceUnavailable
from credits.ledger import clock, many_uses, one_statement, shards
from credits.ledger.many_uses import Use
from credits.ledger.posting import (
    LockedAccount,
    Operation,
    count_operation,
    lock_all,
    lock_existing,
    new_lot_ids,
    retried,
)
from credits.ledger.saving import encode, save
from credits.models import CreditLot, CreditTransaction, KeyHash, UserCredit

log = structlog.get_logger("ledger")
LARGEST = 1000
# Finds each key by the index, however small the planner believes the journal to be.
SEEN = """
SELECT row.* FROM json_to_recordset(%s::json) AS given(holder_id uuid, service text, key text)
CROSS JOIN LATERAL (
    SELECT * FROM credits_credittransaction
    WHERE holder_id = given.holder_id AND key = given.key
        AND credits_key_hash(service, key) = credits_key_hash(given.service, given.key) OFFSET 0) AS row
"""
LOTS = """
SELECT lot.* FROM credits_creditlot AS lot WHERE lot.holder_id = ANY(%s) AND lot.remaining > 0
UNION ALL SELECT lot.* FROM credits_creditlot AS lot
JOIN unnest(%s::uuid[], %s::bigint[]) AS opened(holder_id, id) USING (holder_id, id) WHERE lot.remaining = 0
"""
KeyOfUser = tuple[uuid.UUID, str, str | None]
Outcome = tuple[str, CreditTransaction | Problem]  # the path, as the metrics name it, and the result


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a batch, for one user, under one key."""

    user_id: uuid.UUID
    operation: Operation[CreditTransaction]

    @property
    def kind(self) -> str:
        return self.operation.kind


@dataclass(frozen=True, slots=True)
class Refusal:
    """A step that was refused before it reached the ledger; `kind` is its label in the metrics."""

    kind: str
    problem: Problem


def perform_all(steps: Sequence[Step | Refusal]) -> list[CreditTransaction | Problem]:
    """Carry out the steps. Return, for each, its journal row or the problem that refused it alone.

    A key used before, in another request or earlier in the list, gets its first answer. If one user's part fails
    unexpectedly, each of that user's steps gets an InternalError and no other user is affected. Raises
    ServiceUnavailable if nothing was done. On a distributed ledger, each user's part is a separate commit, and users
    whose server is down get ServiceUnavailable as their answers.
    """
    outcomes = _apart(steps) if shards.is_distributed() else retried(lambda: _contained(steps))
    for step, (path, result) in zip(steps, outcomes, strict=True):
        count_operation(result, kind=step.kind, path=path)
    return [result for _, result in outcomes]


def _apart(steps: Sequence[Step | Refusal]) -> list[Outcome]:
    """Carry out each user's steps separately. Return the outcomes in list order."""
    parts: dict[uuid.UUID, list[Step]] = defaultdict(list)
    for step in steps:
        if isinstance(step, Step):
            parts[step.user_id].append(step)
    done = {user_id: iter(_on_its_server(part)) for user_id, part in parts.items()}
    return [
        next(done[step.user_id]) if isinstance(step, Step) else ("locked", step.problem) for step in steps
    ]


def _on_its_server(part: Sequence[Step]) -> list[Outcome]:
    try:
        return _use_alone(part) or retried(lambda: _contained(part))
    except (ServiceUnavailable, OperationalError):
        if not connection.is_usable():
            raise
        return [("locked", ServiceUnavailable()) for _ in part]


def _use_alone(part: Sequence[Step]) -> list[Outcome]:
    """Return the outcome if the part is a single usual use, which the user's server carries out; else nothing."""
    step = part[0]
    if len(part) > 1 or not step.operation.uses:
        return []
    row = one_statement.use(user_id=step.user_id, amount=step.operation.uses, call=step.operation.call)
    return [("fast", row)] if row else []


def _contained(steps: Sequence[Step | Refusal]) -> list[Outcome]:
    try:
        return _perform_all(steps)
    except Exception as error:
        if not _may_be_of_one_user(error):
            raise
        return _halved(steps, error)


def _may_be_of_one_user(error: Exception) -> bool:
    """Tell an error in some row or in our code from one of the database, which affects everyone."""
    return isinstance(error, IntegrityError | DataError) or not isinstance(error, AnyDatabaseError)


@transaction.atomic
def _halved(steps: Sequence[Step | Refusal], error: Exception) -> list[Outcome]:
    """Retry steps that failed together in two halves, by user, in the same commit. With one user left, fail them."""
    users = sorted({step.user_id for step in steps if isinstance(step, Step)})
    if not users:
        raise error
    if len(users) == 1:
        metrics.count(metrics.UNEXPECTED, "batch")
        log.error("batch_user_failed", user_id=str(users[0]), exc_info=error)
        return [("locked", step.problem if isinstance(step, Refusal) else InternalError()) for step in steps]
    upper = {*users[len(users) // 2 :]}
    in_upper = [isinstance(step, Step) and step.user_id in upper for step in steps]
    # Lower ids first: locks are always taken in that order.
    parts = {
        half: iter(_contained([step for step, of in zip(steps, in_upper, strict=True) if of is half]))
        for half in (False, True)
    }
    return [next(parts[half]) for half in in_upper]


def _perform_all(steps: Sequence[Step | Refusal]) -> list[Outcome]:
    with transaction.atomic():
        used = _use_together(steps)
        left = [step for step, row in zip(steps, used, strict=True) if row is None]
        results = iter(_perform_locked(left) if left else ())
        return [("fast", row) if row else ("locked", next(results)) for row in used]


def _use_together(steps: Sequence[Step | Refusal]) -> list[CreditTransaction | None]:
    """Return the journal rows of the uses that one statement carried out; None for any other step.

    If there are such uses, the rows of all users in the list are locked before any is changed.
    """
    apart = _users_apart(steps)
    uses = {
        n: Use(step.user_id, step.operation.uses, step.operation.call)
        for n, step in enumerate(steps)
        if isinstance(step, Step) and step.operation.uses and step.user_id not in apart
    }
    if not uses or shards.is_distributed():
        return [None] * len(steps)
    locked = lock_existing(sorted({step.user_id for step in steps if isinstance(step, Step)}))
    uses = {n: use for n, use in uses.items() if use.user_id in locked}
    rows = dict(zip(uses, many_uses.use_all(list(uses.values())), strict=True))
    return [rows.get(n) for n in range(len(steps))]


def _users_apart(steps: Sequence[Step | Refusal]) -> set[uuid.UUID]:
    """Return users who have a step other than a use, or a missing or repeated key: their order matters."""
    apart, keys = set(), set()
    for step in steps:
        if isinstance(step, Step):
            key = _key_of(step)
            if not step.operation.uses or None in key or key in keys:
                apart.add(step.user_id)
            keys.add(key)
    return apart


def _perform_locked(steps: Sequence[Step | Refusal]) -> list[CreditTransaction | Problem]:
    given = [step for step in steps if isinstance(step, Step)]
    rows = lock_all(sorted({step.user_id for step in given}))
    load, look_up = (_load_apart, _answered_apart) if shards.is_distributed() else (_load, _answered_before)
    accounts = load(rows, now=clock.now())
    answered = look_up(given)
    results = [_carry_out(step, accounts, answered) for step in steps]
    save(list(accounts.values()))
    return results


def _load(rows: Sequence[UserCredit], *, now: datetime) -> dict[uuid.UUID, LockedAccount]:
    """Return the swept accounts with all their lots, read by one query (an open lot is stored as empty)."""
    lots: dict[uuid.UUID, list[CreditLot]] = defaultdict(list)
    opened = [row for row in rows if row.open_lot]
    holders, open_lots = [row.pk for row in opened], [Int8(row.open_lot or 0) for row in opened]
    for lot in CreditLot.objects.raw(LOTS, [[row.pk for row in rows], holders, open_lots]):
        lots[lot.holder_id].append(lot)
    lot_ids = new_lot_ids(at_a_time=50)
    accounts = {row.pk: LockedAccount(row, now=now, lots=lots[row.pk], lot_ids=lot_ids) for row in rows}
    for account in accounts.values():
        account.sweep()
    return accounts


def _load_apart(rows: Sequence[UserCredit], *, now: datetime) -> dict[uuid.UUID, LockedAccount]:
    """Return the swept accounts; each reads its own lots."""
    accounts = {row.pk: LockedAccount(row, now=now) for row in rows}
    for account in accounts.values():
        account.sweep()
    return accounts


def _answered_apart(steps: Sequence[Step]) -> dict[KeyOfUser, CreditTransaction]:
    """Return the journal rows of the keys used before, for steps of a single user."""
    keys = [_key_of(step) for step in steps]
    hashed = CreditTransaction.objects.alias(key_hash=KeyHash("service", "key"))
    hashes = [KeyHash(Value(service), Value(key)) for _, service, key in keys]
    rows = hashed.filter(holder_id=keys[0][0], key_hash__in=hashes)  # type: ignore[misc]  # expressions
    return {(row.holder_id, row.service, row.key): row for row in rows}


def _answered_before(steps: Sequence[Step]) -> dict[KeyOfUser, CreditTransaction]:
    """Return the journal rows of the keys used before."""
    keys = [
        {"holder_id": step.user_id, "service": step.operation.call.service, "key": step.operation.call.key}
        for step in steps
    ]
    found = CreditTransaction.objects.raw(SEEN, [encode(keys)])
    return {(row.holder_id, row.service, row.key): row for row in found}


def _carry_out(
    step: Step | Refusal,
    accounts: dict[uuid.UUID, LockedAccount],
    answered: dict[KeyOfUser, CreditTransaction],
) -> CreditTransaction | Problem:
    if isinstance(step, Refusal):
        return step.problem
    try:
        return _answer(step, accounts, answered)
    except Problem as problem:
        return problem


def _answer(
    step: Step, accounts: dict[uuid.UUID, LockedAccount], answered: dict[KeyOfUser, CreditTransaction]
) -> CreditTransaction:
    key = _key_of(step)
    if found := answered.get(key):
        step.operation.call.require_same_request(bytes(found.digest or b""))
        return replay_of(found)
    account = accounts.get(step.user_id)
    if account is None:
        raise UserNotFound
    row = answered[key] = step.operation.apply(account)
    account.post_consequences()
    return row


def _key_of(step: Step) -> KeyOfUser:
    return step.user_id, step.operation.call.service, step.operation.call.key


def replay_of(row: CreditTransaction) -> CreditTransaction:
    """Return a copy of the row as the answer to a repeat."""
    again = copy(row)
    again.replayed = True
    return again

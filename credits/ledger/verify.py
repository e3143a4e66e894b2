"""Prove that the ledger is what its journal says: sums, lots, debt, order, texts and each user's hash chain.

All checks of a chunk of users (of one user if the ledger is distributed) are one statement on one server, hence one
snapshot, so they can run under any load, and on a standby (accounts/kit/replica.py). Checks that are not one snapshot
can see half a commit; so a user with a finding is checked again on the primary, under the lock of their balance, and
only what is found then is reported. The chain exposes any change except by someone who can rewrite all of it; only an
anchor kept elsewhere exposes that. Other apps add checks of their own (settings.LEDGER_CHECKS), such as billing's
that payments and journal agree.
"""

import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from accounts.kit import metrics, replica
from credits.ledger import shards
from credits.ledger.posting import retried
from credits.models import UserCredit

CHUNK = 200

FINDINGS = """
WITH journal AS (
    SELECT t.*, lag(t.hash, 1, ''::bytea) OVER past AS previous, lag(t.held, 1, 0::bigint) OVER past AS held_before,
        sum(t.amount) OVER past AS owned, last_value(t.id) OVER (PARTITION BY t.holder_id ORDER BY t.at
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) = t.id AS is_last
    FROM credits_credittransaction t WHERE t.holder_id = ANY(%(users)s)
    WINDOW past AS (PARTITION BY t.holder_id ORDER BY t.at)
), moves AS (
    SELECT t.holder_id, t.id, (move ->> 0)::bigint AS lot, (move ->> 1)::bigint AS credits
    FROM journal t, LATERAL jsonb_array_elements(t.lots) AS move
), moved AS (
    SELECT m.holder_id, m.id, sum(m.credits) AS credits,
        coalesce(sum(m.credits) FILTER (WHERE l.kind = 'hold'), 0) AS held
    FROM moves m LEFT JOIN credits_creditlot l ON l.holder_id = m.holder_id AND l.id = m.lot
    GROUP BY m.holder_id, m.id
), lots AS (
    SELECT holder_id, lot, sum(credits) AS credits FROM moves GROUP BY holder_id, lot
), account AS (SELECT * FROM credits_usercredit WHERE holder_id = ANY(%(users)s))

SELECT holder_id, id::text AS place, 'hash' AS finding FROM journal j WHERE hash <> credits_hash(previous, credits_link(
    id, holder_id, at, type, amount, balance, held, lots, service, key, digest, text_digest, refund_of, hold, version,
    unit_price))
UNION ALL SELECT holder_id, id::text, 'balance' FROM journal WHERE balance <> owned
UNION ALL SELECT holder_id, id::text, 'lots' FROM journal j LEFT JOIN moved USING (holder_id, id)
    WHERE j.amount <> coalesce(moved.credits, 0)
UNION ALL SELECT holder_id, id::text, 'held' FROM journal j LEFT JOIN moved USING (holder_id, id)
    WHERE j.held - j.held_before <> coalesce(moved.held, 0)
UNION ALL SELECT holder_id, id::text, 'text' FROM journal WHERE CASE
    WHEN version IS NULL AND num_nonnulls(unit_price, feature, quantity) > 0 THEN true
    WHEN salt IS NULL THEN num_nonnulls(description, reference, metadata, feature, quantity) > 0
    WHEN version IS NULL THEN text_digest IS DISTINCT FROM credits_text_digest(salt, description, reference, metadata)
    ELSE text_digest IS DISTINCT FROM
        credits_text_digest(salt, description, reference, metadata, feature, quantity) END
UNION ALL SELECT a.holder_id, a.holder_id::text, 'head'
    FROM account a LEFT JOIN journal j ON j.holder_id = a.holder_id AND j.is_last
    WHERE (a.balance, a.held, a.hash) IS DISTINCT FROM
        (coalesce(j.balance, 0), coalesce(j.held, 0), coalesce(j.hash, ''::bytea)) OR a.at <> coalesce(j.at, a.at)
UNION ALL SELECT a.holder_id, a.holder_id::text, 'debt'
    FROM account a LEFT JOIN lots ON lots.holder_id = a.holder_id AND lot = 0
    WHERE a.debt <> -coalesce(lots.credits, 0)
UNION ALL SELECT a.holder_id, l.id::text, 'lot' FROM account a JOIN credits_creditlot l ON l.holder_id = a.holder_id
    LEFT JOIN lots ON lots.lot = l.id AND lots.holder_id = a.holder_id
    WHERE coalesce(lots.credits, 0) <> l.remaining + CASE WHEN l.id = a.open_lot THEN a.open_left ELSE 0 END
UNION ALL SELECT a.holder_id, l.id::text, 'overfull'
    FROM account a JOIN credits_creditlot l ON l.holder_id = a.holder_id
    WHERE l.remaining + CASE WHEN l.id = a.open_lot THEN a.open_left ELSE 0 END > l.issued - l.expired - l.charged_back
UNION ALL SELECT lots.holder_id, lots.lot::text, 'unknown lot' FROM lots
    LEFT JOIN credits_creditlot l ON l.id = lots.lot AND l.holder_id = lots.holder_id
    WHERE lots.lot <> 0 AND l.id IS NULL
"""

WITHOUT_BALANCE = """
SELECT DISTINCT t.holder_id, t.holder_id::text, 'no balance row' FROM credits_credittransaction t
LEFT JOIN credits_usercredit a USING (holder_id) WHERE a.holder_id IS NULL
"""

COUNT_ROWS = "SELECT count(*) FROM credits_credittransaction WHERE holder_id = ANY(%(users)s)"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not add up, and the row, lot or payment where it shows."""

    user_id: uuid.UUID
    place: str
    finding: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The result for one chunk of users."""

    users: Sequence[uuid.UUID]
    transactions: int
    findings: Sequence[Finding]


def verify_user(user_id: uuid.UUID) -> Checked:
    checked = _check([user_id])
    return replace(checked, findings=[*checked.findings, *_of_all(user_id)])


def verify_all(*, after: uuid.UUID | None = None, parallel: int = 1) -> Iterator[Checked]:
    """Check every user in id order, a chunk at a time, and at last what is not kept by user.

    The latter is journal rows without a balance row, and what other apps check as a whole. `after` resumes after the
    last user of an earlier chunk. `parallel` chunks are checked at once, each on its own connection, and are still
    yielded in order.
    """
    chunks = _chunks(after)
    yield from map(_check, chunks) if parallel == 1 else _in_parallel(chunks, parallel)
    orphans = replica.read(lambda alias: _findings(WITHOUT_BALANCE, [], alias))
    yield Checked([], 0, [*(orphans and _findings(WITHOUT_BALANCE, [])), *_of_all()])


def note(*, findings: int) -> None:
    """Record for the metrics that the whole ledger was verified just now."""
    metrics.note(metrics.LEDGER_VERIFIED, "wrong" if findings else "right")


def count_users(*, after: uuid.UUID | None = None) -> int:
    return _users_behind(after).count()


def _chunks(after: uuid.UUID | None) -> Iterator[list[uuid.UUID]]:
    while users := list(_users_behind(after).values_list("pk", flat=True)[:CHUNK]):
        yield users
        after = users[-1]


def _users_behind(after: uuid.UUID | None) -> QuerySet[UserCredit]:
    rows = UserCredit.objects.order_by("pk")
    return rows if after is None else rows.filter(pk__gt=after)


def _in_parallel(chunks: Iterator[list[uuid.UUID]], workers: int) -> Iterator[Checked]:
    with ThreadPoolExecutor(workers) as threads:
        waiting = deque(threads.submit(_check_and_close, users) for users in islice(chunks, 2 * workers))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(threads.submit(_check_and_close, users) for users in islice(chunks, 1))


def _check_and_close(users: list[uuid.UUID]) -> Checked:
    try:
        return _check(users)
    finally:
        connections.close_all()


def _check(users: list[uuid.UUID]) -> Checked:
    # On a distributed ledger each server checks the users it has, one at a time.
    parts = [[user] for user in users] if shards.is_distributed() else [users]
    counted, found = replica.read(
        lambda alias: (
            [_count(part, alias) for part in parts],
            [
                *(one for part in parts for one in _findings(FINDINGS, part, alias)),
                *_of_others("of_users", user_ids=users, using=alias),
            ],
        )
    )
    return Checked(users, sum(counted), _confirmed(found, _of_one))


def _of_one(user_id: uuid.UUID) -> list[Finding]:
    others = _of_others("of_users", user_ids=[user_id], using=DEFAULT_DB_ALIAS)
    return [*_findings(FINDINGS, [user_id]), *others]


def _of_all(user_id: uuid.UUID | None = None) -> list[Finding]:
    """Return what other apps find in data that they do not keep by user: for all users, or for one."""
    look = partial(_of_others, "of_all")
    found = replica.read(lambda alias: look(user_id=user_id, using=alias))
    return _confirmed(found, lambda suspect: look(user_id=suspect, using=DEFAULT_DB_ALIAS))


def _of_others(check: str, **about: Any) -> list[Finding]:
    return [finding for path in settings.LEDGER_CHECKS[check] for finding in import_string(path)(**about)]


def _count(users: list[uuid.UUID], alias: str) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute(COUNT_ROWS, {"users": users})
        return int(cursor.fetchone()[0])


def _confirmed(found: Sequence[Finding], look: Callable[[uuid.UUID], list[Finding]]) -> list[Finding]:
    """Return what a second look finds, under a lock that keeps the suspect's credits from changing."""
    suspects = sorted({finding.user_id for finding in found})
    return [finding for user_id in suspects for finding in retried(partial(_under_lock, user_id, look=look))]


@transaction.atomic
def _under_lock(user_id: uuid.UUID, *, look: Callable[[uuid.UUID], list[Finding]]) -> list[Finding]:
    UserCredit.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    return look(user_id)


def _findings(query: str, users: list[uuid.UUID], alias: str = DEFAULT_DB_ALIAS) -> list[Finding]:
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")  # a user with millions of rows takes long
        cursor.execute(query, {"users": users})
        return [Finding(*row) for row in cursor.fetchall()]

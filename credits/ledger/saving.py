"""Write locked accounts back: new lots, changed lots, journal rows, balance rows.

One statement each, for any number of users and rows.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from typing import Any

import msgspec
from django.db import connection

from accounts import events
from credits.ledger import announcing
from credits.ledger.account import Account
from credits.models import CreditLot

# Each takes its rows as one JSON text: the type is the same for all sizes, so one prepared statement serves them all,
# and the encoding is done in C.
UPDATE_LOTS = """
UPDATE credits_creditlot AS lot SET remaining = given.remaining, expired = given.expired,
    charged_back = given.charged_back, captured = given.captured, status = given.status
FROM json_to_recordset(%s::json) AS given(holder_id uuid, id bigint, remaining bigint, expired bigint,
    charged_back bigint, captured bigint, status text)
WHERE lot.holder_id = given.holder_id AND lot.id = given.id
"""
LOTS_OF_ONE = f"{UPDATE_LOTS} AND lot.holder_id = %s"

INSERT_TRANSACTIONS = """
INSERT INTO credits_credittransaction
    (id, holder_id, at, type, amount, balance, held, lots, service, key, digest,
     description, reference, metadata, salt, refund_of, hold, text_digest, version, unit_price, feature, quantity, hash)
SELECT row.id, row.holder_id, row.at, row.type, row.amount, row.balance, row.held, row.lots, row.service, row.key,
    row.digest, row.description, row.reference, row.metadata, row.salt, row.refund_of, row.hold, row.text_digest,
    row.version, row.unit_price, row.feature, row.quantity,
    credits_chain(row.head, credits_link(row.id, row.holder_id, row.at, row.type, row.amount, row.balance, row.held,
        row.lots, row.service, row.key, row.digest, row.text_digest, row.refund_of, row.hold, row.version,
        row.unit_price))
        OVER (PARTITION BY row.holder_id ORDER BY row.at)
FROM (
    SELECT decode(given.head, 'base64') AS head, given.id, given.holder_id, given.at, given.type, given.amount,
        given.balance, given.held, given.lots, given.service, given.key, decode(given.digest, 'base64') AS digest,
        given.description, given.reference, given.metadata, decode(given.salt, 'base64') AS salt, given.refund_of,
        given.hold, credits_text_digest(decode(given.salt, 'base64'), given.description, given.reference,
            given.metadata, given.feature, given.quantity) AS text_digest, given.version, given.unit_price,
        given.feature, given.quantity
    FROM json_to_recordset(%s::json) AS given(head text, id uuid, holder_id uuid, at timestamptz, type text,
        amount bigint, balance bigint, held bigint, lots jsonb, service text, key text, digest text, description text,
        reference text, metadata jsonb, salt text, refund_of uuid, hold uuid, version smallint, unit_price bigint,
        feature text, quantity bigint)
) AS row
RETURNING id, hash
"""

UPDATE_BALANCES = """
UPDATE credits_usercredit AS row SET balance = given.balance, held = given.held, debt = given.debt,
    open_lot = given.open_lot, open_left = given.open_left, due_at = given.due_at, at = given.at,
    hash = decode(given.hash, 'base64')
FROM json_to_recordset(%s::json) AS given(holder_id uuid, balance bigint, held bigint, debt bigint, open_lot bigint,
    open_left bigint, due_at timestamptz, at timestamptz, hash text)
WHERE row.holder_id = given.holder_id
"""
BALANCE_OF_ONE = f"{UPDATE_BALANCES} AND row.holder_id = %s"

JOURNAL_COLUMNS = (
    "id", "holder_id", "at", "type", "amount", "balance", "held", "service", "key", "digest",
    "description", "reference", "metadata", "salt", "refund_of", "hold", "version", "unit_price", "feature", "quantity",
)  # fmt: skip
BALANCE_COLUMNS = ("holder_id", "balance", "held", "debt", "open_lot", "open_left", "due_at", "at", "hash")


def save(accounts: Sequence[Account]) -> None:
    """Write the new state of these accounts and emit their events. This transaction must hold the lock of each."""
    for account in accounts:
        _open_best_grant(account)
    CreditLot.objects.bulk_create(
        [_as_stored(lot, account) for account in accounts for lot in account.created]
    )
    # A single holder's statements name that holder by value, so a distributed ledger sends them to one server.
    alone = [accounts[0].row.holder_id] if len(accounts) == 1 else []
    _update_lots([lot for account in accounts for lot in _changed(account)], alone)
    _insert_transactions(accounts)
    _update_balances(accounts, alone)
    events.emit_all([event for account in accounts for event in announcing.of(account)])


def _open_best_grant(account: Account) -> None:
    """Move the remainder of the next grant to burn into the balance row, where a use finds it without reading lots."""
    best = next(account.live_grants(), None)
    account.row.open_lot = best.pk if best else None
    account.row.open_left = best.remaining if best else 0
    account.row.due_at = account.next_due()


def _as_stored(lot: CreditLot, account: Account) -> CreditLot:
    """Return the lot as the table stores it: the open grant's `remaining` is 0 there."""
    if lot.pk == account.row.open_lot:
        lot = copy(lot)
        lot.remaining = 0
    return lot


def _changed(account: Account) -> Iterator[dict[str, Any]]:
    """Yield the new columns of each lot that differs from the table."""
    for pk, lot in account.lots.items():
        remaining, *others = lot.state
        stored = (0 if pk == account.row.open_lot else remaining, *others)
        if stored != account.loaded[pk]:
            yield {"holder_id": lot.holder_id, "id": pk, **dict(zip(CreditLot.CHANGING, stored, strict=True))}


def _update_lots(lots: list[dict[str, Any]], alone: list[uuid.UUID]) -> None:
    if lots:
        _execute(LOTS_OF_ONE if alone else UPDATE_LOTS, lots, *alone)


def _insert_transactions(accounts: Sequence[Account]) -> None:
    """Append each account's rows to its user's chain, and put the last hash into the balance row."""
    rows = [row for account in accounts for row in _journal_rows(account)]
    if not rows:
        return
    hashes = dict(_execute(INSERT_TRANSACTIONS, rows))
    for account in accounts:
        for posting in account.postings:
            account.row.hash = posting.transaction.hash = hashes[posting.transaction.pk]


def _journal_rows(account: Account) -> Iterator[dict[str, Any]]:
    """Yield the account's new rows, oldest first, with lots by id as the journal keeps them; 0 stands for debt.

    The first row carries the head of the chain that it continues.
    """
    head = {"head": account.row.hash}
    for posting in account.postings:
        posting.transaction.lots = [[lot.pk if lot else 0, credits] for lot, credits in posting.moves]
        yield {**head, **_columns(posting.transaction, JOURNAL_COLUMNS), "lots": posting.transaction.lots}
        head = {}


def _update_balances(accounts: Sequence[Account], alone: list[uuid.UUID]) -> None:
    rows = [_columns(account.row, BALANCE_COLUMNS) for account in accounts]
    _execute(BALANCE_OF_ONE if alone else UPDATE_BALANCES, rows, *alone)


def _columns(row: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return the row's non-null columns among `names`."""
    return {name: value for name in names if (value := getattr(row, name)) is not None}


def encode(value: Any) -> str | None:
    """Return the value as JSON text for a jsonb parameter, or None for None."""
    return None if value is None else msgspec.json.encode(value).decode()


def _execute(statement: str, rows: list[dict[str, Any]], *alone: uuid.UUID) -> list[tuple[uuid.UUID, bytes]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, [encode(rows), *alone])
        return cursor.fetchall() if cursor.description else []

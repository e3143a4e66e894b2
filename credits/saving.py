"""Writes locked accounts back: new lots, changed lots, journal rows, balance rows.

One statement each, for any number of users and rows.
"""

import uuid
from collections.abc import Iterable, Sequence
from copy import copy
from typing import Any

import msgspec
from django.db import connection
from psycopg.types.numeric import Int8

from accounts import events
from credits.account import Account, Posting
from credits.models import CreditLot

UPDATE_LOTS = """
UPDATE credits_creditlot AS lot SET remaining = given.remaining, expired = given.expired,
    charged_back = given.charged_back, captured = given.captured, status = given.status
FROM unnest(%(id)s::bigint[], %(remaining)s::bigint[], %(expired)s::bigint[], %(charged_back)s::bigint[],
    %(captured)s::bigint[], %(status)s::text[]) AS given(id, remaining, expired, charged_back, captured, status)
WHERE lot.id = given.id
"""

INSERT_TRANSACTIONS = """
INSERT INTO credits_credittransaction
    (id, user_id, at, type, amount, balance, held, lots, service, key, digest,
     description, reference, metadata, salt, refund_of, hold, text_digest, hash)
SELECT row.id, row.user_id, row.at, row.type, row.amount, row.balance, row.held, row.lots, row.service, row.key,
    row.digest, row.description, row.reference, row.metadata, row.salt, row.refund_of, row.hold, row.text_digest,
    credits_chain(row.head, credits_link(row.id, row.user_id, row.at, row.type, row.amount, row.balance, row.held,
        row.lots, row.service, row.key, row.digest, row.text_digest, row.refund_of, row.hold))
        OVER (PARTITION BY row.user_id ORDER BY row.at)
FROM (
    SELECT given.head, given.id, given.user_id, given.at, given.type, given.amount, given.balance, given.held,
        given.lots::jsonb AS lots, given.service, given.key, given.digest, given.description, given.reference,
        given.metadata::jsonb AS metadata, given.salt, given.refund_of, given.hold,
        credits_text_digest(given.salt, given.description, given.reference, given.metadata::jsonb) AS text_digest
    FROM unnest(%(head)s::bytea[], %(id)s::uuid[], %(user_id)s::uuid[], %(at)s::timestamptz[], %(type)s::text[],
        %(amount)s::bigint[], %(balance)s::bigint[], %(held)s::bigint[], %(lots)s::text[], %(service)s::text[],
        %(key)s::text[], %(digest)s::bytea[], %(description)s::text[], %(reference)s::text[], %(metadata)s::text[],
        %(salt)s::bytea[], %(refund_of)s::uuid[], %(hold)s::uuid[])
        AS given(head, id, user_id, at, type, amount, balance, held, lots, service, key, digest, description,
            reference, metadata, salt, refund_of, hold)
) AS row
RETURNING id, hash
"""

UPDATE_BALANCES = """
UPDATE credits_usercredit AS row SET balance = given.balance, held = given.held, debt = given.debt,
    open_lot = given.open_lot, open_left = given.open_left, due_at = given.due_at, at = given.at, hash = given.hash
FROM unnest(%(user_id)s::uuid[], %(balance)s::bigint[], %(held)s::bigint[], %(debt)s::bigint[], %(open_lot)s::bigint[],
    %(open_left)s::bigint[], %(due_at)s::timestamptz[], %(at)s::timestamptz[], %(hash)s::bytea[])
    AS given(user_id, balance, held, debt, open_lot, open_left, due_at, at, hash)
WHERE row.user_id = given.user_id
"""


def save(accounts: Sequence[Account]) -> None:
    """Writes what these accounts have become. Each must be locked by this transaction."""
    for account in accounts:
        _open_best_grant(account)
    CreditLot.objects.bulk_create(
        [_as_stored(lot, account) for account in accounts for lot in account.created]
    )
    _update_lots([lot for account in accounts for lot in _changed(account)])
    _insert_transactions(accounts)
    _update_balances(accounts)
    for account in accounts:
        for available in account.alerts:
            data = {"threshold": account.row.alert_below, "available": available}
            events.emit("credits.low", user_id=account.row.user_id, data=data)


def _open_best_grant(account: Account) -> None:
    """The next to burn moves its remainder into the balance row, where a spend finds it without touching a lot."""
    best = next(account.live_grants(), None)
    account.row.open_lot = best.pk if best else None
    account.row.open_left = best.remaining if best else 0
    account.row.due_at = account.next_due()


def _as_stored(lot: CreditLot, account: Account) -> CreditLot:
    """The lot as the table holds it: of the open grant nothing remains there."""
    if lot.pk == account.row.open_lot:
        lot = copy(lot)
        lot.remaining = 0
    return lot


def _changed(account: Account) -> Iterable[CreditLot]:
    for lot in account.lots.values():
        stored = _as_stored(lot, account)
        if stored.state != account.loaded[lot.pk]:
            yield stored


def _update_lots(lots: list[CreditLot]) -> None:
    if lots:
        _execute(UPDATE_LOTS, _columns(lots, ("id", *CreditLot.CHANGING)))


def _insert_transactions(accounts: Sequence[Account]) -> None:
    """Adds each account's rows to its user's chain, and leaves the hash of the last in the balance row."""
    postings = [(account, posting) for account in accounts for posting in account.postings]
    if not postings:
        return
    columns = _columns([_named(posting) for _, posting in postings], JOURNAL_COLUMNS)
    columns["head"] = [bytes(account.row.hash) for account, _ in postings]
    hashes = dict(_execute(INSERT_TRANSACTIONS, columns))
    for account, posting in postings:
        account.row.hash = posting.transaction.hash = hashes[posting.transaction.pk]


def _named(posting: Posting) -> Any:
    """The row with its lots by id, as the journal keeps them; 0 is debt."""
    row = posting.transaction
    row.lots = [[lot.pk if lot else 0, credits] for lot, credits in posting.moves]
    return row


def _update_balances(accounts: Sequence[Account]) -> None:
    _execute(UPDATE_BALANCES, _columns([account.row for account in accounts], BALANCE_COLUMNS))


JOURNAL_COLUMNS = (
    "id", "user_id", "at", "type", "amount", "balance", "held", "lots", "service", "key", "digest",
    "description", "reference", "metadata", "salt", "refund_of", "hold",
)  # fmt: skip
BALANCE_COLUMNS = ("user_id", "balance", "held", "debt", "open_lot", "open_left", "due_at", "at", "hash")


def _columns(rows: Iterable[Any], names: Iterable[str]) -> dict[str, list[Any]]:
    """Rows as one array for each column, which `unnest` makes rows again."""
    rows = list(rows)
    return {name: [_parameter(getattr(row, name)) for row in rows] for name in names}


def _parameter(value: Any) -> Any:
    if isinstance(value, int):
        return Int8(value)  # one type for every size: else each size is a prepared statement of its own
    if isinstance(value, dict | list):
        return encode(value)
    return value


def encode(value: Any) -> str | None:
    """JSON for a jsonb parameter."""
    return None if value is None else msgspec.json.encode(value).decode()


def _execute(statement: str, parameters: dict[str, list[Any]]) -> list[tuple[uuid.UUID, bytes]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []

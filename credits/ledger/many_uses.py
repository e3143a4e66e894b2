"""The usual uses of a batch, in one statement for any number of users.

It carries out the uses of each user for whom all uses in the list fit, by the conditions of the single use (migration
0016) applied to their sum. It leaves all uses of any other user to the locked path, which carries them out in order.
The journal is the same either way.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db import connection

from credits.identifiers import uuid7
from credits.ledger.account import new_row
from credits.ledger.calls import Call
from credits.ledger.saving import encode
from credits.models import VERSION, CreditTransaction, TransactionType

# Whether a balance `row` covers a `call` of `amount` credits at `now` and nothing else happens. The key is checked
# elsewhere, since its look-up depends on how many calls there are.
FITS = """row.open_left >= call.amount
        AND row.blocked = '{}'
        AND row.debt = 0
        AND (row.due_at IS NULL OR row.due_at > call.now)
        AND (row.alert_below IS NULL
            OR row.balance - row.held - call.amount >= row.alert_below
            OR row.balance - row.held < row.alert_below)"""

# The planner cannot know how many uses there are and assumes few. Given the choice, it would join tables to them by
# comparing each with each: a million times for a thousand. This leaves it none: windows compute the sums, a look-up
# for each use (OFFSET 0) finds balances and keys, a hashed subquery (NOT EXISTS is not hashed) excludes users with
# repeated keys, and the update finds balances by physical location (ctid), which is fixed while they are locked.
STATEMENT = f"""
WITH clock AS MATERIALIZED (SELECT credits_now() AS now),
given AS MATERIALIZED (
    SELECT use.ordinality, use.id, use.holder_id, use.amount, use.service, use.key,
        decode(use.digest, 'base64') AS digest, use.description, use.reference, use.metadata,
        use.feature, use.quantity, use.unit_price, decode(use.salt, 'base64') AS salt,
        row_number() OVER so_far AS number, sum(use.amount) OVER so_far AS running,
        count(*) OVER of_user AS last, sum(use.amount) OVER of_user AS total
    FROM ROWS FROM (json_to_recordset(%s::json) AS (id uuid, holder_id uuid, amount bigint, service text, key text,
        digest text, description text, reference text, metadata jsonb, salt text, feature text, quantity bigint,
        unit_price bigint)) WITH ORDINALITY AS use
    WINDOW so_far AS (PARTITION BY use.holder_id ORDER BY use.ordinality), of_user AS (PARTITION BY use.holder_id)
), repeating AS MATERIALIZED (
    SELECT given.holder_id FROM given WHERE EXISTS (
        SELECT FROM credits_credittransaction AS seen
        WHERE seen.holder_id = given.holder_id AND seen.key = given.key
            AND credits_key_hash(seen.service, seen.key) = credits_key_hash(given.service, given.key) OFFSET 0)
), fitting AS MATERIALIZED (
    SELECT given.*, row.stored_at, row.held, row.hash AS head, (row.balance - given.running)::bigint AS balance,
        greatest(call.now, row.at + interval '1 microsecond') + (given.number - 1) * interval '1 microsecond' AS at,
        jsonb_build_array(jsonb_build_array(row.open_lot, -given.amount)) AS lots,
        CASE WHEN given.salt IS NOT NULL THEN
            credits_text_digest(given.salt, given.description, given.reference, given.metadata, given.feature,
                given.quantity) END AS text_digest
    FROM given
    CROSS JOIN LATERAL (
        SELECT ctid AS stored_at, * FROM credits_usercredit WHERE holder_id = given.holder_id OFFSET 0) AS row
    CROSS JOIN LATERAL (SELECT given.total AS amount, clock.now FROM clock) AS call
    WHERE {FITS}
        AND given.holder_id NOT IN (SELECT holder_id FROM repeating)
), made AS MATERIALIZED (
    SELECT *, credits_chain(head, credits_link(id, holder_id, at, 'use', -amount, balance, held, lots, service, key,
        digest, text_digest, NULL, NULL, {VERSION}::smallint, unit_price))
        OVER (PARTITION BY holder_id ORDER BY number) AS hash
    FROM fitting
), balances AS (
    UPDATE credits_usercredit AS row
    SET balance = made.balance, open_left = row.open_left - made.total, at = made.at, hash = made.hash
    FROM made WHERE row.ctid = made.stored_at AND row.holder_id = made.holder_id AND made.number = made.last
), journal AS (
    INSERT INTO credits_credittransaction
        (id, holder_id, at, type, amount, balance, held, lots, service, key, digest,
         description, reference, metadata, salt, text_digest, hash, version, unit_price, feature, quantity)
    SELECT id, holder_id, at, 'use', -amount, balance, held, lots, service, key, digest,
        description, reference, metadata, salt, text_digest, hash, {VERSION}, unit_price, feature, quantity
    FROM made
)
SELECT coalesce(json_agg(json_build_array(ordinality - 1, at, balance, held)), '[]')::text FROM made
"""  # noqa: S608  the conditions are a constant


class Use(NamedTuple):
    """A use of a batch. Its key is not None, and is unique in the list for this user."""

    user_id: uuid.UUID
    amount: int
    call: Call


class Made(msgspec.Struct, array_like=True):
    """The values that the database adds to the use at `place` in the list."""

    place: int
    at: datetime
    balance: int
    held: int


# JSON, since the driver takes ten times as long to read a thousand rows of columns.
read_made = msgspec.json.Decoder(list[Made]).decode


def use_all(uses: Sequence[Use]) -> list[CreditTransaction | None]:
    """Carry out the uses of users for whom all fit. Return each use's journal row, or None if it was left.

    This transaction must hold the locks of the balances from an earlier statement, so that this one sees every key
    already used.
    """
    ids = [uuid7() for _ in uses]
    with connection.cursor() as cursor:
        cursor.execute(STATEMENT, [encode(list(map(_columns, ids, uses)))])
        [(found,)] = cursor.fetchall()
    rows: list[CreditTransaction | None] = [None] * len(uses)
    for made in read_made(found):
        rows[made.place] = _row(ids[made.place], uses[made.place], made)
    return rows


def _columns(pk: uuid.UUID, use: Use) -> dict[str, Any]:
    call = use.call
    columns = {
        "id": pk, "holder_id": use.user_id, "amount": use.amount, "service": call.service, "key": call.key,
        "digest": call.digest,
    }  # fmt: skip
    if salt := call.salt():
        columns |= {
            "salt": salt, "description": call.description, "reference": call.reference, "metadata": call.metadata,
            "feature": call.feature, "quantity": call.quantity, "unit_price": call.unit_price,
        }  # fmt: skip
    return columns


def _row(pk: uuid.UUID, use: Use, made: Made) -> CreditTransaction:
    call = use.call
    return new_row(
        id=pk, holder_id=use.user_id, at=made.at, type=TransactionType.USE, amount=-use.amount, balance=made.balance,
        held=made.held, service=call.service, key=call.key, description=call.description, reference=call.reference,
        metadata=call.metadata, unit_price=call.unit_price, feature=call.feature, quantity=call.quantity,
        version=VERSION,
    )  # fmt: skip

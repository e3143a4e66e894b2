"""The usual use: one call of a database function, one round trip (migration 0016).

It applies if the open grant covers the amount and nothing else is to happen: the user is not blocked or in debt,
nothing is due, no alert is crossed, and the key is new. Otherwise it changes nothing and the locked path decides.
Everything is checked under the balance's row lock, at the time after the wait. Lots are never touched here.
"""

import uuid
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, transaction
from psycopg.types.numeric import Int8

from accounts.kit.prepared import Prepared, as_it_is, int8_bytes, jsonb_bytes, text_bytes, uuid_bytes
from credits.errors import InsufficientCredits
from credits.identifiers import uuid7
from credits.ledger.calls import Call
from credits.ledger.saving import encode
from credits.models import CreditTransaction, TransactionType

STATEMENT = """
SELECT at, balance, held FROM credits_use(
    %(id)s::uuid, %(holder_id)s::uuid, %(amount)s::bigint, %(service)s::text, %(key)s::text, %(digest)s::bytea,
    %(salt)s::bytea, %(description)s::text, %(reference)s::text, %(metadata)s::jsonb, %(feature)s::text,
    %(quantity)s::bigint, %(unit_price)s::bigint)
"""

# The available credits of a user with too few, at one instant: nothing has come due, nothing blocks, the key is new.
SHORT = """
SELECT greatest(0, row.balance - row.held)
FROM credits_usercredit AS row
WHERE row.holder_id = %(holder_id)s::uuid AND row.closed_at IS NULL AND row.blocked = '{}'
    AND (row.due_at IS NULL OR row.due_at > credits_now()) AND greatest(0, row.balance - row.held) < %(amount)s::bigint
    AND NOT EXISTS (
        SELECT FROM credits_credittransaction AS seen
        WHERE seen.holder_id = row.holder_id AND seen.key = %(key)s::text
            AND credits_key_hash(seen.service, seen.key) = credits_key_hash(%(service)s::text, %(key)s::text))
"""


_SPEND = Prepared(
    "credits_use",
    STATEMENT,
    {
        "id": uuid_bytes,
        "holder_id": uuid_bytes,
        "amount": int8_bytes,
        "service": text_bytes,
        "key": text_bytes,
        "digest": as_it_is,
        "salt": as_it_is,
        "description": text_bytes,
        "reference": text_bytes,
        "metadata": jsonb_bytes,
        "feature": text_bytes,
        "quantity": int8_bytes,
        "unit_price": int8_bytes,
    },
)
_SHORT = Prepared(
    "credits_short",
    SHORT,
    {"holder_id": uuid_bytes, "amount": int8_bytes, "service": text_bytes, "key": text_bytes},
)

_COLUMNS = tuple(field.attname for field in CreditTransaction._meta.concrete_fields)  # noqa: SLF001 - Django's public name


def use(*, user_id: uuid.UUID, amount: int, call: Call) -> CreditTransaction | None:
    """Use credits of the open grant and return the journal row, or change nothing and return None."""
    transaction_id = uuid7()
    values = {
        "id": transaction_id,
        "holder_id": user_id,
        "amount": _bigint(amount),
        "service": call.service,
        "key": call.key,
        "digest": call.digest,
        "salt": call.salt(),
        "description": call.description,
        "reference": call.reference,
        "metadata": encode(call.metadata),
        "feature": call.feature,
        "quantity": _bigint(call.quantity),
        "unit_price": _bigint(call.unit_price),
    }
    row = _spend(values)
    if row is None:
        return None
    at, balance, held = row
    return _stored(
        id=transaction_id, holder_id=user_id, at=at, type=TransactionType.USE, amount=-amount, balance=balance,
        held=held, service=call.service, key=call.key, description=call.description, reference=call.reference,
        metadata=call.metadata, refund_of=None, hold=None, unit_price=call.unit_price, feature=call.feature,
        quantity=call.quantity,
    )  # fmt: skip


def shortfall(*, user_id: uuid.UUID, amount: int, call: Call) -> InsufficientCredits | None:
    """Return the refusal if the user has too few credits, or None if anything else may decide about the use.

    One read is as accurate as one under the lock: it sees a single instant, and a refusal changes nothing.
    """
    values: dict[str, Any] = {
        "holder_id": user_id,
        "amount": Int8(amount),
        "service": call.service,
        "key": call.key,
    }
    row = _SHORT.one(values)
    return InsufficientCredits(available=row[0], required=amount) if row else None


def _bigint(number: int | None) -> Int8 | None:
    """Return the number as a bigint whatever its size; otherwise each size would prepare a statement of its own."""
    return None if number is None else Int8(number)


def _stored(**columns: Any) -> CreditTransaction:
    """Return the row as Django reads one, in half the time of making it by keyword.

    Columns that are not given are read on demand.
    """
    values = [columns[name] for name in _COLUMNS if name in columns]
    return CreditTransaction.from_db(DEFAULT_DB_ALIAS, columns, values)


def _spend(values: dict[str, Any]) -> tuple[Any, ...] | None:
    if connection.in_atomic_block:
        with transaction.atomic():  # a savepoint: an error must not end the caller's transaction
            return _SPEND.one(values)
    return _SPEND.one(values)

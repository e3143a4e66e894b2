"""The usual use: one call of a function of the database, one round trip (migration 0017).

It applies when the open grant covers the amount and nothing else wants to happen: the user is not blocked or in debt,
nothing is due, no alert is crossed, the key is new. Otherwise it changes nothing and the locked path decides. All of it
is judged under the lock of the balance, by the time after the wait. Lots are never touched here.
"""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.db.backends.postgresql.base import ServerBindingCursor
from psycopg import OperationalError
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format
from psycopg.pq.abc import PGconn
from psycopg.types.numeric import Int8

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

# What a user has who has too little, as of one instant: nothing has come due, nothing blocks, the key is new.
SHORT = """
SELECT greatest(0, row.balance - row.held)
FROM credits_usercredit AS row
WHERE row.holder_id = %(holder_id)s AND row.closed_at IS NULL AND row.blocked = '{}'
    AND (row.due_at IS NULL OR row.due_at > credits_now()) AND greatest(0, row.balance - row.held) < %(amount)s
    AND NOT EXISTS (
        SELECT FROM credits_credittransaction AS seen
        WHERE seen.holder_id = row.holder_id AND seen.key = %(key)s
            AND credits_key_hash(seen.service, seen.key) = credits_key_hash(%(service)s::text, %(key)s::text))
"""


def _text(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _eight_bytes(number: int | None) -> bytes | None:
    return None if number is None else int(number).to_bytes(8)


# The statement for libpq: its parameters by number, each in PostgreSQL's binary form.
_BINARY: dict[str, Callable[[Any], bytes | None]] = {
    "id": attrgetter("bytes"),
    "holder_id": attrgetter("bytes"),
    "amount": _eight_bytes,
    "service": _text,
    "key": _text,
    "digest": lambda digest: digest,  # bytes, as the salt
    "salt": lambda salt: salt,
    "description": _text,
    "reference": _text,
    "metadata": lambda json: (
        None if json is None else b"\1" + json.encode()
    ),  # the version of jsonb's binary form
    "feature": _text,
    "quantity": _eight_bytes,
    "unit_price": _eight_bytes,
}
_FORMATS = [Format.BINARY] * len(_BINARY)
_NUMBERED = (STATEMENT % {name: f"${number}" for number, name in enumerate(_BINARY, 1)}).encode()
_NAME = b"credits_use"
_UNKNOWN_STATEMENT = b"26000"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # from which PostgreSQL counts microseconds

_COLUMNS = tuple(field.attname for field in CreditTransaction._meta.concrete_fields)  # noqa: SLF001 - Django's public name


def use(*, user_id: uuid.UUID, amount: int, call: Call) -> CreditTransaction | None:
    """Use credits of the open grant, or return None and change nothing."""
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
    row = _execute(values)
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
    """Return the refusal of a user who has too little, or None where something else may be in the way of a use.

    One read, as true as one under the lock: all of it is of one instant, and a refusal changes nothing.
    """
    values: dict[str, Any] = {
        "holder_id": user_id,
        "amount": Int8(amount),
        "service": call.service,
        "key": call.key,
    }
    with connection.cursor() as cursor:
        cursor.execute(SHORT, values)
        row = cursor.fetchone()
    return InsufficientCredits(available=row[0], required=amount) if row else None


def _bigint(number: int | None) -> Int8 | None:
    """Return it as one type for every size: else each size is a prepared statement of its own."""
    return None if number is None else Int8(number)


def _stored(**columns: Any) -> CreditTransaction:
    """Return the row as Django reads one, which takes half the time of making one by keyword. The columns that are not
    given are read when somebody asks for them.
    """
    values = [columns[name] for name in _COLUMNS if name in columns]
    return CreditTransaction.from_db(DEFAULT_DB_ALIAS, columns, values)


def _execute(values: dict[str, Any]) -> tuple[datetime, int, int] | None:
    if connection.in_atomic_block:
        with transaction.atomic():  # a savepoint: the error must not end the caller's transaction
            return _run(values)
    return _run(values)


def _run(values: dict[str, Any]) -> tuple[datetime, int, int] | None:
    """Run it through libpq, if it may be: psycopg adds a sixth of a call, Django as much again."""
    database = transaction.get_connection()
    # In a transaction, where one that is not prepared any more would end it; where somebody watches, as tracers do by a
    # cursor of their own; where nothing may be prepared.
    if (
        not database.get_autocommit()
        or database.queries_logged
        or database.execute_wrappers
        or database.connection.cursor_factory is not ServerBindingCursor
        or database.connection.prepare_threshold is None
    ):
        with database.cursor() as cursor:
            cursor.execute(STATEMENT, values)
            return cursor.fetchone()  # type: ignore[no-any-return]
    with database.wrap_database_errors:
        return _run_prepared(database.connection.pgconn, values)


def _run_prepared(libpq: PGconn, values: dict[str, Any]) -> tuple[datetime, int, int] | None:
    """Prepare it where the connection does not know it: is new, or psycopg has dropped all that was prepared."""
    given: Any = [_BINARY[name](values[name]) for name in _BINARY]  # None is null
    result = libpq.exec_prepared(_NAME, given, _FORMATS, result_format=1)
    if result.error_field(DiagnosticField.SQLSTATE) == _UNKNOWN_STATEMENT:
        libpq.prepare(_NAME, _NUMBERED)
        result = libpq.exec_prepared(_NAME, given, _FORMATS, result_format=1)
    if libpq.status != ConnStatus.OK:
        raise OperationalError(libpq.get_error_message())
    if result.status != ExecStatus.TUPLES_OK:
        raise error_from_result(result)
    if not result.ntuples:
        return None
    at, balance, held = (
        int.from_bytes(result.get_value(0, column) or b"", signed=True) for column in range(3)
    )
    return _EPOCH + timedelta(microseconds=at), balance, held

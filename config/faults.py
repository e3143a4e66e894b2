"""Which exceptions mean an outage of something that we depend on. They are answered with 503, never 500."""

import psycopg
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from accounts.kit import metrics

# OperationalError covers a lost server, too many connections, a full disk, deadlocks, lock and statement time-outs.
OUTAGES = (
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    RedisConnectionError,
    RedisTimeoutError,
    ReadOnlyError,
    OutOfMemoryError,
    BrokerError,
)
READ_ONLY = "25006"  # read_only_sql_transaction: this server is now a standby
IDLE_TOO_LONG = "25P03"  # idle_in_transaction_session_timeout
NOT_SUPPORTED = (
    "0A000"  # "cached plan must not change result type": a migration altered a prepared statement's columns
)
STALE_CONNECTION = frozenset({READ_ONLY, IDLE_TOO_LONG, NOT_SUPPORTED})


def is_outage(error: BaseException) -> bool:
    if isinstance(error, OUTAGES):
        return True
    if not isinstance(error, DatabaseError | psycopg.DatabaseError):
        return False
    return _is_stale(error)


def is_lost_database(error: BaseException) -> bool:
    """Return whether PostgreSQL was gone or shutting down, and not only slow or busy, as a caller can make it."""
    return _of_postgresql(error) is not None and (sqlstate(error) or "57P").startswith(("08", "57P"))


def sqlstate(error: BaseException) -> str | None:
    """Return PostgreSQL's five-character SQLSTATE, from the error itself or from the one that Django has wrapped."""
    said = _of_postgresql(error)
    return said.sqlstate if said else None


def _of_postgresql(error: BaseException) -> psycopg.Error | None:
    return next((one for one in (error, error.__cause__) if isinstance(one, psycopg.Error)), None)


def count(error: BaseException) -> None:
    """Count the error in the metrics if it came from the database."""
    if isinstance(error, DatabaseError | InterfaceError | psycopg.Error):
        metrics.count(metrics.DATABASE_ERRORS, sqlstate(error) or "none")


def drop_stale_connection(error: BaseException) -> None:
    """Close a connection that would fail again at once, so that the next request gets a new one."""
    if _is_stale(error) and not connection.in_atomic_block:
        connection.close()


def _is_stale(error: BaseException) -> bool:
    said = _of_postgresql(error)
    if said is None or said.sqlstate != NOT_SUPPORTED:
        return said is not None and said.sqlstate in STALE_CONNECTION
    # Check the function, since the message is in the language of `lc_messages`; a pooler may leave it out.
    return said.diag.source_function == "RevalidateCachedQuery" or "cached plan" in str(error)

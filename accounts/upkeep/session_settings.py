"""Session settings of the role, and the version of a pooler between the service and PostgreSQL.

A pooler does not pass start-up options on. So the time-outs are set on the role (settings.SESSION_SETTINGS), and `check
--deploy` reads back what a real connection has.
"""

import re
from typing import Any

import psycopg
from django.conf import settings
from django.db import ProgrammingError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
# Before 1.25.2 a login could stop the pooler (CVE-2026-6664), before 1.26.1 it could become anybody's
# (CVE-2026-107350).
SAFE_POOLER = (1, 26, 1)
KNOWS_PREPARED_STATEMENTS = (
    1,
    22,
)  # prepared statements from 1.21; DEALLOCATE ALL, sent by a rollback, from 1.22
_OF_DJANGO = frozenset({"context", "cursor_factory", "prepare_threshold"})  # the rest are libpq's
_OF_A_SESSION = frozenset({"options", "target_session_attrs"})
_PATIENCE = 2
# Checked first, so that a role that only migrates causes no error in the server's log.
_MIGHT = "SELECT rolsuper OR rolcreaterole OR rolname = %s FROM pg_roles WHERE rolname = current_user"


def give_to_role(database: BaseDatabaseWrapper, *, role: str) -> bool:
    """Set settings.SESSION_SETTINGS for every new session of the role. Return whether that was permitted.

    A role may do so for itself, and a superuser for any; where the owner may not, deploy/postgres/roles.sh does it.
    """
    quoted = database.ops.quote_name(role)
    try:
        with transaction.atomic(using=database.alias), database.cursor() as cursor:
            cursor.execute(_MIGHT, [role])
            if cursor.fetchone() != (True,):
                return False
            for name, value in settings.SESSION_SETTINGS.items():
                cursor.execute(f"ALTER ROLE {quoted} SET {name} = '{value}'")
    except ProgrammingError as error:
        if isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
            return False
        raise
    return True


def without_limit() -> list[str]:
    """Return the time-outs that a new session, opened as for a request, lacks. Raise psycopg.Error."""
    with psycopg.connect(**parameters()) as session:
        found = session.execute(
            "SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = '0'", [[*TIMEOUTS]]
        )
        missing = {name for (name,) in found}
    return [name for name in TIMEOUTS if name in missing]


def pooler_version() -> tuple[int, ...] | None:
    """Return the version of the PgBouncer behind DATABASE_URL; None if it does not reveal it to the serving role."""
    asked = {name: value for name, value in parameters().items() if name not in _OF_A_SESSION}
    try:
        with psycopg.connect(**{**asked, "dbname": "pgbouncer", "autocommit": True}) as console:
            row = console.execute("SHOW VERSION").fetchone()
    except psycopg.Error:
        return None
    said = re.search(r"PgBouncer (\d+)\.(\d+)\.(\d+)", str(row[0]) if row else "")
    return tuple(int(number) for number in said.groups()) if said else None


def parameters() -> dict[str, Any]:
    """Return psycopg's parameters for a separate connection to where a request's would go."""
    said: dict[str, Any] = connection.get_connection_params()
    return {
        **{name: value for name, value in said.items() if name not in _OF_DJANGO},
        "connect_timeout": _PATIENCE,
    }

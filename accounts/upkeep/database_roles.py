"""Restrict the serving role in the database to reading and writing rows.

The migrating role owns the tables. After each `manage.py migrate` the serving role gets exactly the privileges below,
whatever it had before. Nothing relies on default privileges, which depend on who created a table.
"""

from django.conf import settings
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

# `pg_has_role` selects what the migrating role owns, so that an extension's views are left alone.
OWNED_TABLES = """
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND pg_has_role(c.relowner, 'USAGE')
    AND NOT c.relispartition
"""
# Partitions are read and written through their table, whose privileges then apply.
OWNED_PARTITIONS = """
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relispartition AND c.relkind = 'r'
    AND pg_has_role(c.relowner, 'USAGE')
"""
OWNED_SEQUENCES = """
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'S' AND pg_has_role(c.relowner, 'USAGE')
"""
OWNED_ROUTINES = """
SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND pg_has_role(p.proowner, 'USAGE')
"""


def grant_to_serving_role(connection: BaseDatabaseWrapper, *, role: str) -> None:
    """Set the privileges of `role`, in one transaction. Repeating it changes nothing.

    Tables in settings.APPEND_ONLY_TABLES get no UPDATE or DELETE, those in settings.READ_ONLY_TABLES no INSERT either,
    and partitions nothing. Nothing gets TRUNCATE, and the role may not create anything, not even a temporary table.
    """
    quoted = connection.ops.quote_name(role)
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        _refuse_creation(cursor, quoted)
        _grant_tables(cursor, quoted)
        _grant(cursor, "SEQUENCE", OWNED_SEQUENCES, "USAGE, SELECT", quoted)
        _grant(cursor, "ROUTINE", OWNED_ROUTINES, "EXECUTE", quoted)


def _refuse_creation(cursor: CursorWrapper, role: str) -> None:
    cursor.execute("SELECT quote_ident(current_database())")
    database = cursor.fetchone()[0]
    cursor.execute(f"REVOKE CREATE ON SCHEMA public FROM PUBLIC, {role}")
    cursor.execute(f"REVOKE CREATE, TEMPORARY ON DATABASE {database} FROM PUBLIC, {role}")
    cursor.execute(f"GRANT USAGE ON SCHEMA public TO {role}")


def _grant_tables(cursor: CursorWrapper, role: str) -> None:
    _grant(cursor, "TABLE", OWNED_TABLES, "SELECT, INSERT, UPDATE, DELETE", role)
    _grant(cursor, "TABLE", OWNED_PARTITIONS, "", role)
    for name in settings.APPEND_ONLY_TABLES:
        cursor.execute(f"REVOKE UPDATE, DELETE ON TABLE {name} FROM {role}")
    for name in settings.READ_ONLY_TABLES:
        cursor.execute(f"REVOKE INSERT, UPDATE, DELETE ON TABLE {name} FROM {role}")


def _grant(cursor: CursorWrapper, kind: str, owned: str, privileges: str, role: str) -> None:
    cursor.execute(owned)
    objects = ", ".join(name for (name,) in cursor.fetchall())
    if objects:
        cursor.execute(f"REVOKE ALL ON {kind} {objects} FROM {role}")
        if privileges:
            cursor.execute(f"GRANT {privileges} ON {kind} {objects} TO {role}")

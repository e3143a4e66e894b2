"""The bench's databases, on its own cluster: each has 1,000 users with 10^9 credits, whose ids end in 1 to 1,000.

`auth` is small and is recreated for each run. `auth_large` has a journal of millions of rows and is kept for the next
run. Its rows are inserted by SQL, as the service writes them, with a hash chain that `verify_ledger` accepts. The
tables are logged as usual, since the measured spends must pay their share; only the indexes are dropped while the rows
are inserted.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from load import USERS

from schema import fingerprint

ROOT = Path(__file__).resolve().parents[3]
SMALL, LARGE, TEMPLATE = "auth", "auth_large", "auth_template"
SMALL_ROWS = 10_000
HOT_USER = 1  # whose journal is long in the large database
JOURNAL = "credits_credittransaction"

MAKE_USERS = f"""
INSERT INTO accounts_user (id, email, email_verified_at, password, is_superuser, display_name, locale, timezone, status,
    token_version, is_staff)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'bench-' || n || '@example.com', now(), '!',
    false, '', 'en', 'UTC', 'active', 0, false
FROM generate_series(1, {USERS}) AS n
"""

MAKE_BALANCES = """
INSERT INTO credits_usercredit (holder_id, balance, held, debt, blocked, open_left, at, hash)
SELECT id, 0, 0, 0, '{}', 0, created_at, '' FROM accounts_user
"""

MAKE_JOURNAL = """
INSERT INTO credits_credittransaction
    (id, holder_id, at, type, amount, balance, held, lots, service, key, digest, version, hash)
SELECT id, holder_id, at, 'use', -1, balance, held, lots, 'bench', key, digest, 2,
    credits_chain(head, credits_link(id, holder_id, at, 'use', -1, balance, held, lots, 'bench', key, digest,
        NULL, NULL, NULL, 2::smallint, NULL)) OVER (PARTITION BY holder_id ORDER BY at)
FROM (
    SELECT uuidv7() AS id, row.holder_id, row.hash AS head, row.at + n * interval '1 microsecond' AS at,
        row.balance - n AS balance, row.held, jsonb_build_array(jsonb_build_array(row.open_lot, -1)) AS lots,
        gen_random_uuid()::text AS key, substring(sha256('bench'), 1, 16) AS digest
    FROM generate_series(1, %(rows)s) AS n CROSS JOIN credits_usercredit AS row WHERE row.holder_id = ANY(%(users)s)
) AS made
ORDER BY at
"""

MOVE_BALANCES = """
UPDATE credits_usercredit AS row SET balance = last.balance, at = last.at, hash = last.hash,
    open_left = row.open_left - (row.balance - last.balance)
FROM credits_usercredit AS old CROSS JOIN LATERAL (
    SELECT * FROM credits_credittransaction WHERE holder_id = old.holder_id ORDER BY at DESC LIMIT 1) AS last
WHERE row.holder_id = old.holder_id
"""

# How to take off what makes inserting slow, and how to put it back.
CONSTRAINTS = """
SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),
    format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid))
FROM pg_constraint AS own WHERE conrelid = %(table)s::regclass AND contype IN ('p', 'u')
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND conindid = own.conindid)
"""
INDEXES = """
SELECT format('DROP INDEX %%s', indexrelid::regclass), replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ')
FROM pg_index WHERE indrelid = %(table)s::regclass
    AND indexrelid NOT IN (SELECT conindid FROM pg_constraint WHERE conrelid = %(table)s::regclass)
"""


def url(database: str = SMALL, *, role: str = "auth_app") -> str:
    return os.environ["BENCH_CLUSTER"].format(role=role, database=database)


def user_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def make_small() -> None:
    make_template()
    copy_template(SMALL)
    _add_journal(SMALL, rows=SMALL_ROWS // USERS, users=range(1, USERS + 1))


def make_large(rows: int) -> int:
    """Make a journal of at least this many rows, two fifths of them of one user; return how many. Kept while the schema
    is the same.
    """
    known = comment(LARGE).partition(" ")
    if known[0] == fingerprint() and int(known[2]) >= rows:
        return int(known[2])
    print(f"Making a journal of {rows:,} rows, once ...", flush=True)
    make_template()
    copy_template(LARGE)
    _add_journal(LARGE, rows=rows * 2 // 5, users=[HOT_USER])
    _add_journal(LARGE, rows=rows * 3 // 5 // USERS, users=range(1, USERS + 1))
    administer(f"COMMENT ON DATABASE {LARGE} IS '{fingerprint()} {rows}'")
    return rows


def time_at(depth: int) -> Any:
    """Return the time of the row this many below the newest, in the longest journal."""
    query = f"SELECT at FROM {JOURNAL} WHERE holder_id = %s ORDER BY at DESC OFFSET %s LIMIT 1"
    with connected(LARGE) as connection:
        row = connection.execute(query, [user_id(HOT_USER), depth]).fetchone()
    return row and row[0]


def make_empty(database: str) -> None:
    """Make an empty database for a rival, which creates its own tables."""
    administer(
        f"DROP DATABASE IF EXISTS {database} WITH (FORCE)", f"CREATE DATABASE {database} OWNER auth_owner"
    )


def make_template() -> None:
    """Make a migrated database with users and their credits, which the service itself has given them."""
    if comment(TEMPLATE) == fingerprint():
        return
    make_empty(TEMPLATE)
    environment = {
        **os.environ,
        "DATABASE_URL": url(TEMPLATE),
        "DATABASE_MIGRATE_URL": url(TEMPLATE, role="auth_owner"),
    }
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, env=environment, cwd=ROOT, check=True)
    with connected(TEMPLATE) as connection:
        connection.execute(MAKE_USERS)
        connection.execute(MAKE_BALANCES)
    give = [sys.executable, str(ROOT / "tests" / "proof" / "bench" / "grants.py")]
    subprocess.run(give, env=environment, cwd=ROOT, check=True)
    administer(f"COMMENT ON DATABASE {TEMPLATE} IS '{fingerprint()}'")


def copy_template(database: str) -> None:
    administer(
        f"DROP DATABASE IF EXISTS {database} WITH (FORCE)",
        f"CREATE DATABASE {database} OWNER auth_owner TEMPLATE {TEMPLATE}",
    )


def _add_journal(database: str, *, rows: int, users: Any) -> None:
    """Add this many uses of 1 credit for each of these users, a microsecond apart."""
    values = {"rows": rows, "users": [user_id(number) for number in users]}
    with connected(database) as connection, without_indexes(connection):
        connection.execute("SET work_mem = '128MB'; SET maintenance_work_mem = '256MB'")
        connection.execute(MAKE_JOURNAL, values)
    with connected(database) as connection:
        connection.execute(MOVE_BALANCES)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


@contextmanager
def without_indexes(connection: psycopg.Connection[Any], table: str = JOURNAL) -> Iterator[None]:
    found = [
        *connection.execute(CONSTRAINTS, {"table": table}),
        *connection.execute(INDEXES, {"table": table}),
    ]
    for drop, _ in found:
        connection.execute(drop)
    yield
    for _, make in found:
        connection.execute(make)


def comment(database: str) -> str:
    with connected("postgres") as connection:
        query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
        row = connection.execute(query, [database]).fetchone()
    return (row and row[0]) or ""


def administer(*statements: str) -> None:
    with connected("postgres") as connection:
        for statement in statements:
            connection.execute(statement)


def connected(database: str) -> psycopg.Connection[Any]:
    """Connect as the cluster's superuser: the bench is its only owner."""
    return psycopg.connect(url(database, role="postgres"), autocommit=True)

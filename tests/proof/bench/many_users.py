"""The bench's largest database: a million users, each with a grant, a journal, a session, mails and an audit log, and a
fifth of them with payments.

The rows are inserted by SQL, in the same form as the service's own; the hash chain is left out, which no page reads.
The database is kept for the next run while the schema is the same.
"""

from collections.abc import Sequence
from typing import Any

import databases
import many_payments
from databases import JOURNAL

from schema import fingerprint

MANY = "auth_crowd"
ROWS_EACH = 5  # journal rows of each user
SPREAD = "interval '60 days'"

USERS = """
INSERT INTO accounts_user (id, email, email_verified_at, password, is_superuser, display_name, locale, timezone, status,
    token_version, is_staff, created_at)
SELECT ('00000000-0000-4000-8001-' || lpad(to_hex(n), 12, '0'))::uuid,
    substr(md5(n::text), 1, 10) || '.' || n || '@'
        || (ARRAY['example.com', 'mail.example', 'post.example'])[1 + n %% 3],
    CASE WHEN n %% 20 > 0 THEN now() END, '!', false, 'Person ' || substr(md5((n * 7)::text), 1, 8), 'en', 'UTC',
    CASE WHEN n %% 5000 = 0 THEN 'suspended' ELSE 'active' END, 0, false,
    now() - SPREAD + n * SPREAD / %(users)s
FROM generate_series(1, %(users)s) AS n
"""
LOTS = """
INSERT INTO credits_creditlot (holder_id, kind, source, priority, issued, remaining, expired, charged_back, expires_at,
    created_at, transaction_id, captured, status, service)
SELECT id, 'grant', CASE WHEN random() < 0.01 THEN 'subscription' ELSE 'bonus' END, 20, 100, 0, 0, 0, NULL, created_at,
    gen_random_uuid(), 0, 'open', 'shop' FROM accounts_user WHERE id > %(first)s
"""
BALANCES = """
INSERT INTO credits_usercredit (holder_id, balance, held, debt, blocked, open_lot, open_left, due_at, at, hash)
SELECT holder_id, 96, 0, 0, '{}', id, 96, NULL, created_at + interval '4 hours', '' FROM credits_creditlot
WHERE holder_id > %(first)s
"""
JOURNAL_ROWS = """
INSERT INTO credits_credittransaction (id, holder_id, at, type, amount, balance, held, lots, service, key, digest, hash,
    version)
SELECT uuidv7(at - clock_timestamp()), holder_id, at, CASE WHEN n = 0 THEN 'bonus' ELSE 'use' END,
    CASE WHEN n = 0 THEN 100 ELSE -1 END, 100 - n, 0, jsonb_build_array(jsonb_build_array(id, -1)), 'shop', NULL, NULL,
    '', 2
FROM (
    SELECT holder_id, id, n, created_at + n * interval '1 hour' AS at
    FROM credits_creditlot CROSS JOIN generate_series(0, %(each)s - 1) AS n WHERE holder_id > %(first)s
) AS made
"""
SESSIONS = """
INSERT INTO accounts_session (id, user_id, current_jti, current_issued_at, current_expires_at, created_at, last_used_at,
    authenticated_at, expires_at, ended_at, end_reason, methods, ip, user_agent)
SELECT gen_random_uuid(), id, gen_random_uuid(), created_at, created_at + interval '14 days', created_at, created_at,
    created_at, created_at + interval '90 days', CASE WHEN n %% 10 > 2 THEN created_at + interval '1 day' END,
    CASE WHEN n %% 10 > 2 THEN CASE WHEN n %% 10000 = 3 THEN 'refresh_reuse' ELSE 'logout' END ELSE '' END, '{pwd}',
    '198.51.100.7', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
FROM (SELECT id, created_at, row_number() OVER () AS n FROM accounts_user WHERE id > %(first)s) AS owner
"""
AUDIT = """
INSERT INTO accounts_auditevent (user_id, type, created_at, actor, user_agent, ip, detail)
SELECT id, type, at, CASE WHEN type = 'suspended' THEN 'staff ' || id ELSE '' END, '', '198.51.100.7', '{}' FROM (
    SELECT id, created_at + n * interval '1 day' AS at,
        (ARRAY['registered', 'signed_in', 'sign_in_failed'])[1 + n] AS type
    FROM accounts_user CROSS JOIN generate_series(0, 2) AS n WHERE id > %(first)s
    UNION ALL
    SELECT id, created_at, 'suspended' FROM accounts_user WHERE status = 'suspended'
) AS happened ORDER BY at
"""
MAILS = """
INSERT INTO accounts_outboxmessage (id, kind, user_id, requested_email, created_at, due_at, attempts, sent_at, dead_at,
    last_error)
SELECT gen_random_uuid(), CASE WHEN n %% 1000 = 0 THEN 'password_changed' ELSE 'verify_email' END, id, '', created_at,
    created_at, 1, CASE WHEN n %% 2000 > 1 THEN created_at END, CASE WHEN n %% 2000 = 1 THEN created_at END, ''
FROM (SELECT id, created_at, row_number() OVER () AS n FROM accounts_user WHERE id > %(first)s) AS owner
"""
TOKENS = """
INSERT INTO accounts_mailtoken (id, user_id, purpose, email, created_at, expires_at, code_expires_at, code_tries)
SELECT gen_random_uuid(), id, 'verify_email', coalesce(email, ''), created_at, created_at, created_at, 0
FROM accounts_user WHERE id > %(first)s
"""
TABLES: dict[str, Sequence[str]] = {
    "accounts_user": (USERS,),
    "credits_creditlot": (LOTS,),
    "credits_usercredit": (BALANCES,),
    JOURNAL: (JOURNAL_ROWS,),
    "accounts_session": (SESSIONS,),
    "accounts_auditevent": (AUDIT,),
    "accounts_outboxmessage": (MAILS,),
    "accounts_mailtoken": (TOKENS,),
    **many_payments.TABLES,
}


def make(rows: int) -> int:
    """Make it with this many transactions, and a fifth as many users; return how many transactions it has."""
    known = databases.comment(MANY).partition(" ")
    if known[0] == fingerprint() and int(known[2]) >= rows:
        return int(known[2])
    users = rows // ROWS_EACH
    print(f"Making {users:,} users with {rows:,} transactions, once ...", flush=True)
    databases.make_template()
    databases.copy_template(MANY)
    values = {"users": users, "each": ROWS_EACH, "first": "00000000-0000-4000-8001-000000000000"}
    with databases.connected(MANY) as connection:
        connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        connection.execute("SET work_mem = '128MB'; SET maintenance_work_mem = '512MB'")
        for table, statements in TABLES.items():
            _fill(connection, table, statements, values)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    databases.administer(f"COMMENT ON DATABASE {MANY} IS '{fingerprint()} {rows}'")
    return rows


def _fill(connection: Any, table: str, statements: Sequence[str], values: dict[str, Any]) -> None:
    with databases.without_indexes(connection, table):
        for statement in statements:
            connection.execute(statement.replace("SPREAD", SPREAD), values)


def url() -> str:
    return databases.url(MANY)

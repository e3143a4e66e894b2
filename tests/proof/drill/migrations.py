"""F17: the migrations since the first release of the tables, on tables of a million rows, under load.

All but one run beside the previous version, which is represented only by its statements, below. That one needs a stop:
it renames a column. Afterwards today's code serves.
"""

import os
import random
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import psycopg

from calls import Answer
from instance import Instance, Person
from mail_sink import MailSink
from people import Watch
from postgres import OWNER, SERVING, SUPERUSER, Postgres
from reckoning import Verdict
from restarts import Listener, ToListener
from traffic import Operation, use

ROWS = int(os.environ.get("DRILL_ROWS", "1000000"))
LONGEST = 1.0  # seconds that a request may take
COPY = "migrated"
FROM = {"credits": "0002", "accounts": "0002"}  # what the tables below began as; the rest is not there yet
AS_THEY_ARE = ("account", "admin", "sessions")  # apps of others, whose tables the version before had
# What the version before may serve beside.
BESIDE = (("djstripe",), ("accounts",), ("billing",), ("credits", "0011"))
LONGEST_STOP = 30.0  # seconds of the rest, start of the command included
SPENDERS = 10
LISTED = 4  # of the migrations of one command, by how long they took

# Ids in the order of their rows: at random, each row of each index would be another page read and written.
ID = "lpad(to_hex(n), 32, '0')::uuid"
NUMBERS = "FROM generate_series(1, %(rows)s) AS n"
FILL = {
    "accounts_user": f"""
        INSERT INTO accounts_user (password, is_superuser, id, email, display_name, locale, timezone, status,
            token_version, is_staff, email_verified_at)
        SELECT '!', false, {ID}, 'u' || n || '@drill.example', '', 'en', 'UTC', 'active', 0, false,
            now() {NUMBERS}""",
    "accounts_session": f"""
        INSERT INTO accounts_session (id, current_jti, current_issued_at, current_expires_at, expires_at, end_reason,
            methods, user_agent, user_id)
        SELECT {ID}, {ID}, now(), now() + '1 day', now() + '30 days', '', '{{pwd}}',
            'drill', {ID} {NUMBERS}""",
    "accounts_auditevent": f"""
        INSERT INTO accounts_auditevent (type, actor, user_agent, detail, user_id)
        SELECT 'login', 'user', 'drill', '{{}}', {ID} {NUMBERS}""",
    "accounts_mailtoken": f"""
        INSERT INTO accounts_mailtoken (id, purpose, email, expires_at, code_expires_at, code_tries, used_at, user_id)
        SELECT {ID}, 'verify', 'u' || n || '@drill.example', now(), now(), 0, now(),
            {ID} {NUMBERS}""",
    "accounts_outboxmessage": f"""
        INSERT INTO accounts_outboxmessage (id, kind, requested_email, attempts, sent_at, last_error, user_id)
        SELECT {ID}, 'verify', '', 1, now(), '', {ID} {NUMBERS}""",
    "credits_credittransaction": f"""
        INSERT INTO credits_credittransaction (id, at, type, amount, balance, held, lots, service, hash, user_id)
        SELECT {ID}, now() - n * interval '1 second', 'use', -1, 1, 0, '[]', 'drill', '\\x00',
            {ID} {NUMBERS}""",
    "credits_creditlot": f"""
        INSERT INTO credits_creditlot (kind, source, priority, issued, remaining, expired, charged_back, created_at,
            captured, status, service, user_id, transaction_id)
        SELECT 'grant', 'purchase', 1, 1, 1, 0, 0, now(), 0, '', 'drill', {ID}, {ID}
            {NUMBERS}""",
    "credits_usercredit": f"""
        INSERT INTO credits_usercredit (user_id, balance, held, debt, blocked, open_left, at, hash)
        SELECT {ID}, 1, 0, 0, '{{}}', 0, now(), '\\x00' FROM generate_series(1, least(%(rows)s, {SPENDERS})) AS n""",
}  # fmt: skip
# What requests of the version before write there.
WRITES = {
    "accounts_user": "UPDATE accounts_user SET last_login = now() WHERE id = %s::uuid",
    "accounts_session": "UPDATE accounts_session SET last_used_at = now() WHERE id = %s::uuid",
    "accounts_auditevent": """
        INSERT INTO accounts_auditevent (type, actor, user_agent, detail, user_id)
        VALUES ('login', 'user', 'drill', '{}', %s::uuid)""",
    "accounts_mailtoken": "UPDATE accounts_mailtoken SET code_tries = 1 WHERE id = %s::uuid",
    "accounts_outboxmessage": "UPDATE accounts_outboxmessage SET attempts = 2 WHERE id = %s::uuid",
}  # fmt: skip
# The writes of a spend: the balance row, then a row of the journal with a key.
SPEND = """
    WITH account AS (
        UPDATE credits_usercredit SET at = greatest(clock_timestamp(), at + interval '1 microsecond')
        WHERE user_id = %s::uuid RETURNING *)
    INSERT INTO credits_credittransaction
        (id, user_id, at, type, amount, balance, held, lots, service, key, digest, hash)
    SELECT gen_random_uuid(), user_id, at, 'use', 0, balance, held, '[]', 'drill', gen_random_uuid()::text, '\\x00',
        '\\x00' FROM account"""


def a_million_rows(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Run `migrate` beside 55 writes a second, on a separate database: none takes over a second."""
    environment = {name: Postgres(instance.directory).url(role, COPY) for name, role in _roles().items()}
    with instance.database() as superuser:
        superuser.execute(f"CREATE DATABASE {COPY} OWNER {OWNER}")
    try:
        for target in (*FROM.items(), *((label,) for label in AS_THEY_ARE)):
            _must(instance, "migrate", *target, "-v0", **environment)
        begun = time.monotonic()
        _fill(instance)
        verdict.notes.append(
            f"{ROWS} rows in each of {len(FILL)} tables, in {time.monotonic() - begun:.0f} s"
        )
        key = _must(
            instance, "service_key", "create", "drill", "--scopes", "credits:use", "--json", **environment
        )
        _migrate_under_load(instance, key.partition('"key": "')[2].partition('"')[0], environment, verdict)
    finally:
        with instance.database() as superuser:
            superuser.execute(f"DROP DATABASE {COPY} WITH (FORCE)")


def _roles() -> dict[str, str]:
    return {"DATABASE_URL": SERVING, "DATABASE_MIGRATE_URL": OWNER}


def _must(instance: Instance, *arguments: str, **environment: str) -> str:
    status, said = instance.manage(*arguments, **environment)
    if status:
        raise SystemExit(f"manage.py {' '.join(arguments)} failed:\n{said[-2000:]}")
    return said


@contextmanager
def _database(instance: Instance) -> Iterator[psycopg.Connection[Any]]:
    url = Postgres(instance.directory).url(SUPERUSER, COPY)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def _fill(instance: Instance) -> None:
    """Fill two tables at a time, one for each core."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(partial(_fill_table, instance), FILL))


def _fill_table(instance: Instance, table: str) -> None:
    with _database(instance) as connection:
        connection.execute("SET session_replication_role = replica")  # no trigger, no foreign key looked up
        connection.execute("SET synchronous_commit = off")
        connection.execute(FILL[table], {"rows": ROWS})
        connection.execute(f"ANALYZE {table}")


def _migrate_under_load(instance: Instance, key: str, environment: dict[str, str], verdict: Verdict) -> None:
    watch = Watch()
    with ExitStack() as stack:
        for table, statement in WRITES.items():
            connection = stack.enter_context(_database(instance))
            watch.every(0.2, table, partial(_write, connection, statement, ROWS))
        for number in range(6):
            connection = stack.enter_context(_database(instance))
            watch.every(0.2, f"spend {number}", partial(_write, connection, SPEND, SPENDERS))
        stack.callback(watch.stop)
        time.sleep(3)
        applied = [step for target in BESIDE for step in _migrate(instance, environment, verdict, *target)]
        time.sleep(1)
    stopped = time.monotonic()
    applied += _migrate(instance, environment, verdict)
    took = time.monotonic() - stopped
    verdict.notes.append(f"the stop took {took:.1f} s")
    verdict.require(took <= LONGEST_STOP, f"the stop took {took:.1f} s")
    watch.answers["POST /v1/credits/use"] = _spend_over_http(instance, key)
    _judge(watch, applied, verdict)


def _spend_over_http(instance: Instance, key: str) -> list[Answer]:
    """Return the answers of today's code on the migrated schema, which is today's."""
    listener = Listener(instance, database=COPY)
    traffic = ToListener(instance, listener, key=key)
    people = [Person(_id(number), "", "") for number in range(1, SPENDERS + 1)]

    def spend() -> Operation:
        return use(random.choice(people).id, 1_000_000)  # what nobody has: judged, and refused

    with ExitStack() as stack:
        stack.callback(listener.end)
        instance.await_(listener.live, "the listener did not start", within=60)
        with traffic.running(spend, clients=6, per_second=30):
            time.sleep(3)
    return [answer for operation in traffic.operations for answer in operation.answers]


def _id(number: int) -> str:
    """Return the id with this number, in the same form as ID."""
    return str(uuid.UUID(int=number))


def _write(connection: psycopg.Connection[Any], statement: str, among: int) -> Answer:
    started = time.monotonic()
    connection.execute(statement, [_id(random.randint(1, among))])
    return Answer(200, started, time.monotonic())


Step = tuple[str, float, float]  # a migration, from and until


def _migrate(instance: Instance, environment: dict[str, str], verdict: Verdict, *target: str) -> list[Step]:
    """Apply all pending migrations, or those up to a target, and return when each ran."""
    steps, since = [], time.monotonic()
    said = []
    with instance.command("migrate", *target, "--no-input", PYTHONUNBUFFERED="1", **environment) as command:
        for line in command.stdout or ():
            said.append(line)
            if "Applying" in line:
                steps.append((line.split()[1].rstrip("."), since, time.monotonic()))
            since = time.monotonic()
    verdict.require(command.returncode == 0, f"migrate failed: {''.join(said)[-500:]}")
    if not steps:
        return steps
    slowest = sorted(steps, key=lambda step: step[1] - step[2])[:LISTED]
    took = ", ".join(f"{name} {until - began:.1f} s" for name, began, until in slowest)
    verdict.notes.append(f"{len(steps)} migrations, the longest: {took}")
    return steps


def _judge(watch: Watch, applied: list[Step], verdict: Verdict) -> None:
    for kind, answers in watch.answers.items():
        slowest = max(answers, key=lambda answer: answer.seconds)
        beside = [
            name for name, since, until in applied if since < slowest.finished and slowest.started < until
        ]
        verdict.notes.append(
            f"{kind}: {len(answers)} calls, the slowest took {slowest.seconds:.2f} s {beside[:3]}"
        )
        verdict.require(
            slowest.seconds <= LONGEST, f"{kind} took {slowest.seconds:.1f} s beside {', '.join(beside[:5])}"
        )
        verdict.sent += len(answers)
        verdict.acked += sum(answer.done for answer in answers)
        verdict.refused += sum(answer.refused for answer in answers)
        strange = [
            f"{a.status} {a.code} {a.error}"
            for a in answers
            if not a.done and a.code != "insufficient_credits"
        ]
        verdict.unknown += len(strange)
        verdict.require(not strange, f"{kind}: {len(strange)} x {strange[:1]}")

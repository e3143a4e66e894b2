"""F29: the ledger is cut into partitions under load; the command is killed again and again, and continues."""

import json
import os
import random
import signal
import time
from itertools import count

from calls import Answer
from instance import Instance, Person
from mail_sink import MailSink
from people import Watch
from reckoning import Verdict, reckon
from traffic import Operation, Traffic, add, hold, use

PARTS = 8
CLIENTS, PER_SECOND = 8, 60
ROWS = int(os.environ.get("DRILL_ROWS", "200000"))  # of the journal, at the beginning
KILLS = 8
LOCKED = 1.0  # seconds for which a table may be locked
LONGEST = 3.0  # that a call may take: what waits for longer is refused (lock_timeout)
APPLICATION = ("web", "internal", "admin", "worker", "beat")

# Uses of 1 credit as the service writes them, with their chain.
FILL = """
WITH made AS (
    INSERT INTO credits_credittransaction
        (id, holder_id, at, type, amount, balance, held, lots, service, version, hash)
    SELECT id, holder_id, at, 'use', -1, balance, held, lots, 'drill', 2, credits_chain(head, credits_link(
        id, holder_id, at, 'use', -1, balance, held, lots, 'drill', NULL, NULL, NULL, NULL, NULL, 2::smallint, NULL))
        OVER (PARTITION BY holder_id ORDER BY at)
    FROM (
        SELECT uuidv7() AS id, row.holder_id, row.hash AS head, row.at + n * interval '1 microsecond' AS at,
            row.balance - n AS balance, row.held, jsonb_build_array(jsonb_build_array(row.open_lot, -1)) AS lots
        FROM generate_series(1, %(rows)s) AS n CROSS JOIN credits_usercredit AS row
        WHERE row.holder_id = ANY(%(users)s::uuid[])
    ) AS use ORDER BY at RETURNING holder_id, at, balance, hash
), last AS (SELECT DISTINCT ON (holder_id) * FROM made ORDER BY holder_id, at DESC)
UPDATE credits_usercredit AS row SET balance = last.balance, at = last.at, hash = last.hash,
    open_left = row.open_left - %(rows)s
FROM last WHERE row.holder_id = last.holder_id
"""
CUT = """
SELECT count(*) FROM pg_inherits
WHERE inhparent IN ('credits_credittransaction'::regclass, 'credits_creditlot'::regclass)
"""
LEFT = "SELECT relname::text FROM pg_class WHERE relname ~ '^credits_.*_(new|before|changes)$|^credits_partitioning'"


def killed_and_resumed(running: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Spend, grant and hold while the command runs; kill it (SIGKILL) several times, then let it finish."""
    people, traffic, watch = running.people(20), Traffic(running), Watch()
    old = running.people(20)
    traffic.give(people, 10 * ROWS)
    Traffic(running).give(old, 10 * ROWS)  # not reckoned: the journal of these is made here
    _fill(running, old)
    service = traffic.caller()
    watch.every(0.1, "balance", lambda: service.get(f"/v1/credits/balance?user_id={people[0].id}"))
    before = {name: (running.process(name), running.workers(name)) for name in APPLICATION}
    with traffic.running(lambda: _something(people), clients=CLIENTS, per_second=PER_SECOND):
        time.sleep(3)
        began = time.monotonic()
        _say_what_it_takes(running, verdict)
        killed, said = _until_done(running)
        time.sleep(3)
    watch.stop()
    after = {name: (running.process(name), running.workers(name)) for name in APPLICATION}
    verdict.require(before == after, "processes of the application were replaced")
    verdict.require(killed >= 3, f"the command was killed {killed} times only")
    verdict.require(running.rows(CUT) == [(2 * PARTS,)], "the tables are not cut")
    verdict.require(not running.rows(LEFT), f"{running.rows(LEFT)} was left behind")
    _judge(traffic, watch, verdict, began)
    tables = json.loads(said[said.index("{") :])["results"]
    locked = {one["table"]: one["locked"] for one in tables}
    verdict.require(max(locked.values(), default=0.0) <= LOCKED, f"tables were locked for {locked}")
    shown = ", ".join(f"{name} for {seconds:.2f} s" for name, seconds in locked.items())
    verdict.notes.append(f"killed {killed} times in the middle; then locked {shown}")
    reckon(verdict, traffic)


def _fill(running: Instance, old: list[Person]) -> None:
    with running.database() as connection:
        values = {"rows": ROWS // len(old), "users": [one.id for one in old]}
        connection.execute("SET statement_timeout = 0")
        connection.execute(FILL, values)
        connection.execute("ANALYZE credits_credittransaction, credits_creditlot, credits_usercredit")


def _something(people: list[Person]) -> Operation:
    return random.choice((use, use, use, add, hold))(random.choice(people).id, random.randrange(1, 4))


def _say_what_it_takes(running: Instance, verdict: Verdict) -> None:
    status, said = running.manage("partition_ledger", str(PARTS), "--dry-run", "--json")
    verdict.require(status == 0, f"--dry-run failed: {said[-500:]}")
    needs = json.loads(said[said.index("{") :])["results"]
    verdict.notes.append(
        ", ".join(f"{one['table']}: {one['rows']} rows, about {one['seconds']:.0f} s" for one in needs)
    )


def _until_done(running: Instance) -> tuple[int, str]:
    """Start it, kill it a little later each time, then let it finish. Return the number of kills and its last
    output.
    """
    killed = 0
    for number in count(1):
        with running.command("partition_ledger", str(PARTS), "--json") as command:
            if number <= KILLS:
                time.sleep(2.5 + random.random() * number)
                if command.poll() is None:
                    command.send_signal(signal.SIGKILL)
                    killed += 1
            said = command.stdout.read() if command.stdout else ""
        if command.returncode == 0:
            return killed, said
        if number > KILLS + 3:
            raise SystemExit(f"partition_ledger failed:\n{said[-2000:]}")
    raise AssertionError


def _judge(traffic: Traffic, watch: Watch, verdict: Verdict, began: float) -> None:
    answers: list[Answer] = [answer for one in traffic.operations for answer in one.answers]
    reads = watch.answers["balance"]
    verdict.count(reads)
    wrong = sum(not one.done for one in reads) + sum(not (a.done or a.refused) for a in answers)
    verdict.require(not wrong, f"{wrong} calls failed")
    before, beside = (
        max(a.seconds for a in [*answers, *reads] if (a.started >= began) is later) for later in (False, True)
    )
    verdict.require(beside <= LONGEST, f"a call took {beside:.2f} s")
    verdict.notes.append(
        f"{len(answers)} spends, grants and holds, {len(reads)} balances; the slowest took {before:.2f} s before it "
        f"began, {beside:.2f} s beside it"
    )

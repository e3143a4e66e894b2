"""F25: a pooler in transaction mode between the service and PostgreSQL; each is killed under load and restarted."""

import random
import time
from functools import partial

import contention
from calls import Answer, Caller
from instance import Instance, Person, instance
from mail_sink import MailSink
from people import Watch, bearer, caller, login
from pgbouncer import missing, prepares, version
from pooler import BehindPooler, Pooler, owner_url, server_and_pooler
from reckoning import Verdict, reckon
from traffic import Operation, Traffic, add, at_once, use
from two_servers import Server

CLIENTS, PER_SECOND = 8, 60
AWAY = 5.0  # seconds
BACK_WITHIN, ANSWERED_WITHIN = 5.0, 6.0
DUE = 200  # users whose credits have expired: their balance is settled by the call that asks for it
APPLICATION = ("web", "internal", "admin", "worker", "beat")
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'auth_app' AND datname = 'auth'"


def killed_and_started(_instance: Instance, sink: MailSink, verdict: Verdict) -> None:
    """Run check --deploy, read 200 balances with something due, and run F10 and F11 through the pooler; then, under
    keyed spends, kill (-9) the pooler, then PostgreSQL behind it while the pooler still accepts connections.
    """
    if why := missing():
        verdict.notes.append(f"skipped: {why}")
        return
    with (
        server_and_pooler() as (server, pooler),
        instance(
            BehindPooler,
            mail_port=sink.port,
            DATABASE_URL=pooler.url,
            DATABASE_MIGRATE_URL=owner_url(server),
            DATABASE_POOL="transaction",
            DATABASE_PREPARED_STATEMENTS=str(prepares()).lower(),
        ) as running,
    ):
        _check(running, verdict)
        _balances(running, verdict)
        contention.one_balance(running, sink, verdict)
        contention.everything_at_once(running, sink, verdict)
        _lose(running, server, pooler, verdict, what="PgBouncer")
        _lose(running, server, server, verdict, what="PostgreSQL")


def _check(running: Instance, verdict: Verdict) -> None:
    """Check check --deploy: the role has the time-outs, an old PgBouncer is named, and before 1.22 prepared statements
    are refused.
    """
    _, said = running.manage("check", "--deploy")
    found = {word for word in ("W002", "W003", "E017", "I001", "I002") if f"accounts.{word}" in said}
    expected = {"W003"} if version() < (1, 26, 1) else set()
    verdict.require(found == expected, f"check --deploy said {sorted(found)}")
    _, said = running.manage("check", "--deploy", DATABASE_PREPARED_STATEMENTS="true")
    verdict.require(("accounts.E017" in said) == (not prepares()), "check --deploy: prepared statements")
    verdict.notes.append(f"PgBouncer {'.'.join(map(str, version()))}; check --deploy says {sorted(found)}")


def _balances(running: Instance, verdict: Verdict) -> None:
    people, traffic = running.people(DUE), Traffic(running)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 15))
    given = [
        Operation(one.id, "/v1/credits/add", {"user_id": one.id, "amount": 5, "expires_at": soon})
        for one in people
    ]
    traffic.at_once(given, clients=8)
    verdict.require(all(one.done for one in given), f"credits that expire soon: {traffic.statuses()}")
    time.sleep(16)
    asked = [partial(_balance, user=one) for one in people]
    answers = at_once(asked, traffic.caller, clients=8)
    verdict.count(answers)
    right = [one for one in answers if one.status == 200 and one.body["balance"] == 0]
    verdict.require(len(right) == DUE, f"{len(right)} of {DUE} balances with something due were right")
    verdict.notes.append(f"{len(right)} of {DUE} balances of users with something due: 200")


def _balance(service: Caller, *, user: Person) -> Answer:
    return service.get(f"/v1/credits/balance?user_id={user.id}")


def _lose(running: Instance, server: Server, lost: Pooler | Server, verdict: Verdict, *, what: str) -> None:
    people, traffic, watch = running.people(20), Traffic(running), Watch()
    traffic.give(people, 10_000)
    device, session = caller(running), bearer(login(running, people[0]))
    watch.every(0.3, "status", lambda: device.get("/v1/auth/me/status", session))
    watch.every(0.5, "livez", lambda: caller(running).get("/livez"))
    before = {name: (running.process(name), running.workers(name)) for name in APPLICATION}

    def spend_or_add() -> Operation:
        return random.choice((use, use, add))(random.choice(people).id, random.randrange(1, 4))

    with traffic.running(spend_or_add, clients=CLIENTS, per_second=PER_SECOND):
        time.sleep(5)
        with server.connect() as connection:
            sessions = connection.execute(SESSIONS).fetchall()[0][0]
        lost.kill()
        away = time.monotonic()
        time.sleep(AWAY)
        for name in ("web", "internal"):
            verdict.require(
                not running.answers(name, "/readyz"), f"{name} called itself ready without {what}"
            )
            verdict.require(running.answers(name, "/livez"), f"{name} was not alive")
        began = time.monotonic()
        lost.start()
        back = traffic.recovery(began, within=4 * BACK_WITHIN)
        time.sleep(5)
    watch.stop()
    after = {name: (running.process(name), running.workers(name)) for name in APPLICATION}
    verdict.require(before == after, "processes of the application were replaced")
    verdict.recovered(back, within=BACK_WITHIN, what=f"the first success after {what} was started")
    met = [
        a
        for one in traffic.operations
        for a in one.answers
        if away <= a.started < began and a.finished < began
    ]
    met += [a for a in watch.within("status", (away, began)) if a.finished < began]
    statuses = sorted({str(answer.status or answer.error) for answer in met})
    slowest = max((answer.seconds for answer in met), default=0.0)
    verdict.require(statuses == ["503"], f"calls without {what} were answered {statuses}")
    verdict.require(slowest <= ANSWERED_WITHIN, f"a call without {what} waited {slowest:.1f} s")
    failed, _ = watch.failed("livez", (away, began))
    verdict.require(not failed, "livez failed")
    verdict.notes.append(
        f"{sessions} sessions at PostgreSQL under load; without {what} {len(met)} calls, {', '.join(statuses)}, the "
        f"slowest {slowest:.2f} s; first success {back:.2f} s after its start"
    )
    reckon(verdict, traffic)

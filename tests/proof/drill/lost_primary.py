"""F22: the machine of the primary PostgreSQL is lost, and its synchronous standby takes over."""

import os
import random
import signal
import socket
import time
from functools import partial

from instance import Instance, Person, instance
from mail_sink import MailSink
from people import Span, Watch, await_mails, bearer, caller, enrol, login, register_many
from postgres import OWNER, SERVING
from reckoning import Verdict, reckon
from traffic import Operation, Traffic, add, use
from two_servers import OnTwoServers, Pair, pair

CLIENTS, PER_SECOND = 8, 60
UNNOTICED = 5.0  # seconds from the loss to the promotion
BACK_WITHIN = 30.0
ANSWERED_WITHIN = 5.0  # a 503 while there is no primary: two addresses are tried, two seconds each at most
APPLICATION = ("web", "internal", "admin", "worker", "beat")


def standby_promoted(_instance: Instance, sink: MailSink, verdict: Verdict) -> None:
    """Kill (-9) the whole primary under keyed spends, then run pg_promote() on its standby; nothing else is touched."""
    with (
        pair() as servers,
        instance(
            OnTwoServers,
            mail_port=sink.port,
            DATABASE_URL=servers.url(SERVING),
            DATABASE_MIGRATE_URL=servers.url(OWNER),
        ) as running,
    ):
        _lose_primary(running, servers, sink, verdict)


def _lose_primary(running: Instance, servers: Pair, sink: MailSink, verdict: Verdict) -> None:
    people, traffic, watch = running.people(20), Traffic(running), Watch()
    traffic.give(people, 10_000)
    registered: list[str] = []
    _watch(watch, running, people, registered)
    before = {name: (running.process(name), running.workers(name)) for name in APPLICATION}

    def spend_or_add() -> Operation:
        return random.choice((use, use, add))(random.choice(people).id, random.randrange(1, 4))

    with traffic.running(spend_or_add, clients=CLIENTS, per_second=PER_SECOND):
        time.sleep(5)
        verdict.require(servers.is_synchronous(), "the standby was not synchronous")
        servers.primary.kill()
        lost = time.monotonic()
        time.sleep(UNNOTICED)
        _require_honesty(running, verdict)
        asked = servers.promote()
        accepting = time.monotonic()
        back = traffic.recovery(asked, within=2 * BACK_WITHIN)
        ready = running.await_(
            partial(_all_ready, running), "not all listeners are ready", within=BACK_WITHIN
        )
        time.sleep(5)
        late = register_many(running, 3)
        mails = await_mails(sink, [*registered, *late], within=90)
        after = {name: (running.process(name), running.workers(name)) for name in APPLICATION}
        silent = _old_address_is_silent(running, servers)
    watch.stop()
    verdict.recovered(back, within=BACK_WITHIN, what="the first success after the promotion")
    verdict.require(mails <= 60, f"the mails of the time took {mails:.1f} s")
    verdict.notes.append(
        f"promotion took {accepting - asked:.2f} s, first success {back:.2f} s and all ready {ready:.2f} s after it "
        f"was asked for; {len(registered) + len(late)} mails out, the last {mails:.1f} s later"
    )
    verdict.require(before == after, "processes of the application were replaced")
    _judge_gap(traffic, watch, (lost, asked), verdict)
    _judge_silence(traffic, silent, verdict)
    reckon(verdict, traffic)


def _watch(watch: Watch, running: Instance, people: list[Person], registered: list[str]) -> None:
    device, services = caller(running), Traffic(running).caller()
    session = bearer(login(running, people[0]))

    watch.every(
        0.2, "balance", lambda: services.get(f"/v1/credits/balance?user_id={random.choice(people).id}")
    )
    watch.every(0.3, "status", lambda: device.get("/v1/auth/me/status", session))
    watch.every(1.0, "register", lambda: enrol(running, registered))
    watch.every(0.5, "livez", lambda: caller(running).get("/livez"))


def _all_ready(running: Instance) -> bool:
    return all(running.answers(name, "/readyz") for name in ("web", "internal", "admin"))


def _require_honesty(running: Instance, verdict: Verdict) -> None:
    """Check that no listener serves from a read-only standby: not ready, but alive."""
    for name in ("web", "internal"):
        verdict.require(not running.answers(name, "/readyz"), f"{name} called itself ready without a primary")
        verdict.require(running.answers(name, "/livez"), f"{name} was not alive")


def _old_address_is_silent(running: Instance, servers: Pair) -> Span:
    """Let the lost machine accept connections silently, while the internal listener's workers must reconnect."""
    with socket.create_server(("127.0.0.1", servers.primary.port), backlog=200):
        for worker in running.workers("internal"):
            os.kill(worker, signal.SIGKILL)
        time.sleep(2)
        begun = time.monotonic()
        time.sleep(8)
        return begun, time.monotonic()


def _judge_silence(traffic: Traffic, silent: Span, verdict: Verdict) -> None:
    """Check that each thread waited only once for the first address, and was served by the second."""
    met = [a for one in traffic.operations for a in one.answers if silent[0] <= a.started < silent[1]]
    slowest = max((answer.seconds for answer in met), default=0.0)
    failed = sum(not answer.done for answer in met)
    verdict.notes.append(
        f"beside a silent old primary: {failed} of {len(met)} calls failed, the slowest took {slowest:.2f} s"
    )
    verdict.require(bool(met) and not failed, "a silent old primary makes calls fail")
    verdict.require(slowest <= ANSWERED_WITHIN, f"a call waited {slowest:.1f} s for the old primary")


def _judge_gap(traffic: Traffic, watch: Watch, gap: tuple[float, float], verdict: Verdict) -> None:
    """Check the time from the loss to the promotion: a prompt 503 that says when to retry, and no other effects."""
    watch.answers["use and add"] = [answer for one in traffic.operations for answer in one.answers]
    for kind, answers in watch.answers.items():
        if kind != "use and add":  # which are reckoned
            verdict.count(answers)
        met = [answer for answer in watch.within(kind, gap) if answer.finished < gap[1]]
        statuses = sorted({str(answer.status or answer.error) for answer in met})
        slowest = max((answer.seconds for answer in met), default=0.0)
        verdict.notes.append(
            f"{kind} without a primary: {len(met)} calls, {', '.join(statuses)}, the slowest {slowest:.2f} s"
        )
        if kind == "livez":
            verdict.require(all(answer.done for answer in met), "livez failed")
        else:
            verdict.require(statuses == ["503"], f"{kind} was answered {statuses}")
        verdict.require(slowest <= ANSWERED_WITHIN, f"{kind} waited {slowest:.1f} s for its answer")

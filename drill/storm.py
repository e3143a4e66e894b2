"""F19: everything at once, for a while, with faults by chance. The seed that is printed repeats their order."""

import os
import random
import secrets
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from calls import Answer, Caller
from instance import Instance, Person
from lost_valkey import flush
from mail_sink import MailSink
from people import Span, Watch, await_mails, bearer, caller, login, register
from reckoning import Verdict, reckon
from shop import PACK, Shop
from traffic import Operation, Traffic, add, hold, use

MINUTES = float(os.environ.get("DRILL_MINUTES", "2"))
SEED = int(os.environ.get("DRILL_SEED", "0")) or secrets.randbelow(10**6) + 1
PAUSE = 10.0  # seconds from one fault to the next
EXPLAINED = 10.0  # seconds after a fault in which a 503 needs no other explanation
GROWTH = 1.1
COUNTED = ("web", "internal", "worker", "beat")

Fault = Callable[[], object]


def random_faults(instance: Instance, sink: MailSink, verdict: Verdict) -> None:
    """Spends, holds, sign-ins, registrations, orders and reads; a fault each ten seconds; then all is reckoned."""
    chance, shop, watch = random.Random(SEED), Shop(instance), Watch()
    people, traffic = instance.people(12), Traffic(instance)
    traffic.give(people, 100_000)
    registered: list[str] = []
    _watch(watch, instance, shop, people, registered)
    faults = _faults(instance, sink, shop)

    def anything() -> Operation:
        return random.choice((use, use, add, hold))(random.choice(people).id)

    spans: list[Span] = []
    with traffic.running(anything, clients=6, per_second=25):
        time.sleep(20)  # caches and pools fill
        before = _memory(instance)
        until, done = time.monotonic() + 60 * MINUTES, []
        while time.monotonic() < until:
            done.append(chance.choice(sorted(faults)))
            spans.append(_break(instance, faults[done[-1]]))
            time.sleep(PAUSE)
        time.sleep(EXPLAINED)
        after = _memory(instance)
    watch.stop()
    verdict.recovered(await_mails(sink, registered, within=90), within=60, what="sending the last mail")
    verdict.notes.append(f"seed {SEED}: {', '.join(done)}")
    _judge_memory(before, after, verdict)
    _judge_answers([a for o in traffic.operations for a in o.answers], "the ledger", spans, verdict)
    for kind, answers in watch.answers.items():
        verdict.count(answers)
        _judge_answers(answers, kind, spans, verdict)
    reckon(verdict, traffic)


def _watch(watch: Watch, instance: Instance, shop: Shop, people: list[Person], registered: list[str]) -> None:
    services, seller, device = shop.traffic.caller(), shop.traffic.caller(), caller(instance)
    session = bearer(login(instance, people[0]))

    def enrol() -> Answer:
        email, answer = register(instance)
        if answer.done:
            registered.append(email)
        return answer

    watch.every(
        0.2, "balance", lambda: services.get(f"/v1/credits/balance?user_id={random.choice(people).id}")
    )
    watch.every(0.5, "status", lambda: device.get("/v1/auth/me/status", session))
    watch.every(2.0, "login", lambda: login(instance, random.choice(people)))
    watch.every(4.0, "register", enrol)
    watch.every(3.0, "order", partial(_order, shop, people[1], seller))


def _order(shop: Shop, person: Person, seller: Caller) -> Answer:
    return shop.order(person, PACK, key=secrets.token_hex(16), caller=seller)


# ---------------------------------------------------------------- faults


def _faults(instance: Instance, sink: MailSink, shop: Shop) -> dict[str, Fault]:
    """Each returns when it is over, or when what it killed is to come back by itself."""

    def kill(name: str) -> None:
        os.kill(instance.process(name), signal.SIGKILL)

    def kill_a_child(name: str) -> None:
        os.kill(random.choice(instance.workers(name)), signal.SIGKILL)

    def stop_valkey() -> None:
        pid = instance.process("valkey")
        os.kill(pid, signal.SIGSTOP)
        time.sleep(5)
        os.kill(pid, signal.SIGCONT)

    def break_mail() -> None:
        sink.behave(recipient=b"451 later")
        time.sleep(5)
        sink.behave()

    return {
        "web killed": partial(kill, "web"),
        "a web worker killed": partial(kill_a_child, "web"),
        "internal killed": partial(kill, "internal"),
        "an internal worker killed": partial(kill_a_child, "internal"),
        "worker killed": partial(kill, "worker"),
        "beat killed": partial(kill, "beat"),
        "PostgreSQL killed": partial(kill, "postgres"),
        "connections cut": lambda: instance.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename <> ''"
        ),
        "Valkey silent": stop_valkey,
        "Valkey emptied": lambda: flush(instance),
        "Stripe fails": lambda: shop.stripe.fault(path="/v1/checkout/sessions", status=500, times=2),
        "mail refused": break_mail,
    }


def _break(instance: Instance, fault: Fault) -> Span:
    """Returns from when to when it was broken, as the service's own checks have it."""
    begun = time.monotonic()
    fault()
    instance.await_(instance.accepts_database_connections, "PostgreSQL did not come back", within=60)
    for name in ("web", "internal"):
        instance.await_(partial(instance.answers, name, "/readyz"), f"{name} did not come back", within=30)
    return begun, time.monotonic()


# ---------------------------------------------------------------- what came of it


def _memory(instance: Instance) -> int:
    """KiB that the application's processes share or have for themselves."""
    pids = [pid for name in COUNTED for pid in (instance.process(name), *instance.workers(name))]
    return sum(_of_process(pid) for pid in pids)


def _of_process(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def _judge_memory(before: int, after: int, verdict: Verdict) -> None:
    verdict.notes.append(f"memory {before / 1024:.0f} MiB before, {after / 1024:.0f} MiB after")
    verdict.require(after <= GROWTH * before, f"memory grew by {100 * (after / before - 1):.0f} %")


def _judge_answers(answers: list[Answer], kind: str, spans: list[Span], verdict: Verdict) -> None:
    failed = [answer for answer in answers if answer.status is None or answer.status >= 500]
    unexplained = [
        answer
        for answer in failed
        if not any(start - 1 < answer.finished and answer.started < end + EXPLAINED for start, end in spans)
    ]
    verdict.notes.append(f"{kind}: {len(failed)} of {len(answers)} failed")
    verdict.require(
        not unexplained,
        f"{len(unexplained)} x {kind} failed without a fault: {[a.status or a.error for a in unexplained[:5]]}",
    )

"""F19: everything at once, for a while, with random faults. The printed seed repeats their order."""

import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from calls import Answer, Caller
from instance import Instance, Person
from lost_valkey import flush
from mail_sink import MailSink
from people import Watch, await_mails, bearer, caller, enrol, login
from reckoning import Verdict, reckon
from shop import PACK, Shop
from traffic import Operation, Traffic, add, hold, use

MINUTES = float(os.environ.get("DRILL_MINUTES", "2"))
SEED = int(os.environ.get("DRILL_SEED", "0")) or secrets.randbelow(10**6) + 1
PAUSE = 10.0  # seconds from one fault to the next
SETTLED = 10.0  # seconds from the last fault to the second look at memory
GROWTH = 1.1
COUNTED = ("web", "internal", "worker", "beat")

ON_PUBLIC, ON_INTERNAL = (
    frozenset({"status", "login", "register"}),
    frozenset({"the ledger", "balance", "order"}),
)
NO_ANSWER, UNAVAILABLE = None, 503  # the two ways in which a call may fail: anything else is never excused
RESET_GRACE = (
    5.0  # seconds in which each client has used the connection that it had to a listener that was killed
)
GRACE = 1.0  # for the rest: the service called itself ready again


@dataclass(frozen=True)
class Fault:
    """A fault, and what it excuses from its start until a grace period after its end: which failure of which calls."""

    inject: Callable[[], object]
    excuses: int | None = UNAVAILABLE
    of: frozenset[str] = frozenset()
    grace: float = GRACE


@dataclass(frozen=True)
class Met:
    """A fault that was injected, with the span in which the service's own checks saw it."""

    name: str
    fault: Fault
    begun: float
    ended: float

    def explains(self, kind: str, answer: Answer) -> bool:
        return (
            kind in self.fault.of
            and answer.status == self.fault.excuses
            and self.begun < answer.finished
            and answer.started < self.ended + self.fault.grace
        )


def random_faults(instance: Instance, sink: MailSink, verdict: Verdict) -> None:
    """Spend, hold, sign in, register, order and read, with a fault every ten seconds; then check everything."""
    chance, shop, watch = random.Random(SEED), Shop(instance), Watch()
    people, traffic = instance.people(12), Traffic(instance)
    traffic.give(people, 100_000)
    registered: list[str] = []
    _watch(watch, instance, shop, people, registered)
    faults = _faults(instance, sink, shop)

    def anything() -> Operation:
        return random.choice((use, use, add, hold))(random.choice(people).id)

    met: list[Met] = []
    with traffic.running(anything, clients=6, per_second=25):
        time.sleep(20)  # caches and pools fill
        before = _memory(instance)
        until = time.monotonic() + 60 * MINUTES
        while time.monotonic() < until:
            name = chance.choice(sorted(faults))
            met.append(_break(instance, name, faults[name]))
            time.sleep(PAUSE)
        time.sleep(SETTLED)
        after = _memory(instance)
    watch.stop()
    verdict.recovered(await_mails(sink, registered, within=90), within=60, what="sending the last mail")
    verdict.notes.append(f"seed {SEED}: {', '.join(one.name for one in met)}")
    _judge_memory(before, after, verdict)
    _judge_answers([a for o in traffic.operations for a in o.answers], "the ledger", met, verdict)
    for kind, answers in watch.answers.items():
        verdict.count(answers)
        _judge_answers(answers, kind, met, verdict)
    reckon(verdict, traffic)


def _watch(watch: Watch, instance: Instance, shop: Shop, people: list[Person], registered: list[str]) -> None:
    services, seller, device = shop.traffic.caller(), shop.traffic.caller(), caller(instance)
    session = bearer(login(instance, people[0]))

    watch.every(
        0.2, "balance", lambda: services.get(f"/v1/credits/balance?user_id={random.choice(people).id}")
    )
    watch.every(0.5, "status", lambda: device.get("/v1/auth/me/status", session))
    watch.every(2.0, "login", lambda: login(instance, random.choice(people)))
    watch.every(4.0, "register", lambda: enrol(instance, registered))
    watch.every(3.0, "order", partial(_order, shop, people[1], seller))


def _order(shop: Shop, person: Person, seller: Caller) -> Answer:
    return shop.order(person, PACK, key=secrets.token_hex(16), caller=seller)


# ---------------------------------------------------------------- faults


def _faults(instance: Instance, sink: MailSink, shop: Shop) -> dict[str, Fault]:
    """Return the faults; each returns when it is over, or when what it killed is to come back by itself.

    Killing the worker, beat or Valkey, and mail faults, excuse no call: none of them waits for those.
    """

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

    def break_stripe() -> None:
        shop.stripe.fault(path="/v1/checkout/sessions", status=500, times=2)
        time.sleep(7)
        shop.stripe.clear_faults()

    def cut_connections() -> None:
        instance.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename <> ''"
        )

    everybody = ON_PUBLIC | ON_INTERNAL
    resets = partial(Fault, excuses=NO_ANSWER, grace=RESET_GRACE)
    return {
        "web killed": resets(partial(kill, "web"), of=ON_PUBLIC),
        "a web worker killed": resets(partial(kill_a_child, "web"), of=ON_PUBLIC),
        "internal killed": resets(partial(kill, "internal"), of=ON_INTERNAL),
        "an internal worker killed": resets(partial(kill_a_child, "internal"), of=ON_INTERNAL),
        "worker killed": Fault(partial(kill, "worker")),
        "beat killed": Fault(partial(kill, "beat")),
        "PostgreSQL killed": Fault(partial(kill, "postgres"), of=everybody),
        "connections cut": Fault(cut_connections, of=everybody),
        "Valkey silent": Fault(stop_valkey),
        "Valkey emptied": Fault(lambda: flush(instance)),
        "Stripe fails": Fault(break_stripe, of=frozenset({"order"})),
        "mail refused": Fault(break_mail),
    }


def _break(instance: Instance, name: str, fault: Fault) -> Met:
    begun = time.monotonic()
    fault.inject()
    instance.await_(instance.accepts_database_connections, "PostgreSQL did not come back", within=60)
    for listener in ("web", "internal"):
        instance.await_(
            partial(instance.answers, listener, "/readyz"), f"{listener} did not come back", within=30
        )
    return Met(name, fault, begun, time.monotonic())


# ---------------------------------------------------------------- what came of it


def _memory(instance: Instance) -> int:
    """Return the memory, in KiB, that the application's processes share or have for themselves."""
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


def _judge_answers(answers: list[Answer], kind: str, met: list[Met], verdict: Verdict) -> None:
    """Check that every failure is one that a fault at that moment excuses."""
    excused: Counter[str] = Counter()
    unexplained = []
    for answer in (one for one in answers if not one.done):
        reason = next((one.name for one in met if one.explains(kind, answer)), None)
        if reason:
            excused[f"{answer.status or 'no answer'} of {reason}"] += 1
        else:
            unexplained.append(answer)
    verdict.notes.append(f"{kind}: {excused.total()} of {len(answers)} failed as excused {dict(excused)}")
    verdict.require(
        not unexplained,
        f"{len(unexplained)} x {kind} failed without an excuse: {[_shown(one, met) for one in unexplained[:5]]}",
    )


def _shown(answer: Answer, met: list[Met]) -> str:
    """Describe the answer, with the fault before it, which did not excuse it."""
    before = [one for one in met if one.begun < answer.finished]
    last = f"{answer.started - before[-1].ended:+.1f} s from the end of {before[-1].name}" if before else "-"
    return f"{answer.status or answer.error} {answer.code}, {answer.seconds:.1f} s, {last}"

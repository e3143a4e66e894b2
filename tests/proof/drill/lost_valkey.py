"""F3: Valkey is silent, then gone, then empty."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import people
from calls import Answer
from instance import Instance, Person
from mail_sink import MailSink
from people import Watch
from reckoning import Verdict, reckon
from traffic import Operation, Traffic, at_once, use
from valkey import Valkey

SILENT, GONE, BASELINE = 30.0, 30.0, 20.0  # seconds
WRONG_TRIES, EVALUATED = 20, 5
NOISE = 0.02  # seconds by which a p95 of milliseconds may miss its bound on a shared machine


def valkey(instance: Instance, sink: MailSink, verdict: Verdict) -> None:
    """SIGSTOP it for 30 s, kill it whenever it comes up for 30 s more, and run FLUSHALL at the end."""
    persons, traffic, watch = instance.people(16), Traffic(instance), Watch()
    traffic.give(persons, 10_000)
    ended = [_end_session(instance, persons[0])]
    _watch(watch, instance, persons[4:8])

    def spend() -> Operation:
        return use(random.choice(persons).id)

    with traffic.running(spend, clients=4, per_second=30):
        time.sleep(2)
        begun = time.monotonic()
        work = partial(_meanwhile, instance, verdict, ended)
        usual = _for(BASELINE, partial(work, guessed=persons[8], leaving=persons[1]))
        broken = time.monotonic()
        silent = _stopped(instance, partial(work, guessed=persons[9], leaving=persons[2]))
        gone = _kept_down(instance, partial(work, guessed=persons[10], leaving=persons[3]))
        back = time.monotonic()
        flush(instance)
        mails = people.await_mails(sink, [*usual, *silent, *gone], within=90)
        verdict.recovered(mails, within=60, what="sending the mails of the gap")
    watch.stop()
    watch.answers["use"] = [answer for operation in traffic.operations for answer in operation.answers]
    _compare(verdict, watch, begun=begun, broken=broken, back=back)
    _require_ended(instance, ended, verdict)
    reckon(verdict, traffic)


def _watch(watch: Watch, instance: Instance, persons: list[Person]) -> None:
    """Watch balances, sign-ins and refreshes, from before the fault until after it."""
    services = Traffic(instance).caller()
    tokens = people.login(instance, persons[0])
    device = people.caller(instance)

    def refresh() -> Answer:
        nonlocal tokens
        answer = device.post("/v1/auth/refresh", {"refresh_token": tokens.body["refresh_token"]})
        tokens = answer if answer.done else tokens
        return answer

    watch.every(
        0.1, "balance", lambda: services.get(f"/v1/credits/balance?user_id={random.choice(persons).id}")
    )
    watch.every(1.2, "refresh", refresh)
    watch.every(1.0, "login", lambda: people.login(instance, random.choice(persons)))


def _meanwhile(
    instance: Instance, verdict: Verdict, ended: list[Answer], *, guessed: Person, leaving: Person
) -> list[str]:
    """Act as users and as a guesser while Valkey is down. Return addresses that wait for a mail."""
    registered = people.register_many(instance, 4)
    ended.append(_end_session(instance, leaving))
    _require_ended(instance, ended, verdict)
    _guess(instance, guessed, verdict)
    return registered


def _guess(instance: Instance, person: Person, verdict: Verdict) -> None:
    """Try wrong passwords at once for one account from one address, and the right one after them."""
    answers = at_once(
        [lambda caller: people.login(instance, person, "wrong password 123", address="192.0.2.7")]
        * WRONG_TRIES,
        lambda: people.caller(instance),
        clients=2,  # a third waits beside them: no more hashes than a process lets wait
    )
    seen = Counter(answer.status for answer in answers)
    verdict.count(answers)
    verdict.require(seen[401] <= EVALUATED, f"{seen[401]} wrong passwords were judged")
    verdict.require(seen[429] > 0, f"the limit of sign-ins did not hold: {dict(seen)}")


def _end_session(instance: Instance, person: Person) -> Answer:
    """Sign in and out; return the tokens, which must never work again."""
    tokens = people.login(instance, person)
    people.caller(instance).post("/v1/auth/logout", None, people.bearer(tokens))
    return tokens


def _require_ended(instance: Instance, ended: list[Answer], verdict: Verdict) -> None:
    for tokens in ended:
        device = people.caller(instance)
        looked = device.get("/v1/auth/me/status", people.bearer(tokens)).status
        renewed = device.post("/v1/auth/refresh", {"refresh_token": tokens.body["refresh_token"]}).status
        verdict.require((looked, renewed) == (401, 401), f"an ended session was answered {looked}, {renewed}")


def _for(seconds: float, work: Callable[[], list[str]]) -> list[str]:
    until = time.monotonic() + seconds
    done = work()
    time.sleep(max(0.0, until - time.monotonic()))
    return done


def _stopped(instance: Instance, work: Callable[[], list[str]]) -> list[str]:
    pid = instance.process("valkey")
    os.kill(pid, signal.SIGSTOP)
    try:
        return _for(SILENT, work)
    finally:
        os.kill(pid, signal.SIGCONT)


def _kept_down(instance: Instance, work: Callable[[], list[str]]) -> list[str]:
    """Do the work while Valkey is killed each time its supervisor, after a pause that grows to 5 s, has restarted
    it.
    """
    watch = Watch()

    def kill() -> Answer:
        started = time.monotonic()
        try:
            os.kill(instance.process("valkey"), signal.SIGKILL)
        except (ProcessLookupError, StopIteration):
            pass
        return Answer(None, started, time.monotonic())

    watch.every(0.05, "kill", kill)
    try:
        done = _for(GONE, work)
    finally:
        watch.stop()
    instance.await_(Valkey(instance.directory).answers, "Valkey did not come back", within=15)
    return done


def flush(instance: Instance) -> None:
    import redis

    with redis.Redis.from_url(Valkey(instance.directory).url) as client:
        client.flushall()


def _compare(verdict: Verdict, watch: Watch, *, begun: float, broken: float, back: float) -> None:
    """Require 99.9 % done and a p95 that at most doubles and stays under 500 ms (only doubles if it was above 250
    before).
    """
    for kind in ("balance", "refresh", "login", "use"):
        before, during = watch.p95(kind, (begun, broken)), watch.p95(kind, (broken, back))
        failed, made = watch.failed(kind, (broken, back))
        verdict.notes.append(
            f"{kind}: p95 {before * 1000:.0f} ms before, {during * 1000:.0f} ms during; {failed} of {made} failed"
        )
        bound = 2 * before + NOISE
        verdict.require(
            during <= (bound if before > 0.25 else min(0.5, bound)),
            f"p95 of {kind} rose to {during * 1000:.0f} ms",
        )
        verdict.require(failed <= made / 1000, f"{failed} of {made} x {kind} failed")
        if kind != "use":
            verdict.count(watch.answers[kind])

"""Correct passwords in crowds and in floods: 20 people at once; and 60 people beside one flooding account or network.

The flood signs in, proves, registers or resets on 8 connections as fast as it is answered.
"""

import itertools
import json
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import people
from calls import Answer, Caller
from instance import Instance, Person
from mail_sink import MailSink
from people import Watch
from report import Report
from traffic import Traffic, at_once, percentile

CROWD, CROWD_WITHIN = 20, 10.0
OTHERS_WITHIN = 1.0  # p99 of calls that hash nothing
PEOPLE, PER_SECOND, P95 = 60, 1.5, 5.0
CONNECTIONS = 8
LINKS = """
import json
from accounts.mail import tokens
from accounts.models import User
print(json.dumps([
    tokens.link_token(tokens.issue(tokens.Purpose.RESET, user_id=user.pk, email=user.email))
    for user in User.objects.filter(email__in={emails!r})
]))
"""

# What one connection of a flood does over and over.
Flood = Callable[[], Answer]


def twenty_at_once(instance: Instance, _sink: MailSink, report: Report) -> None:
    """Sign in 20 people at once: all get in, and people doing something else notice little."""
    reader, watch = instance.people(1)[0], Watch()
    me = people.bearer(people.login(instance, reader))
    for _ in range(2):
        watch.every(0.02, "me", partial(people.caller(instance).get, "/v1/auth/me", me))
        balance = f"/v1/credits/balance?user_id={reader.id}"
        watch.every(0.02, "balance", partial(Traffic(instance).caller().get, balance))
    time.sleep(5)
    for spread in ("20 addresses", "one office"):
        persons, office = instance.people(CROWD), f"198.51.100.{random.randrange(1, 255)}"
        address = office if spread == "one office" else ""
        begun = time.monotonic()
        answers: list[Answer] = at_once(
            [lambda _, one=one, at=address: people.login(instance, one, address=at) for one in persons],  # type: ignore[misc]
            lambda: people.caller(instance),
        )
        span = (begun, time.monotonic())
        statuses = Counter(answer.status for answer in answers)
        slowest = max(answer.seconds for answer in answers)
        report.line(spread, f"{statuses[200]} of {CROWD} in, the last after {slowest:.1f} s")
        report.require(statuses[200] == CROWD, f"{spread}: answered {dict(statuses)}")
        report.require(slowest <= CROWD_WITHIN, f"{spread}: the last one waited {slowest:.1f} s")
        _judge_others(watch, span, report)
    watch.stop()


def _judge_others(watch: Watch, span: tuple[float, float], report: Report) -> None:
    for kind in ("me", "balance"):
        before = [one.seconds for one in watch.within(kind, (0, span[0]))]
        beside = [one.seconds for one in watch.within(kind, span)]
        p99, failed = percentile(beside, 0.99), watch.failed(kind, span)[0]
        report.line(
            "", f"{kind} beside", f"p99 {p99 * 1000:.0f} ms", f"{percentile(before, 0.99) * 1000:.0f} before"
        )
        report.require(
            p99 <= OTHERS_WITHIN and not failed, f"{kind}: p99 {p99:.2f} s beside, {failed} failed"
        )


def from_one_account(instance: Instance, _sink: MailSink, report: Report) -> None:
    """Flood from one account that knows its password, with a different network for each connection."""
    person = instance.people(1)[0]
    callers = [people.caller(instance) for _ in range(CONNECTIONS)]
    body = {"email": person.email, "password": person.password}
    me = people.bearer(people.login(instance, person))
    new = {"email": f"new-{secrets.token_hex(6)}@attack.example", "password": person.password}
    floods = {  # signing in comes last: so many new sessions end the first one
        "reauthenticate": [
            partial(caller.post, "/v1/auth/reauthenticate", {"password": person.password}, me)
            for caller in callers
        ],
        "register": [partial(caller.post, "/v1/auth/register", new) for caller in callers],
        "login": [partial(caller.post, "/v1/auth/login", body) for caller in callers],
    }
    for name, flood in floods.items():
        _judge(instance, name, flood, report)


def from_one_network(instance: Instance, _sink: MailSink, report: Report) -> None:
    """Flood from one address, with a different account for each connection."""
    persons = instance.people(CONNECTIONS)
    tokens = [people.bearer(people.login(instance, person)) for person in persons]
    links = _reset_links(instance, instance.people(100))
    floods = {
        "login": [
            partial(caller.post, "/v1/auth/login", {"email": one.email, "password": one.password})
            for caller, one in zip(_office(instance), persons, strict=True)
        ],
        "reauthenticate": [
            partial(caller.post, "/v1/auth/reauthenticate", {"password": one.password}, token)
            for caller, one, token in zip(_office(instance), persons, tokens, strict=True)
        ],
        "register": [partial(_register, caller) for caller in _office(instance)],
        "reset": [partial(_reset, caller, links) for caller in _office(instance)],
    }
    for name, flood in floods.items():
        _judge(instance, name, flood, report)


def _office(instance: Instance) -> list[Caller]:
    """Return devices behind one address whose limits no earlier flood has used up."""
    here = f"198.51.{random.randrange(100, 255)}.{random.randrange(1, 255)}"
    return [people.caller(instance, address=here) for _ in range(CONNECTIONS)]


def _register(caller: Caller) -> Answer:
    email = f"new-{secrets.token_hex(8)}@attack.example"
    return caller.post("/v1/auth/register", {"email": email, "password": secrets.token_urlsafe(15)})


def _reset(caller: Caller, links: Iterator[str]) -> Answer:
    body = {"token": next(links, "none are left"), "new_password": secrets.token_urlsafe(15)}
    return caller.post("/v1/auth/password-reset", body)


def _reset_links(instance: Instance, persons: list[Person]) -> Iterator[str]:
    """Return a reset link for each person, as if all had requested one."""
    command = LINKS.format(emails=[one.email for one in persons])
    status, said = instance.manage("shell", "-v0", "-c", command)
    if status:
        raise SystemExit(f"The links could not be made:\n{said}")
    return itertools.chain(json.loads(said.strip().splitlines()[-1]))


def _judge(instance: Instance, name: str, flood: Sequence[Flood], report: Report) -> None:
    persons = instance.people(PEOPLE)
    with _running(flood) as flooded, ThreadPoolExecutor(PEOPLE) as pool:
        time.sleep(2)
        arrivals = []
        for person in persons:
            arrivals.append(pool.submit(people.login, instance, person))
            time.sleep(1 / PER_SECOND)
        answers = [one.result() for one in arrivals]
    in_, p95 = sum(answer.done for answer in answers), percentile([one.seconds for one in answers], 0.95)
    statuses = Counter(answer.status for answer in flooded)
    hashed = sum(answer.done for answer in flooded)
    report.line(
        name,
        f"{in_} of {PEOPLE} others in, p95 {p95:.1f} s",
        f"slowest {max(one.seconds for one in answers):.1f} s",
        f"flood: {hashed} done of {len(flooded)}, {dict(statuses)}",
    )
    report.require(in_ == PEOPLE, f"{name}: {dict(Counter(one.status for one in answers))} for others")
    report.require(p95 <= P95, f"{name}: p95 of others {p95:.1f} s")
    report.require(hashed > 0, f"{name}: the flood has hashed nothing")


@contextmanager
def _running(flood: Sequence[Flood]) -> Iterator[list[Answer]]:
    """Repeat each call as fast as it is answered, with a short pause: one core belongs to the clients."""
    answers: list[Answer] = []
    stop = threading.Event()

    def repeat(call: Flood) -> None:
        while not stop.is_set():
            answers.append(call())
            stop.wait(0.02)

    threads = [threading.Thread(target=repeat, args=(call,), daemon=True) for call in flood]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)

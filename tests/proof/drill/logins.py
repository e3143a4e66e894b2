"""F20: everybody signs in at once."""

import random
import time
from functools import partial

import people
from calls import Answer, Caller
from instance import Instance, Person
from mail_sink import MailSink
from people import Watch
from reckoning import Verdict
from traffic import Traffic, at_once

LOGINS, BURSTS = 100, 3
PATIENCE = 2.0


def a_hundred_at_once(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """100 parallel sign-ins, three times; what is too much is refused within 2 s, and balances are read beside it."""
    persons, watch = instance.people(LOGINS), Watch()
    for _ in range(4):
        watch.every(0.08, "balance", partial(_read_balance, Traffic(instance).caller(), persons))
    begun = time.monotonic()
    time.sleep(8)
    bursts = [_burst(instance, persons, verdict) for _ in range(BURSTS)]
    watch.stop()
    before = watch.p95("balance", (begun + 1, bursts[0][0]))
    during = watch.p95("balance", *bursts)
    verdict.notes.append(f"balance: p95 {before * 1000:.0f} ms before, {during * 1000:.0f} ms during")
    verdict.require(during <= 3 * before, f"p95 of balances rose {during / before:.1f} times")
    verdict.count(watch.answers["balance"])


def _read_balance(service: Caller, persons: list[Person]) -> Answer:
    return service.get(f"/v1/credits/balance?user_id={random.choice(persons).id}")


def _burst(instance: Instance, persons: list[Person], verdict: Verdict) -> tuple[float, float]:
    started = time.monotonic()
    answers: list[Answer] = at_once(
        [lambda _, person=person: people.login(instance, person) for person in persons],  # type: ignore[misc]
        lambda: people.caller(instance),
    )
    ended = time.monotonic()
    verdict.count(answers)
    refused = [answer for answer in answers if answer.status in {429, 503}]
    slowest = max((answer.seconds for answer in refused), default=0.0)
    done = sum(answer.done for answer in answers)
    verdict.require(slowest <= PATIENCE, f"a refusal took {slowest:.1f} s")
    verdict.require(done > 0 and done + len(refused) == len(answers), "answers other than 200, 429, 503")
    verdict.notes.append(f"{done} signed in, {len(refused)} refused, the slowest after {slowest:.2f} s")
    return started, ended

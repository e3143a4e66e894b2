"""F20: everyone signs in at once."""

import os
import random
import time
from functools import partial

import people
from calls import Answer, Caller
from config.settings.threads import hashes_at_once
from instance import Instance, Person
from mail_sink import MailSink
from people import Watch
from reckoning import Verdict
from traffic import Traffic, at_once

LOGINS, BURSTS = 100, 3
PLACES = 24 + hashes_at_once(len(os.sched_getaffinity(0)))  # PASSWORD_HASHING_QUEUE, and those who hash
QUICK, PATIENCE, SLACK = (
    2.0,
    8.0,
    1.5,
)  # a refusal for want of a place; of a turn; and what a busy machine adds


def a_hundred_at_once(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Sign in 100 people in parallel, three times, while balances are read.

    Those with a place wait for their turn, 8 s at most. All others are refused within 2 s, with different times to
    retry.
    """
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
    refused = [answer for answer in answers if answer.status == 503]
    done = sum(answer.done for answer in answers)
    verdict.require(done + len(refused) == len(answers), "answers other than 200 and 503")
    without_place = sorted(answer.seconds for answer in refused)[: LOGINS - PLACES]
    verdict.require(
        without_place[-1] <= QUICK, f"a refusal for want of a place took {without_place[-1]:.1f} s"
    )
    waited = max(answer.seconds for answer in answers)
    verdict.require(waited <= PATIENCE + SLACK, f"somebody waited {waited:.1f} s")
    verdict.require(done >= PLACES // 2, f"only {done} signed in")
    verdict.require(len({answer.headers["retry-after"] for answer in refused}) > 1, "all come back together")
    verdict.notes.append(
        f"{done} signed in, {len(without_place)} refused within {without_place[-1]:.2f} s, "
        f"{len(refused) - len(without_place)} later, the last answer after {waited:.1f} s"
    )
    return started, ended

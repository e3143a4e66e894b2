"""Measures whether response times reveal who has an account: the area under each arm's curve (AUC) against `unknown`.

0.5 means that nothing is revealed, 1.0 that everything is. Arms alternate, in an order that changes with each round;
each address is used once and each request comes from a different address, so that neither limits nor the machine's
drift distinguish them. The error of an AUC over 200 pairs is about 0.03.
"""

import os
import random
import time
from bisect import bisect_left, bisect_right

import crowd
import people
from calls import Answer
from crowd import Crowd
from instance import Instance
from mail_sink import MailSink
from report import Report

PAIRS = int(os.environ.get("ATTACK_PAIRS", "200"))
# Pieces of the whole, for a machine that is not idle for long.
ARMS = tuple(os.environ.get("ATTACK_ARMS", " ".join(crowd.ARMS)).split())
FARTHEST = 0.10
WARM_UP = 5
PER_SECOND = 9.0  # below what all strangers together may ask for (LIMIT_MAIL_REQUESTS_IN_ALL, 600 a minute)
STATUSES = {
    "password-reset-request": 202,
    "resend-verification": 202,
    "login": 401,
    "register": 202,
}
CALLS = {call: STATUSES[call] for call in os.environ.get("ATTACK_CALLS", " ".join(STATUSES)).split()}
WRONG = "a sentence that is not the password"


def who_has_an_account(instance: Instance, _sink: MailSink, report: Report) -> None:
    made = Crowd(instance, PAIRS + WARM_UP)
    report.line(
        "call", *ARMS[1:], f"(AUC of {PAIRS} pairs; {0.5 - FARTHEST:.2f} to {0.5 + FARTHEST:.2f} passes)"
    )
    for call, status in CALLS.items():
        times = measure(instance, made, call, status, report)
        areas = {arm: auc(times[arm], times["unknown"]) for arm in ARMS[1:]}
        report.line(call, *(f"{area:.3f}" for area in areas.values()))
        for arm, area in areas.items():
            report.require(abs(area - 0.5) <= FARTHEST, f"{call}: {arm} is told from unknown, AUC {area:.3f}")


def measure(
    instance: Instance, made: Crowd, call: str, status: int, report: Report
) -> dict[str, list[float]]:
    """Return the seconds of each arm's answers."""
    times: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for number in range(PAIRS + WARM_UP):
        next_round = time.monotonic() + len(ARMS) / PER_SECOND
        for arm in random.sample(ARMS, len(ARMS)):
            answer = ask(instance, call, made.address(arm, number))
            report.require(
                answer.status == status, f"{call}: {arm} was answered {answer.status}, not {status}"
            )
            if number >= WARM_UP:
                times[arm].append(answer.seconds)
        time.sleep(max(0.0, next_round - time.monotonic()))
    return times


def ask(instance: Instance, call: str, email: str) -> Answer:
    body = {"email": email, **({"password": WRONG} if call in {"login", "register"} else {})}
    return people.caller(instance).post(f"/v1/auth/{call}", body)


def auc(ones: list[float], others: list[float]) -> float:
    """Return how often one of `ones` took longer than one of the others; a tie counts half (Mann-Whitney)."""
    ordered = sorted(others)
    wins = sum((bisect_left(ordered, one) + bisect_right(ordered, one)) / 2 for one in ones)
    return wins / (len(ones) * len(others))

"""Measure what comparing with a stored hash costs, in units of our own hash; once per process, before it is needed.

Costs are the thread's processor time, so that a busy machine makes no hash look expensive.
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable
from functools import cache
from statistics import median
from typing import Any, NamedTuple

from django.contrib.auth.hashers import get_hasher

from accounts.passwords import argon2_alone

LEAST_ROUNDS = 4  # bcrypt's minimum
SAMPLES, ITERATIONS, MEMORY = 3, 30_000, 16 * 1024  # about 20 milliseconds each


class Rates(NamedTuple):
    """Seconds for one hash of ours, an iteration of PBKDF2, and a KiB of argon2: once, and for each pass."""

    ours: float
    iteration: float
    memory: float
    memory_pass: float


@cache
def rates() -> Rates:
    """Measure in turn and take the minimum of each, which excludes interference from other work."""
    rounds = ours().rounds
    small = max(LEAST_ROUNDS, rounds - 4)
    works: dict[str, Callable[[], object]] = {
        "ours": lambda: ours().verify("", decoy(small)),
        "pbkdf2": lambda: hashlib.pbkdf2_hmac("sha256", b"password", b"salt", ITERATIONS),
        "once": lambda: argon2_alone.digest(b"password", b"saltsalt", memory=MEMORY, passes=1),
        "twice": lambda: argon2_alone.digest(b"password", b"saltsalt", memory=MEMORY, passes=2),
    }
    found = [{name: seconds(work) for name, work in works.items()} for _ in range(SAMPLES)]
    least = {name: min(sample[name] for sample in found) for name in works}
    memory_pass = max(least["twice"] - least["once"], 0) / MEMORY
    return Rates(
        ours=least["ours"] * 2 ** (rounds - small),
        iteration=least["pbkdf2"] / ITERATIONS,
        memory=least["once"] / MEMORY - memory_pass,
        memory_pass=memory_pass,
    )


def of(algorithm: str, decoded: dict[str, Any]) -> float:
    """Return the cost of one comparison in hashes of ours; `decoded` is what the hasher reads from the hash.

    Raise ValueError or KeyError if it cannot be a hash of that kind.
    """
    if algorithm.startswith("bcrypt"):
        rounds = int(decoded["work_factor"])
        worth = 2.0 ** (rounds - ours().rounds) if rounds >= LEAST_ROUNDS else 0.0
    elif algorithm == "argon2":
        memory, passes = int(decoded["memory_cost"]), int(decoded["time_cost"])
        worth = memory * (rates().memory + passes * rates().memory_pass) / rates().ours if passes > 0 else 0.0
    else:
        worth = int(decoded["iterations"]) * rates().iteration / rates().ours
    if worth <= 0:
        raise ValueError(algorithm)
    return worth


def ours() -> Any:
    """Return the hasher for new passwords."""
    return get_hasher("default")


def decoy(rounds: int | None = None) -> str:
    """Return a well-formed hash of ours for which no password is known."""
    hasher = ours()
    return f"{hasher.algorithm}$$2b${rounds or hasher.rounds:02d}${'.' * 53}"


def seconds(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started


# The recent times of our own hash: a machine's speed changes after the process has started.
_lately: deque[float] = deque(maxlen=15)


def note_ours(spent: float) -> None:
    _lately.append(spent)


def ours_lately() -> float:
    return median([rates().ours, *_lately])

"""Sizes a listener: the requests that a process handles at once, and threads for those who wait (a hash, Google)."""

import os
from pathlib import Path

from config.settings import service
from config.settings.environment import decimal, env, integer

# Per process; each request has a database connection (accounts/kit/seats.py).
WEB_THREADS = integer("WEB_THREADS")


def hashes_at_once(cores: int) -> int:
    """Return how many passwords may be hashed at once: one core is left to users who are already signed in; of two
    cores both are used, as one is not enough for 20 people in 8 seconds.
    """
    return min(cores, max(2, cores - 1))


# For the whole machine, whatever its processes (accounts/kit/turns.py): hashes at once, how many requests may wait for
# one, and for how many seconds; then 503.
PASSWORD_HASHING_CONCURRENCY = integer(
    "PASSWORD_HASHING_CONCURRENCY", default=hashes_at_once(len(os.sched_getaffinity(0)))
)
PASSWORD_HASHING_QUEUE = integer("PASSWORD_HASHING_QUEUE")
PASSWORD_HASHING_PATIENCE = decimal("PASSWORD_HASHING_PATIENCE")
PASSWORD_HASHING_NICE = 3  # half the processor time of a competing process
# Containers on one machine that hash share this file.
PASSWORD_HASHING_TURNS = Path(
    env.str("PASSWORD_HASHING_TURNS", default=str(service.VAR_DIR / "password-hashing.json"))
)

# Per process: concurrent requests to Google, and people waiting to make one (accounts/google/network.py).
GOOGLE_AT_ONCE, GOOGLE_QUEUE = 8, 16

# Even if all requests that hash, ask Google or wait for either are in one process, they leave it its WEB_THREADS.
HASHES, ASKS_GOOGLE = service.LISTENER in {"public", "admin"}, service.LISTENER == "public"
SERVER_THREADS = (
    WEB_THREADS
    + (PASSWORD_HASHING_CONCURRENCY + PASSWORD_HASHING_QUEUE if HASHES else 0)
    + (GOOGLE_AT_ONCE + GOOGLE_QUEUE if ASKS_GOOGLE else 0)
)

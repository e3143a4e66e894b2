"""Sizes a listener: the requests that a process works on at once, and the threads in which people wait for a hash."""

import os
from pathlib import Path

from config.settings import service
from config.settings.environment import decimal, env, integer

# Of a process: each has a connection to the database (accounts/kit/seats.py).
WEB_THREADS = integer("WEB_THREADS")


def hashes_at_once(cores: int) -> int:
    """Leave a core to those who sign in no more; of two cores both, as one is not enough for 20 people in 8 seconds."""
    return min(cores, max(2, cores - 1))


# Of the whole machine, whatever its processes (accounts/kit/turns.py): hashes at once, those who may wait for one, and
# for how many seconds; else 503.
PASSWORD_HASHING_CONCURRENCY = integer(
    "PASSWORD_HASHING_CONCURRENCY", default=hashes_at_once(len(os.sched_getaffinity(0)))
)
PASSWORD_HASHING_QUEUE = integer("PASSWORD_HASHING_QUEUE")
PASSWORD_HASHING_PATIENCE = decimal("PASSWORD_HASHING_PATIENCE")
PASSWORD_HASHING_NICE = 3  # half the processor time of a competing process
# Containers of one machine that hash share this file.
PASSWORD_HASHING_TURNS = Path(
    env.str("PASSWORD_HASHING_TURNS", default=str(service.VAR_DIR / "password-hashing.json"))
)

# Everybody who hashes or waits for it may be in one process, and leaves it its WEB_THREADS all the same.
HASHES = service.LISTENER in {"public", "admin"}
SERVER_THREADS = WEB_THREADS + (PASSWORD_HASHING_CONCURRENCY + PASSWORD_HASHING_QUEUE if HASHES else 0)

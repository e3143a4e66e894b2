"""The retry rule of every call: each is safe to repeat, through its Idempotency-Key or by its nature.

A call is retried when its outcome is unknown or it failed only for now: no answer at all (refused, reset, timed out),
409 `idempotency_in_progress`, 429 and 5xx. `Retry-After` is honoured; without it, or if that time has passed, the
pauses double. Any other answer is final.
"""

import random
import time
from uuid import uuid4

import httpx

from auth_service_client.answers import code_of, retry_after
from auth_service_client.errors import Unreachable

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0


def new_key() -> str:
    """Return an Idempotency-Key for one intention. Keep a key of your own if the intention outlives the process."""
    return uuid4().hex


class Tries:
    """Says after each attempt how long to wait for the next one, within `patience` seconds in total."""

    def __init__(self, patience: float) -> None:
        self._patience, self._ends = patience, time.monotonic() + patience
        self._pause = FIRST_PAUSE

    def seconds(self, timeout: float) -> float:
        """Return how long the next try may wait for its answer. Without patience there is one, and only `timeout`."""
        left = max(self._ends - time.monotonic(), FIRST_PAUSE)
        return min(timeout, left) if self._patience else timeout

    def pause_after(self, response: httpx.Response) -> float | None:
        """Return the seconds to wait; None if the answer is final, or its `Retry-After` exceeds the patience left."""
        if not _is_open(response):
            return None
        return self._within_patience(self._next_pause(at_least=retry_after(response)))

    def pause_after_silence(self, error: httpx.RequestError) -> float:
        """Return the seconds to wait. Raise Unreachable if that would exceed the patience left."""
        pause = self._within_patience(self._next_pause(at_least=None))
        if pause is None:
            raise Unreachable(f"The service did not answer: {type(error).__name__}.") from error
        return pause

    def _next_pause(self, *, at_least: float | None) -> float:
        """Return a pause with jitter, so that callers who were refused together do not all come back at once."""
        self._pause, doubled = min(2 * self._pause, LONGEST_PAUSE), self._pause
        spread = random.uniform(0.5, 1) * doubled  # noqa: S311
        return at_least + random.uniform(0, 0.1) * max(1.0, at_least) if at_least else spread  # noqa: S311

    def _within_patience(self, pause: float) -> float | None:
        return pause if time.monotonic() + pause <= self._ends else None


def _is_open(response: httpx.Response) -> bool:
    """Return whether another attempt may end differently."""
    if response.status_code == 409:
        return code_of(response) == "idempotency_in_progress"
    return response.status_code == 429 or response.status_code >= 500

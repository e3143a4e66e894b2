"""Limit work that blocks a thread, so that the other threads can continue to serve requests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from accounts.kit.problems import ServiceUnavailable


class Slots:
    """`running` slots, and up to `waiting` threads that wait for one, for at most `patience` seconds."""

    def __init__(self, *, running: int, waiting: int, patience: float) -> None:
        self._running = threading.BoundedSemaphore(running)
        self._inside = threading.BoundedSemaphore(running + waiting)
        self._patience = patience

    def require_room(self) -> None:
        """Raise ServiceUnavailable if no further thread would be admitted."""
        if not self._inside.acquire(blocking=False):
            raise ServiceUnavailable
        self._inside.release()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a slot during the block. Raise ServiceUnavailable if too many wait, or none becomes free in time."""
        if not self._inside.acquire(blocking=False):
            raise ServiceUnavailable
        try:
            if not self._running.acquire(timeout=self._patience):
                raise ServiceUnavailable
            try:
                yield
            finally:
                self._running.release()
        finally:
            self._inside.release()

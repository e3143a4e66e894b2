"""Bounds work that holds a thread, so that the other threads go on answering requests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from accounts.kit.problems import ServiceUnavailable


class Slots:
    """So many at once, and so many threads that wait for one, for so many seconds."""

    def __init__(self, *, running: int, waiting: int, patience: float) -> None:
        self._running = threading.BoundedSemaphore(running)
        self._inside = threading.BoundedSemaphore(running + waiting)
        self._patience = patience

    def require_room(self) -> None:
        """Raise ServiceUnavailable while nobody else would be let in."""
        if not self._inside.acquire(blocking=False):
            raise ServiceUnavailable
        self._inside.release()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a slot while the block runs. Raises ServiceUnavailable if too many wait, or none is free in time."""
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

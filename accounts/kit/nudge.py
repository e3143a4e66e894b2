"""Handing work to Celery after a commit, in a thread of its own: no request waits for a broker that is away."""

import os
import queue
import threading
import weakref
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)
Item = TypeVar("Item")


class Publisher(Generic[Item]):
    """A thread that talks to the broker. What it cannot hand over it forgets: rows in the database have it."""

    def __init__(self, send: Callable[[Item], None], *, name: str, most: int) -> None:
        self._send, self._name, self._most = send, name, most
        self.reset()
        _all.add(self)  # type: ignore[arg-type]

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._ids: queue.Queue[tuple[Context, Item]] = queue.Queue(self._most)
        self._thread: threading.Thread | None = None

    def put(self, item: Item) -> None:
        try:
            self._ids.put_nowait((copy_context(), item))  # with the request's id, for the logs
        except queue.Full:
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            context, item = self._ids.get()
            try:
                context.run(self._send, item)
            except Exception as error:  # noqa: BLE001  whatever the broker's client raises, the rows make up for it
                log.warning(
                    "not_published", by=self._name, reason=type(error).__name__, waiting=self._ids.qsize()
                )
                self._forget()

    def _forget(self) -> None:
        while not self._ids.empty():
            self._ids.get_nowait()


_all: weakref.WeakSet[Publisher[object]] = weakref.WeakSet()


def _after_fork() -> None:
    """A child has the parent's queues and locks, perhaps in mid-use, and not its threads."""
    for publisher in _all:
        publisher.reset()


os.register_at_fork(after_in_child=_after_fork)

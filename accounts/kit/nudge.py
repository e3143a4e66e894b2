"""Notify the worker that a task has something to do, from a separate thread, so that nobody waits for it.

A notification that does not reach the broker is dropped: the rows say what is to be done, and the scheduler has them
checked. A task is found by name among the registered ones, so that the caller need not import it, and Celery's eager
mode runs it.
"""

import os
import queue
import threading
import time
import weakref
from contextvars import Context, copy_context
from functools import cache
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import autodiscover_modules, import_string

log = structlog.get_logger(__name__)


@cache
def application() -> Any:
    """Return the Celery application with the tasks of every app.

    It is loaded on first use, since most commands never need it. Web processes load it before they serve.
    """
    celery = import_string(settings.TASK_APPLICATION)
    autodiscover_modules("tasks")
    return celery


def send(task: str, *arguments: Any, **options: Any) -> None:
    """Hand the task to the broker now, with Celery's options. Raise whatever the broker's client raises."""
    application().tasks[task].apply_async(arguments, **options)


class Nudge:
    """Notifications about one task: up to `most` are queued, and any more are dropped.

    For a task that needs only one notification, a single one can stand for many: the thread sleeps for `gather` seconds
    after each, and those that arrive in that time are again one.
    """

    def __init__(self, task: str, *, most: int = 1, gather: float = 0.0, **options: Any) -> None:
        self.task, self._most, self._gather, self._options = task, most, gather, options
        self.reset()
        _all.add(self)

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._words: queue.Queue[tuple[Context, tuple[Any, ...]]] = queue.Queue(self._most)
        self._thread: threading.Thread | None = None

    def tell_on_commit(self, *arguments: Any) -> None:
        """Notify the worker once the caller's transaction has committed; never, if it is rolled back."""
        # Not a partial: it has no name for Django to log if it raises, and the response would be a 500.
        transaction.on_commit(lambda: self.tell(*arguments), robust=True)

    def tell(self, *arguments: Any) -> None:
        """Have the worker run the task soon. Never wait for the broker, and never raise what its client raises."""
        if application().conf.task_always_eager:
            self._send(*arguments)
        else:
            self._put(arguments)

    def _put(self, arguments: tuple[Any, ...]) -> None:
        try:
            self._words.put_nowait((copy_context(), arguments))  # carries the request's id, for the logs
        except queue.Full:
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=f"nudge-{self.task}", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            context, arguments = self._words.get()
            try:
                context.run(self._send, *arguments)
            except Exception as error:  # noqa: BLE001  whatever the broker's client raises, the rows remain
                log.warning(
                    "not_published", task=self.task, reason=type(error).__name__, waiting=self._words.qsize()
                )
                self._forget()
            self._words.task_done()
            time.sleep(self._gather)

    def _send(self, *arguments: Any) -> None:
        send(self.task, *arguments, **self._options)

    def _forget(self) -> None:
        while not self._words.empty():
            self._words.get_nowait()
            self._words.task_done()


_all: weakref.WeakSet[Nudge] = weakref.WeakSet()


def _after_fork() -> None:
    """Reset in a child process, which has its parent's queues and locks, perhaps in mid-use, but not its threads."""
    for nudge in _all:
        nudge.reset()


os.register_at_fork(after_in_child=_after_fork)

"""Tell the worker, by a task's name, that there is something to do; in a thread of its own, which nobody waits for.

A word that does not reach the broker is forgotten: rows say what is to be done, and the scheduler has them looked at.
A task is found by its name among those that are registered, so that the caller need not import it, and
Celery's eager mode carries it out.
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

    It is loaded at the first word, since most commands have none. Web processes load it before they serve.
    """
    celery = import_string(settings.TASK_APPLICATION)
    autodiscover_modules("tasks")
    return celery


def send(task: str, *arguments: Any, **options: Any) -> None:
    """Hand the task to the broker now, with Celery's options. Raises whatever the broker's client raises."""
    application().tasks[task].apply_async(arguments, **options)


class Nudge:
    """Words about one task: `most` of them wait to be handed over, and any more are dropped.

    A word that needs no more than one can stand for many: after each the thread gathers for so many seconds, and what
    comes in them is one word again.
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
        """Tell the worker once the caller's transaction has committed; never, where it is rolled back."""
        # A partial has no name, by which Django would tell of what it raises: the answer would be a 500.
        transaction.on_commit(lambda: self.tell(*arguments), robust=True)

    def tell(self, *arguments: Any) -> None:
        """Have the worker carry out the task, soon. Never waits for the broker, and never raises what it does."""
        if application().conf.task_always_eager:
            self._send(*arguments)
        else:
            self._put(arguments)

    def _put(self, arguments: tuple[Any, ...]) -> None:
        try:
            self._words.put_nowait((copy_context(), arguments))  # with the request's id, for the logs
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
            except Exception as error:  # noqa: BLE001  whatever the broker's client raises, the rows make up for it
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
    """Start afresh: a child has its parent's queues and locks, perhaps in mid-use, and not its threads."""
    for nudge in _all:
        nudge.reset()


os.register_at_fork(after_in_child=_after_fork)

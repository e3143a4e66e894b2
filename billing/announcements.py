"""Tells the workers that there is something to do, without waiting for the broker. Whatever gets lost on the way, beat
makes up for: the work itself stands in PostgreSQL.

A thread of this process talks to the broker. It sends one task for all that has come meanwhile, since a worker that has
begun goes on until nothing is left.
"""

import os
import threading
import time
from typing import Any

import structlog
from celery import current_app
from django.utils.module_loading import import_string

log = structlog.get_logger(__name__)
SECONDS_BETWEEN = 0.1  # a task costs more than taking in an event
TASKS = {"inbox": "billing.tasks.work_inbox", "changes": "billing.tasks.carry_out_changes"}


def announce(name: str) -> None:
    """Never raises and never waits."""
    if current_app.conf.task_always_eager:
        import_string(TASKS[name]).delay()
    else:
        announcer.put(name)


class Announcer:
    def __init__(self) -> None:
        self._waiting: set[str] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, name: str) -> None:
        with self._changed:
            self._waiting.add(name)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="billing-announcer", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                name = self._waiting.pop()
            try:
                current_app.send_task(TASKS[name])
                time.sleep(SECONDS_BETWEEN)
            except Exception as error:  # noqa: BLE001  whatever the broker's client raises, beat makes up for it
                log.warning("announcement_lost", reason=type(error).__name__)


announcer = Announcer()


def _after_fork() -> Any:
    """A child has the parent's lock, perhaps in mid-use, and not its thread."""
    announcer.__init__()  # type: ignore[misc]


os.register_at_fork(after_in_child=_after_fork)

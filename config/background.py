"""Common behaviour of all background tasks: the originating request's id, metrics, and one log line per outage.

A task may have a time limit for starting. It is measured by the broker's clock, whatever time the hosts believe it is.

While the database or the broker is down every task fails, some every five seconds. Tasks only speed up work that rows
already record, and the scheduler triggers it again. An outage is therefore logged as an occasional warning without a
traceback, and not as a failure.
"""

import time
from contextvars import Token
from functools import cache
from typing import Any

import redis
import structlog
from celery import Task, states
from celery.exceptions import Ignore
from celery.signals import after_task_publish, beat_init, before_task_publish, task_postrun, task_prerun
from django.conf import settings

from accounts.kit import metrics
from accounts.kit.problems import ServiceUnavailable
from config import faults
from config.logging import request_id

SECONDS_BETWEEN_LINES = 60.0
HEADER = "request_id"
VOID_AT = "void_at"
BROKER_PATIENCE = 1.0  # seconds

log = structlog.get_logger("tasks")


class Outage:
    """Keeps, for this process, when the current outage started and when it was last logged."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.spoken = 0.0

    def met(self, task: str, error: Exception) -> None:
        now = time.monotonic()
        self.since = self.since or now
        if now - self.spoken >= SECONDS_BETWEEN_LINES or self.spoken == 0:
            self.spoken = now
            log.warning("outage", task=task, error=type(error).__name__, sqlstate=faults.sqlstate(error))

    def over(self) -> None:
        if self.since is not None:
            log.info("outage_over", seconds=round(time.monotonic() - self.since, 1))
            self.since, self.spoken = None, 0.0


outage = Outage()


@cache
def _broker() -> Any:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=BROKER_PATIENCE, socket_connect_timeout=BROKER_PATIENCE
    )


def broker_time() -> float:
    """Return the broker's time, in seconds since 1970. Raise redis.RedisError if it does not answer."""
    seconds, microseconds = _broker().time()
    return float(seconds + microseconds / 1_000_000)


class ServiceTask(Task):  # type: ignore[type-arg]
    def apply_async(
        self, args: Any = None, kwargs: Any = None, *rest: Any, good_for: float | None = None, **options: Any
    ) -> Any:
        """Send the task; a worker that would start it later than `good_for` seconds from now drops it."""
        if good_for is not None and not self.app.conf.task_always_eager:
            options["headers"] = {**(options.get("headers") or {}), VOID_AT: broker_time() + good_for}
        return super().apply_async(args, kwargs, *rest, **options)

    def _is_void(self) -> bool:
        """Return whether the task waited too long. If the broker does not answer now, what it has handed over still
        runs.
        """
        void_at = getattr(self.request, VOID_AT, None)
        try:
            return void_at is not None and broker_time() > float(void_at)
        except redis.RedisError:
            return False

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self._is_void():
            raise Ignore
        try:
            result = super().__call__(*args, **options)
        except Exception as error:
            faults.count(error)
            if self.request.is_eager or not _is_outage(error):
                raise
            faults.drop_stale_connection(error)
            outage.met(self.name, error)
            raise Ignore from None
        outage.over()
        return result


def _is_outage(error: Exception) -> bool:
    """Return whether it is an outage, including those that a request answers with 503: Stripe or Google is down."""
    return faults.is_outage(error) or getattr(error, "status_code", None) == ServiceUnavailable.status_code


@before_task_publish.connect
def send_request_id(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None and (current := request_id.get()) is not None:
        headers[HEADER] = current


@beat_init.connect
def watch_beat(**_: Any) -> None:
    """Listen in the scheduler's process only: what a web process sends says nothing about the scheduler."""
    after_task_publish.connect(note_sent)


def note_sent(sender: str = "", **_: Any) -> None:
    metrics.note(metrics.BEAT, sender)


_running: dict[str, tuple[float, Token[str | None]]] = {}


@task_prerun.connect
def take_request_id(task_id: str, task: Any, **_: Any) -> None:
    current = getattr(task.request, HEADER, None) or request_id.get()
    _running[task_id] = time.perf_counter(), request_id.set(current)


@task_postrun.connect
def note_end(task_id: str, task: Any, state: str | None = None, **_: Any) -> None:
    started, token = _running.pop(task_id, (None, None))
    if started is not None and token is not None:
        request_id.reset(token)
        seconds = time.perf_counter() - started
        if state == states.FAILURE:
            metrics.count(metrics.UNEXPECTED, "task")
        metrics.observe(metrics.TASKS, task.name, (state or "ignored").lower(), seconds=seconds)

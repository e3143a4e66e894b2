"""Metrics for Prometheus: correct across all processes of a host, and cheap to count.

A request only appends to a list of its process. A thread adds these up once a second, and writes them to a
memory-mapped file of prometheus_client, one per process. Processes take files by number and leave them to their
successors, so counters survive restarts and files do not pile up. A killed process loses its last second.
"""

import atexit
import fcntl
import os
import threading
import time
from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict, deque
from itertools import count as numbers
from pathlib import Path
from typing import Any

import prometheus_client
import structlog
from django.conf import settings
from prometheus_client import values

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # of the page that Prometheus reads
SECONDS_BETWEEN_WRITES = 1.0
DISK_FULL = "53100"  # SQLSTATE disk_full
NO_SLOT = "none"  # a process that has not counted anything yet
COMMAND = "command"  # the kind of a process unless it sets another

log = structlog.get_logger("metrics")
Labels = tuple[str, ...]


class Slot:
    """The number under which this process writes. The kernel releases it when the process ends, however it ends."""

    def __init__(self) -> None:
        self.kind = COMMAND  # the directory of its files, which are reported per kind
        self.number = NO_SLOT
        self._lock: Any = None

    def take(self) -> None:
        if self._lock is not None:
            return
        directory = Path(settings.METRICS_DIR) / self.kind
        directory.mkdir(parents=True, exist_ok=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(
            directory
        )  # read by prometheus_client when it opens a file
        for number in numbers():
            path = directory / f"{number}.lock"
            if path.exists() and not os.access(path, os.W_OK):
                continue  # left by a command that ran as another user
            lock = path.open("a")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
            else:
                self.number, self._lock = str(number), lock
                return

    def forget(self) -> None:
        """Drop the parent's lock in a child process; closing our copy leaves the lock to the parent."""
        if self._lock is not None:
            self._lock.close()
        self.number, self._lock = NO_SLOT, None


slot = Slot()
values.ValueClass = values.MultiProcessValue(lambda: slot.number)  # type: ignore[no-untyped-call]


NAMESPACE = "auth"  # a prefix for every name, as exporters of PostgreSQL and Redis have similar names


class Counter(prometheus_client.Counter):
    """How often something happened."""

    def add(self, amounts: list[float]) -> None:
        self.inc(sum(amounts))


class Latest(prometheus_client.Gauge):
    """When something last happened, in seconds since 1970; the latest of all processes."""

    def add(self, amounts: list[float]) -> None:
        self.set(max(amounts))


class Histogram(prometheus_client.Histogram):
    """How long something took, in seconds."""

    def add(self, amounts: list[float]) -> None:
        """Observe each amount, with one write for each bucket that any of them falls into."""
        self._sum.inc(sum(amounts))
        for place, many in Tally(bisect_left(self._upper_bounds, one) for one in amounts).items():
            self._buckets[place].inc(many)


Metric = Counter | Histogram | Latest


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(name, text, labels, namespace=NAMESPACE, registry=None)


def _histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(name, text, labels, namespace=NAMESPACE, buckets=buckets, registry=None)


def _latest(name: str, text: str, *labels: str) -> Latest:
    return Latest(name, text, labels, namespace=NAMESPACE, registry=None, multiprocess_mode="max")


_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUESTS = _histogram(
    "http_request_duration_seconds",
    "Requests by listener, method, route template, tier and status.",
    *("listener", "method", "route", "tier", "status"),
    buckets=_SECONDS,
)
PROBLEMS = _counter(
    "http_problems_total",
    "Refusals by route and stable code: wrong passwords, reuse, outages.",
    "route",
    "code",
)
UNEXPECTED = _counter(
    "unexpected_errors_total",
    "Unexpected errors: answers 500, failed tasks, sweeps, erasures and users of a batch.",
    "of",
)
LOGINS = _counter(
    "logins_total", "Sign-ins by way and result: `ok`, or the code of the refusal.", "way", "result"
)
TOKENS = _counter("tokens_issued_total", "Pairs of tokens, by what they were for.", "by")
THROTTLED = _counter("throttled_total", "Calls over a limit, by the limit's name.", "limit")
LEDGER = _counter(
    "ledger_operations_total",
    "Operations on the ledger by type, path and result: `ok`, `replayed`, or the code of the refusal.",
    "type",
    "path",
    "result",
)
LOCK_WAIT = _histogram(
    "ledger_lock_wait_seconds",
    "Seconds that the locked path waited for the rows of its users.",
    "of",
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 3.0),
)
LEDGER_RETRIES = _counter(
    "ledger_retries_total", "Operations that lost against others and were repeated.", "reason"
)
LEDGER_VERIFIED = _latest(
    "ledger_verified_timestamp_seconds",
    "When the whole ledger was last verified: `right` or `wrong`.",
    "result",
)
TASKS = _histogram(
    "celery_task_duration_seconds", "Background tasks by name and result.", "task", "state", buckets=_SECONDS
)
BEAT = _latest(
    "celery_beat_last_sent_timestamp_seconds", "When the scheduler last handed a task to the broker.", "task"
)
DATABASE_ERRORS = _counter(
    "database_errors_total",
    "Statements and connections that failed, by SQLSTATE where there was one.",
    "sqlstate",
)
DELIVERIES = _counter(
    "event_deliveries_total", "Webhooks tried, by subscription and result.", "subscription", "result"
)
REPLICA_READS = _counter(
    "replica_reads_total", "Reads that a replica may serve, by who did: `replica` or `primary`.", "by"
)
ALL: tuple[Metric, ...] = (
    REQUESTS, PROBLEMS, UNEXPECTED, LOGINS, TOKENS, THROTTLED, LEDGER, LOCK_WAIT, LEDGER_RETRIES, LEDGER_VERIFIED,
    TASKS, BEAT, DATABASE_ERRORS, DELIVERIES, REPLICA_READS,
)  # fmt: skip
# Exported as 0 before anything is counted. Prometheus takes a series' first value as its start, so the first event
# would otherwise not be an increase, and raise no alert.
FROM_ZERO: dict[Metric, tuple[Labels, ...]] = {
    PROBLEMS: (("/v1/auth/refresh", "refresh_token_reused"),),
    UNEXPECTED: (("request",), ("task",), ("sweep",), ("batch",), ("erasure",)),
    DATABASE_ERRORS: ((DISK_FULL,),),
    LOGINS: (("password", "ok"), ("password", "invalid_credentials")),
    TOKENS: (("sign_in",), ("refresh",)),
}

Record = tuple[Metric, Labels, float]


class Recorder:
    """A buffer of counts until they are written."""

    def __init__(self) -> None:
        self.records: deque[Record] = deque()
        self._something = threading.Event()
        self._writing = threading.Lock()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, metric: Metric, labels: Labels, amount: float) -> None:
        self.records.append((metric, labels, amount))
        if not self._something.is_set():
            self._wake()

    def _wake(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
                self._thread.start()
        self._something.set()

    def _run(self) -> None:
        while True:
            self._something.wait()
            time.sleep(SECONDS_BETWEEN_WRITES)
            self._something.clear()  # before the records are taken, so that a new one wakes us again
            try:
                self.write()
            except OSError as error:  # these counts are lost, the next second's are not
                log.error("metrics_not_written", error=type(error).__name__, number=error.errno)

    def write(self) -> None:
        with self._writing:
            amounts: dict[tuple[Metric, Labels], list[float]] = defaultdict(list)
            for _ in range(len(self.records)):
                metric, labels, amount = self.records.popleft()
                amounts[metric, labels].append(amount)
            if not amounts:
                return
            slot.take()
            for (metric, labels), found in amounts.items():
                metric.labels(*labels).add(found)


recorder = Recorder()


def count(metric: Counter, *labels: str) -> None:
    recorder.add(metric, labels, 1.0)


def note(metric: Latest, *labels: str) -> None:
    """Note that it happened now."""
    recorder.add(metric, labels, time.time())


def observe(metric: Histogram, *labels: str, seconds: float) -> None:
    recorder.add(metric, labels, seconds)


def files(kind: str | None = None) -> list[str]:
    """Return the files of all processes of this host, live or not, or only of those of one kind."""
    directory = Path(settings.METRICS_DIR, *([kind] if kind else []))
    return sorted(str(file) for file in directory.rglob("*.db"))


def _after_fork() -> None:
    slot.forget()
    recorder.__init__()  # type: ignore[misc]


os.register_at_fork(after_in_child=_after_fork)
atexit.register(recorder.write)  # `recorder` stays the same object in a child

"""GET /metrics of the internal listener: what this host's processes have counted, and the state of queues and stores.

A collector of settings.METRICS_COLLECTORS yields for each of its queues: its name, how many rows wait, for how many
seconds the oldest has waited, and how many were given up. It runs one query that an index answers.
"""

import time
from collections.abc import Callable, Iterable, Iterator

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpResponse
from django.utils.module_loading import import_string
from kombu.transport.redis import PRIORITY_STEPS, Channel
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from rest_framework.request import Request

from accounts.kit import metrics, nudge, replica
from accounts.kit.documentation import documented
from accounts.tiers import PublicEndpoint
from config import VERSION
from config.health import redis_client

ALLOWED = "allowed"
log = structlog.get_logger("metrics")


class Metrics(PublicEndpoint):
    """The endpoint for Prometheus. It needs no key: the listener cannot be reached from outside."""

    mark = "metrics"
    schema = None  # not part of the OpenAPI document: it is not JSON

    @documented("Get metrics")
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(_told(Counted(), Looked()), content_type=metrics.CONTENT_TYPE)


def told_by(kind: str) -> bytes:
    """Return what this host's processes of one kind have counted; for "internal" also queues and stores."""
    return _told(Counted(kind), Looked() if kind == "internal" else build)


def _told(*collectors: Collector) -> bytes:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry)


class Counted(Collector):
    """Collects what all processes of this host, or those of one kind, have counted.

    A metric for which nothing has been counted yet has only its name.
    """

    def __init__(self, kind: str | None = None) -> None:
        self._kind = kind

    def collect(self) -> Iterator[Metric]:
        metrics.recorder.write()
        files = metrics.files(self._kind)
        found = {metric.name: metric for metric in MultiProcessCollector.merge(files)}  # type: ignore[no-untyped-call]
        for known in metrics.ALL:
            for empty in known.describe():
                yield _from_zero(known, found.get(empty.name, empty))


def _from_zero(known: metrics.Metric, family: Metric) -> Metric:
    """Return the family with zeros for the labels that should be visible before anything is counted."""
    for values in metrics.FROM_ZERO.get(known, ()):
        labels = dict(zip(known._labelnames, values, strict=True))  # noqa: SLF001
        if not any(sample.labels == labels for sample in family.samples):
            family.add_sample(f"{family.name}_total", labels, 0.0)
    return family


class Build(Collector):
    """Collects the running version."""

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("auth_build_info", "The version that runs here.", labels=["version"])
        family.add_metric([VERSION], 1)
        yield family


build = Build()


class Looked(Collector):
    """Collects the values that are read at each scrape."""

    def collect(self) -> Iterator[Metric]:
        yield from build.collect()
        started = time.perf_counter()
        sessions = _sessions()
        yield _gauge("auth_database_up", "1 while the database answers.", float(sessions is not None))
        yield _gauge(
            "auth_database_answer_seconds", "How long it took to answer.", time.perf_counter() - started
        )
        if sessions is not None:
            yield from _connections(sessions)
            yield from _queues()
            yield from _replica()
        yield from _broker()


def _broker() -> Iterator[Metric]:
    """Yield whether Redis answers, and how many tasks wait for a worker or were taken by one but not finished."""
    try:
        with redis_client() as client:
            lengths = {
                "waiting": sum(
                    client.llen(key) for key in _lists_of(nudge.application().conf.task_default_queue)
                ),
                "taken": client.hlen("unacked"),
            }
    except redis.RedisError:
        lengths = None
    yield _gauge("auth_redis_up", "1 while Redis answers.", float(lengths is not None))
    tasks = GaugeMetricFamily("auth_celery_queue_tasks", "Tasks at the broker.", labels=["state"])
    for state, many in (lengths or {}).items():
        tasks.add_metric([state], many)
    yield tasks


def _lists_of(queue: str) -> list[str]:
    """Return the lists that make up a queue at the broker, one for each priority, by kombu's names for them."""
    return [queue, *(f"{queue}{Channel.sep}{step}" for step in PRIORITY_STEPS if step)]


def _replica() -> Iterator[Metric]:
    """Yield nothing if no replica is configured, so that a rule about it matches nothing."""
    if not replica.is_named():
        return
    behind = replica.follower.behind()
    yield _gauge(
        "auth_replica_up", "1 while the replica serves reads.", float(behind <= settings.DATABASE_REPLICA_LAG)
    )
    yield _gauge(
        "auth_replica_behind_seconds",
        "Seconds that the replica is behind at most; +Inf while it is away.",
        behind,
    )


def _connections(sessions: dict[str, int]) -> Iterator[Metric]:
    allowed = sessions.pop(ALLOWED)
    yield _gauge(
        "auth_database_connections_max",
        "Connections that the server allows, for all databases together.",
        allowed,
    )
    open_ones = GaugeMetricFamily("auth_database_connections", "Sessions of this database.", labels=["state"])
    for state, many in sessions.items():
        open_ones.add_metric([state], many)
    yield open_ones


def _sessions() -> dict[str, int] | None:
    """Return the sessions of this database by state, and how many the server allows; None if it does not answer."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT coalesce(state, 'other'), count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() GROUP BY 1"
                " UNION ALL SELECT %s, current_setting('max_connections')::int",
                [ALLOWED],
            )
            return dict(cursor.fetchall())
    except DatabaseError as error:
        log.warning("outage", error=type(error).__name__)
        return None


def _queues() -> Iterator[Metric]:
    waiting = GaugeMetricFamily("auth_queue_waiting", "Rows waiting in a queue.", labels=["queue"])
    oldest = GaugeMetricFamily(
        "auth_queue_oldest_seconds", "How long the oldest of it has waited.", labels=["queue"]
    )
    dead = GaugeMetricFamily("auth_queue_dead", "Rows that were given up and are kept.", labels=["queue"])
    for path in settings.METRICS_COLLECTORS:
        for queue in _asked(import_string(path)):
            waiting.add_metric([queue[0]], queue[1])
            oldest.add_metric([queue[0]], queue[2])
            dead.add_metric([queue[0]], queue[3])
    yield from (waiting, oldest, dead)


def _asked(
    collector: Callable[[], Iterable[tuple[str, int, float, int]]],
) -> list[tuple[str, int, float, int]]:
    """Return the collector's rows; one that fails loses its own lines, not the others'."""
    try:
        return list(collector())
    except DatabaseError as error:
        log.warning("outage", error=type(error).__name__)
        return []


def _gauge(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family

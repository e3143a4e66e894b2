"""Liveness and readiness of this process. No credential is needed, on every listener."""

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from threading import Lock
from typing import Any, Literal

import msgspec
import psycopg
import redis
from django.conf import settings
from django.db.migrations.loader import MigrationLoader
from rest_framework.request import Request

from accounts.kit.documentation import documented
from accounts.kit.problems import ServiceUnavailable
from accounts.kit.responses import Response
from accounts.tiers import PublicEndpoint
from accounts.upkeep import session_settings

PATIENCE = 2.5  # seconds for all checks of a request together
# For this many seconds a round that found all well also answers other requests: anyone may ask, as often as they like.
FRESH = 1.0
# libpq rejects such a server itself, except behind a pooler, which repeats what the first server said.
ONLY_READS = "SELECT current_setting('transaction_read_only') = 'on'"
State = Literal["ok", "unreachable", "behind", "unknown"]


class LiveAnswer(msgspec.Struct):
    status: Literal["ok"]


class Checks(msgspec.Struct):
    """`migrations` is `behind` while the database lacks a migration of this version."""

    database: State = "unknown"
    migrations: State = "unknown"
    redis: State = "unknown"

    @property
    def ready(self) -> bool:
        return self.database == "ok" and self.migrations == "ok"


class ReadyAnswer(msgspec.Struct):
    status: Literal["ok", "degraded"]
    checks: Checks


class NotReady(ServiceUnavailable):
    default_code = "not_ready"
    members = {"checks": Checks}
    example = {"checks": {"database": "unreachable", "migrations": "unknown", "redis": "ok"}}
    default_detail = "This process is not ready; `checks` says why."


class Live(PublicEndpoint):
    mark = "health"

    @documented("Check liveness", answer=LiveAnswer, example={"status": "ok"})
    def get(self, request: Request) -> Response:
        """Responds without checking anything. If it fails, restart the process."""
        return Response(LiveAnswer(status="ok"))


class Ready(PublicEndpoint):
    mark = "health"

    @documented(
        "Check readiness",
        answer=ReadyAnswer,
        example={"status": "ok", "checks": {"database": "ok", "migrations": "ok", "redis": "ok"}},
        problems=(NotReady,),
    )
    def get(self, request: Request) -> Response:
        """Checks the database, its migrations and Redis, for 2.5 seconds at most. While it fails, send this process no
        requests.

        Without Redis, the service is `degraded` but ready: limits are counted in the database, and emails wait.
        """
        checks = prober().checks()
        if not checks.ready:
            raise NotReady(checks=msgspec.to_builtins(checks))
        return Response(ReadyAnswer(status="ok" if checks.redis == "ok" else "degraded", checks=checks))


@cache
def prober() -> "Prober":
    return Prober()


class Prober:
    """Runs the checks in threads of its own, so that a database that swallows packets cannot hold up a request.

    While one round hangs, no second one starts: requests wait for it, each for at most PATIENCE. If all was well,
    nothing is checked again within FRESH. The work therefore does not grow with the number of requests, and no load
    balancer ever gets a 429.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="ready")
        self._database: Future[tuple[State, State]] | None = None
        self._redis: Future[State] | None = None
        self._migrated = False
        self._well: tuple[float, Checks] = (0.0, Checks())

    def checks(self) -> Checks:
        until, well = self._well
        if time.monotonic() < until:
            return well
        checks = self._look()
        if checks == Checks("ok", "ok", "ok"):
            self._well = (time.monotonic() + FRESH, checks)
        return checks

    def _look(self) -> Checks:
        with self._lock:
            self._database = self._running(self._database) or self._threads.submit(self._look_at_database)
            self._redis = self._running(self._redis) or self._threads.submit(look_at_redis)
            of_database, of_redis = self._database, self._redis
        pending: list[Future[Any]] = [of_database, of_redis]
        wait(pending, timeout=PATIENCE)
        database, migrations = of_database.result() if of_database.done() else ("unreachable", "unknown")
        return Checks(
            database=database,
            migrations=migrations,
            redis=of_redis.result() if of_redis.done() else "unreachable",
        )

    @staticmethod
    def _running(check: "Future[Any] | None") -> "Future[Any] | None":
        return check if check is not None and not check.done() else None

    def _look_at_database(self) -> tuple[State, State]:
        try:
            asked = connection_parameters()
            with psycopg.connect(**asked) as database:
                database.execute("SELECT set_config('statement_timeout', '2000', true)")
                only_reads = database.execute(ONLY_READS).fetchone() == (True,)
                if only_reads and asked["target_session_attrs"] != "any":
                    return "unreachable", "unknown"
                if not self._migrated:
                    applied = set(database.execute("SELECT app, name FROM django_migrations").fetchall())
                    self._migrated = expected_migrations() <= applied
        except psycopg.errors.UndefinedTable:
            return "ok", "behind"
        except psycopg.Error:
            return "unreachable", "unknown"
        return "ok", "ok" if self._migrated else "behind"


def connection_parameters() -> dict[str, Any]:
    """Return the parameters of a separate connection: a request's may be in use, and a new one shows the server's real
    state.

    It connects where a request's would, and sends the same startup parameters: a pooler would refuse others.
    """
    return {**session_settings.parameters(), "prepare_threshold": None}


@cache
def expected_migrations() -> frozenset[tuple[str, str]]:
    """Return the migrations that this version contains; read from disk once per process."""
    return frozenset(MigrationLoader(None).disk_migrations)


def look_at_redis() -> State:
    try:
        with redis_client() as client:
            client.ping()
    except redis.RedisError:
        return "unreachable"
    return "ok"


def redis_client() -> redis.Redis:
    """Return a separate client, which times out after a second."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)

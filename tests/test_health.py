"""Health tells the truth, in time."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings

from accounts.tests.strangers import connections_to
from config import health
from tests.listeners import ListenerClient

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_prober() -> Iterator[None]:
    health.prober.cache_clear()
    yield
    health.prober.cache_clear()


@pytest.fixture
def black_hole() -> Iterator[socket.socket]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.parametrize("listener", ["public", "internal", "admin"])
def test_ready_on_every_listener(listener: str) -> None:
    answer = ListenerClient(listener).get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"database": "ok", "migrations": "ok", "redis": "ok"}}


@override_settings(REDIS_URL="unix:///nowhere/valkey.sock")
def test_without_redis_it_is_degraded_and_ready(public: ListenerClient) -> None:
    answer = public.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["redis"] == "unreachable"


@pytest.mark.parametrize("listener", ["public", "internal"])
def test_without_the_database_it_is_not_ready(monkeypatch: pytest.MonkeyPatch, listener: str) -> None:
    client = ListenerClient(listener)
    monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.json()["checks"]["database"] == "unreachable"
    assert answer.headers["Retry-After"]
    assert client.get("/livez").status_code == 200


def test_a_black_hole_is_answered_within_three_seconds(
    public: ListenerClient, monkeypatch: pytest.MonkeyPatch, black_hole: socket.socket
) -> None:
    """By the setting; and three at once wait for one look at the database, not for one after another."""
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", str(black_hole.getsockname()[1]))
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda _: ListenerClient("public").get("/readyz").status_code, range(3)))
    assert answers == [503, 503, 503]
    assert connections_to(black_hole) == 1
    assert health.PATIENCE < 3


def test_who_asks_again_at_once_costs_no_look(
    public: ListenerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may ask: however often, the database is asked once a second."""
    monkeypatch.setattr(health, "FRESH", 60)
    assert public.get("/readyz").status_code == 200
    monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere")
    assert [public.get("/readyz").status_code for _ in range(20)] == [200] * 20
    health.prober()._well = (0.0, health.Checks())  # a second later
    assert public.get("/readyz").status_code == 503


def test_a_missing_migration_is_named(public: ListenerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    known = health.expected_migrations()
    monkeypatch.setattr(health, "expected_migrations", lambda: known | {("accounts", "9999_to_come")})
    answer = public.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["migrations"]) == (503, "behind")


def test_livez_looks_at_nothing(public: ListenerClient, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert public.get("/livez").json() == {"status": "ok"}

"""The limiter: exact under parallel callers, in Redis and in PostgreSQL, and quick when Redis is gone."""

import socket
import threading
import time

import pytest
from django.db import connection
from django.test import override_settings

from accounts.kit import throttles
from accounts.kit.problems import RateLimited
from accounts.models import RateLimitWindow
from accounts.tests.conftest import at_once, statements
from accounts.tests.strangers import connections_to, silent_port
from free_ports import free_port
from tests.waiting import eventually

RULES = {"few": (3, 2000), "one": (1, 60), "five": (5, 300)}
pytestmark = [pytest.mark.usefixtures("rules")]


@pytest.fixture
def rules(settings):
    settings.RATE_LIMITS = RULES


@pytest.fixture
def redis_at(settings):
    """`redis_at(url)`: from now on Redis is there."""

    good = settings.REDIS_URL

    def move(url):
        settings.REDIS_URL = url
        forget()

    yield move
    move(good)


def forget():
    forget_client()
    throttles.rest.end()


def forget_client():
    throttles._redis.cache_clear()
    throttles._script.cache_clear()


@pytest.fixture
def patient(monkeypatch):
    """Wait for Redis however busy the machine is: after a time-out PostgreSQL would count as many again."""
    monkeypatch.setattr(throttles, "REDIS_PATIENCE", 60)
    forget_client()
    yield
    forget_client()


@pytest.fixture(params=["redis", "postgresql"])
def store(request, db):
    """The same tests on both; while Redis rests, PostgreSQL counts."""
    if request.param == "postgresql":
        throttles.rest.begin()
        throttles.rest._until += 3600
    yield request.param
    throttles.rest.end()


def tries(*hits, times):
    return [throttles_say(*hits) for _ in range(times)]


def throttles_say(*hits):
    try:
        throttles.take(*hits)
    except RateLimited:
        return False
    return True


def make_older(hit, *, seconds):
    """As if the time had passed, in whichever store the hits are."""
    microseconds = seconds * throttles.MICROSECONDS
    hits = [int(at) - microseconds for at in throttles._redis().lrange(hit.key, 0, -1)]
    for place, at in enumerate(hits):
        throttles._redis().lset(hit.key, place, at)
    for row in RateLimitWindow.objects.filter(key=hit.key):
        RateLimitWindow.objects.filter(key=hit.key).update(hits=[at - microseconds for at in row.hits])


class TestBothStores:
    def test_counts_each_subject_of_each_rule(self, store):
        assert tries(throttles.hit("few", "a"), times=5) == [True] * 3 + [False] * 2
        assert tries(throttles.hit("few", "b"), times=1) == [True]
        assert tries(throttles.hit("one", "a"), times=2) == [True, False]
        assert (
            tries(throttles.hit("one", "a", "b"), times=1)
            == tries(throttles.hit("one", "ab"), times=1)
            == [True]
        )

    def test_says_how_long_to_wait(self, store):
        hit, started = throttles.hit("one", "a"), time.monotonic()
        throttles.take(hit)
        with pytest.raises(RateLimited) as refusal:
            throttles.take(hit)
        assert refusal.value.retry_after is not None
        assert 60 - (time.monotonic() - started) <= refusal.value.retry_after <= 60

    def test_the_window_slides(self, store):
        hit = throttles.hit("few", "a")
        throttles.take(hit)
        make_older(hit, seconds=1200)
        assert tries(hit, times=3) == [True, True, False]
        make_older(hit, seconds=1000)  # the first is over, the others are not
        assert tries(hit, times=2) == [True, False]

    def test_what_is_given_back_does_not_count(self, store):
        hit = throttles.hit("few", "a")
        for _ in range(10):
            throttles.take(hit)
            throttles.give_back(hit)
        assert tries(hit, times=4) == [True] * 3 + [False]
        throttles.give_back(throttles.hit("few", "never taken"))

    @pytest.mark.parametrize("backwards", [False, True])
    def test_counts_nowhere_what_one_limit_refuses(self, store, backwards):
        reached, free = throttles.hit("one", "a"), throttles.hit("few", "a")
        throttles.take(free)
        throttles.take(reached)
        hits = (free, reached) if backwards else (reached, free)
        assert tries(*hits, times=5) == [False] * 5
        assert tries(free, times=3) == [True] * 2 + [False]

    @override_settings(RATE_LIMITS_FACTOR=10)
    def test_the_factor_raises_all(self, store):
        assert tries(throttles.hit("few", "a"), times=31) == [True] * 30 + [False]

    def test_keeps_no_subject_in_clear(self, store):
        hit = throttles.hit("one", "zoe@example.com", "192.0.2.1")
        throttles.take(hit)
        assert "zoe" not in hit.key
        assert "192.0.2.1" not in hit.key


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_five_of_200(self, store, patient):
        results = at_once(200, lambda _: throttles_say(throttles.hit("five", "a")), threads=50)
        assert results.count(True) == 5


@pytest.mark.django_db
class TestRedisGone:
    def test_stopped(self, redis_at):
        redis_at(f"redis://127.0.0.1:{free_port()}/0")
        assert tries(throttles.hit("few", "a"), times=5) == [True] * 3 + [False] * 2
        assert RateLimitWindow.objects.count() == 1

    def test_silent_costs_one_request_its_patience_and_the_others_nothing(self, redis_at, monkeypatch):
        """The others do not ask it, so they cannot wait for it."""
        monkeypatch.setattr(throttles.rest, "seconds", 3600)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            redis_at(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
            for number in range(50):
                throttles.take(throttles.hit("one", str(number)))
            assert connections_to(silent) == 1
        patience = throttles._redis().get_connection_kwargs()
        assert (
            patience["socket_timeout"] == patience["socket_connect_timeout"] == throttles.REDIS_PATIENCE < 0.5
        )

    def test_its_return_is_noticed_and_costs_no_request_anything(self, redis_at, settings, monkeypatch):
        good = settings.REDIS_URL
        with silent_port() as port, monkeypatch.context() as patch:
            redis_at(f"redis://127.0.0.1:{port}/0")
            throttles.take(throttles.hit("one", "a"))
            patch.setattr(throttles, "REDIS_PATIENCE", 3600)  # until the port is closed, that is
            throttles._redis.cache_clear()
            throttles.rest._until -= throttles.rest.seconds
            throttles.take(throttles.hit("one", "b"))
            (look,) = (thread for thread in threading.enumerate() if thread.name == "rest-is-over")
        look.join()  # in vain
        redis_at(good)
        throttles.rest.begin()
        throttles.rest._until -= throttles.rest.seconds
        assert not throttles.rest.is_over()
        eventually(throttles.rest.is_over, "the end of the rest")
        with statements() as run:
            throttles.take(throttles.hit("one", "c"))
        assert run == []

    def test_purge_removes_what_is_over(self):
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO accounts_ratelimitwindow (key, hits, allowed, expires_at) VALUES"
                " ('old', '{}', TRUE, now() - interval '1 second'), ('new', '{}', TRUE, now() + interval '1 minute')"
            )
        assert throttles.purge() == 1
        assert RateLimitWindow.objects.get().key == "new"

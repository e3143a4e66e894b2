"""A process works on so many requests at once, with as many connections; who waits for a hash takes none of them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from accounts.kit import seats
from accounts.kit.seats import Seats
from config.stale_connections import drop_closed_by_server

pytestmark = pytest.mark.django_db(transaction=True)


def backend() -> int:
    """The process of PostgreSQL that serves this thread."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@pytest.fixture
def made():
    found = []

    def make(number):
        found.append(Seats(number, refresh=drop_closed_by_server))
        return found[-1]

    yield make
    for one in found:
        while not one._free.empty():
            one._free.get().close()


@pytest.fixture
def threads():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_threads_share_as_many_connections_as_there_are_seats(made, threads):
    two, together = made(2), threading.Barrier(8)

    def ask(_number):
        together.wait(10)
        with two.one():
            return backend()

    assert 1 <= len(set(threads.map(ask, range(8)))) <= 2
    assert 1 <= len(set(threads.map(ask, range(8)))) <= 2


def test_without_a_free_one_a_request_waits(made, threads):
    one, inside, leave = made(1), threading.Event(), threading.Event()

    def sit():
        with one.one():
            inside.set()
            leave.wait(10)

    first = threads.submit(sit)
    assert inside.wait(10)
    second = threads.submit(sit)
    assert not second.done()
    leave.set()
    first.result(10), second.result(10)


def test_who_waits_lends_theirs_with_its_connection(made, threads):
    one, lent, come_back = made(1), threading.Event(), threading.Event()

    def wait():
        with one.one():
            before = backend()
            with seats.lent():
                lent.set()
                come_back.wait(10)
            return before, backend()

    waiting = threads.submit(wait)
    assert lent.wait(10)

    def other():
        with one.one():
            return backend()

    theirs = threads.submit(other).result(10)
    come_back.set()
    assert waiting.result(10) == (theirs, theirs)


def test_a_seat_is_not_lent_within_a_transaction(made, threads):
    one = made(1)

    def lend():
        with one.one(), transaction.atomic(), pytest.raises(RuntimeError), seats.lent():
            pass
        with one.one():
            return backend()

    assert threads.submit(lend).result(10)


def test_a_broken_connection_is_not_handed_on(made, threads):
    one = made(1)

    def kill():
        with one.one(), pytest.raises(Exception, match="terminat"), connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    def ask():
        with one.one():
            return backend()

    threads.submit(kill).result(10)
    assert threads.submit(ask).result(10)


@pytest.mark.own_session
def test_one_that_the_server_ended_while_nobody_sat_there_is_opened_again(made, threads):
    one, lent, come_back = made(1), threading.Event(), threading.Event()

    def wait():
        with one.one():
            before = backend()
            with seats.lent():
                lent.set()
                come_back.wait(10)
            return before, backend()

    waiting = threads.submit(wait)
    assert lent.wait(10)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'idle'"
        )
    come_back.set()
    before, after = waiting.result(10)
    assert before != after


def test_a_thread_without_one_lends_nothing():
    before = backend()
    with seats.lent():
        assert backend() == before

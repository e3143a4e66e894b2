"""Limit the requests that a process works on at once, whatever its threads; each seat has a database connection.

A thread that only waits gives up its seat, with the connection, to others (`lent`). A listener can thus have threads
for everybody who waits for a password to be hashed, without more connections.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import LifoQueue

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper


class Seats:
    """The seats of one process. The one left last is taken first: its connection is warm, and others stay unopened.

    `refresh` is called after taking a seat, because its connection may have died while the seat was free.
    """

    def __init__(self, number: int, *, refresh: Callable[[], None] = lambda: None) -> None:
        self._refresh = refresh
        self._free: LifoQueue[BaseDatabaseWrapper] = LifoQueue()
        for _ in range(number):
            connection = connections.create_connection(DEFAULT_DB_ALIAS)
            connection.inc_thread_sharing()  # used by one thread after another
            self._free.put(connection)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Wait for a seat; inside, its connection is the thread's."""
        self._take()
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Give up the thread's seat inside, and wait for one at the end."""
        self._leave()
        try:
            yield
        finally:
            self._take()

    def _take(self) -> None:
        connections[DEFAULT_DB_ALIAS] = self._free.get()
        _here.seats = self
        self._refresh()

    def _leave(self) -> None:
        connection = connections[DEFAULT_DB_ALIAS]
        _here.seats = None
        del connections[DEFAULT_DB_ALIAS]
        try:
            connection.close_if_unusable_or_obsolete()
        finally:
            self._free.put(connection)


_here = threading.local()


@contextmanager
def lent() -> Iterator[None]:
    """Give up the thread's seat inside; do nothing in a thread without one (a worker's or a command's).

    Raise RuntimeError in a transaction, which keeps its connection to the end.
    """
    seats: Seats | None = getattr(_here, "seats", None)
    if seats is None:
        yield
        return
    if connections[DEFAULT_DB_ALIAS].in_atomic_block:
        raise RuntimeError("A seat cannot be lent within a transaction.")
    with seats.lent():
        yield

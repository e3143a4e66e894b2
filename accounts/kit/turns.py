"""Limit work of which the whole machine can do only so much at once, across its processes and fairly by source.

A file lists who works and who waits; the processes of a machine that name the same file form one queue. Changes are
made under `flock`, which the kernel releases when its holder dies. Everybody in the queue reports every half second; a
process that has been silent for two seconds, because it was killed, is skipped.

The order is start-time fair queueing (Goyal, Vin, Cheng 1996): a source's next turn starts where its last one ends, and
never before the turn being served. A source that asks eight times at once gets its second turn after everybody else's
first. The last places are reserved for sources that have few (Choudhury, Hahne 1998).
"""

import contextlib
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from accounts.kit.problems import ServiceUnavailable
from accounts.kit.slots import Slots

Result = TypeVar("Result")
log = structlog.get_logger("turns")

SILENCE = 2.0  # seconds of silence after which a waiter counts as gone
BEAT = 0.5
PAUSE = 0.01  # between two looks of the next in line; the tenth looks a tenth as often
MUTEX_PATIENCE = 1.0
SIZE = 16 * 1024  # of the file, written in full at once, so that a disk that fills up later stops nobody
SHARE = 4  # a source may hold this many places for each free one
LONGEST_RETRY = 8  # seconds


class Ticket(msgspec.Struct, array_like=True):
    """A turn that runs or waits. `sources` are names with a fair share each; times are the monotonic clock's."""

    id: str
    sources: tuple[str, ...]
    start: int
    arrived: float
    seen: float
    works: bool = False


_decoder = msgspec.json.Decoder(list[Ticket])


class Turns:
    """`running` turns at once on this machine, and up to `waiting` that wait for at most `patience` seconds.

    Work is done by threads of lower priority, so that it takes no processor time from threads that serve requests.
    """

    def __init__(
        self, path: Callable[[], Path], *, running: int, waiting: int, patience: float, nice: int
    ) -> None:
        self._path, self._running, self._waiting, self._patience = path, running, waiting, patience
        self._pool = ThreadPoolExecutor(running, "turns", initializer=_lower_priority, initargs=(nice,))
        self._alone = Slots(running=running, waiting=running, patience=patience)

    def require_room(self, *sources: str) -> None:
        """Raise ServiceUnavailable if nobody from these sources would be admitted."""
        with contextlib.suppress(OSError), self._open() as book:
            self._admit(book.tickets, sources)

    def do(self, work: Callable[[], Result], *sources: str) -> Result:
        """Return what `work` returns, once it is its turn. Raise ServiceUnavailable, and what `work` raises.

        Without the file (for example on a disk that cannot be written), each process limits itself.
        """
        try:
            ticket = self._enter(sources)
        except OSError as error:
            log.error("turns_without_file", error=error.strerror)
            with self._alone.one():
                return self._pool.submit(work).result()
        try:
            self._await_turn(ticket)
            return self._finish(ticket, work)
        finally:
            with contextlib.suppress(OSError), self._open() as book:
                book.remove(ticket)

    def _enter(self, sources: tuple[str, ...]) -> Ticket:
        now = time.monotonic()
        with self._open() as book:
            self._admit(book.tickets, sources)
            ticket = Ticket(secrets.token_hex(8), sources, _start(book.tickets, sources), now, now)
            book.tickets.append(ticket)
        return ticket

    def _admit(self, tickets: list[Ticket], sources: tuple[str, ...]) -> None:
        """Raise ServiceUnavailable if no place is left, or the last ones are reserved for others."""
        lined_up = [one for one in tickets if not one.works]
        free = self._waiting + self._running - len(tickets)
        own = max((sum(source in one.sources for one in lined_up) for source in sources), default=0)
        if free <= 0 or own >= SHARE * free:
            raise _unavailable()

    def _await_turn(self, ticket: Ticket) -> None:
        while True:
            try:
                place = self._look(ticket)
            except OSError:
                place = self._waiting  # someone has held the lock for too long
            if place is None:
                return
            if time.monotonic() - ticket.arrived > self._patience:
                raise _unavailable()
            time.sleep(PAUSE * (1 + place))

    def _look(self, ticket: Ticket) -> int | None:
        """Return the number of tickets ahead; None: it is this one's turn."""
        with self._open() as book:
            mine = book.keep(ticket)
            before = sum(_order(one) < _order(mine) for one in book.tickets if not one.works)
            mine.works = before < self._running - sum(one.works for one in book.tickets)
        return None if mine.works else before

    def _finish(self, ticket: Ticket, work: Callable[[], Result]) -> Result:
        done = self._pool.submit(work)
        while not wait([done], BEAT).done:
            with contextlib.suppress(OSError), self._open() as book:
                book.keep(ticket).works = True
        return done.result()

    @contextlib.contextmanager
    def _open(self) -> Iterator["_Book"]:
        descriptor = os.open(self._path(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor)
            book = _Book(descriptor)
            yield book
            book.write()
        finally:
            os.close(descriptor)  # this releases the lock


class _Book:
    """The content of the file without silent processes. Only for a holder of the file's lock."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._now = descriptor, time.monotonic()
        self._read = os.pread(descriptor, SIZE, 0)
        try:
            tickets = _decoder.decode(self._read)
        except msgspec.DecodeError:  # new, or corrupted by a power cut
            tickets = []
        self.tickets = [one for one in tickets if 0 <= self._now - one.seen < SILENCE]

    def keep(self, ticket: Ticket) -> Ticket:
        """Return the ticket's row and keep it alive; add it again if it was presumed gone."""
        mine = next((one for one in self.tickets if one.id == ticket.id), None)
        if mine is None:
            mine = ticket
            self.tickets.append(mine)
        if self._now - mine.seen > BEAT:
            mine.seen = self._now
        return mine

    def remove(self, ticket: Ticket) -> None:
        self.tickets = [one for one in self.tickets if one.id != ticket.id]

    def write(self) -> None:
        written = msgspec.json.encode(self.tickets).ljust(SIZE)
        if written != self._read:
            os.pwrite(self._descriptor, written, 0)


def _start(tickets: list[Ticket], sources: tuple[str, ...]) -> int:
    """Return where a new turn starts: with the one being served, but after the last of the same source."""
    served = min((one.start for one in tickets), default=0)
    own = (one.start + 1 for one in tickets if not set(sources).isdisjoint(one.sources))
    return max(served, max(own, default=0))


def _order(ticket: Ticket) -> tuple[int, float, str]:
    return ticket.start, ticket.arrived, ticket.id


def _lock(descriptor: int) -> None:
    """Raise TimeoutError (an OSError) if another process, such as a stopped one, keeps the lock."""
    deadline = time.monotonic() + MUTEX_PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError("the lock is held") from None
            time.sleep(0.001)
        else:
            return


def _unavailable() -> ServiceUnavailable:
    """Return a refusal with a random retry time, so that those refused together do not return together."""
    return ServiceUnavailable(retry_after=1 + secrets.randbelow(LONGEST_RETRY))


def _lower_priority(nice: int) -> None:
    """Lower the priority of this thread alone: on Linux each thread has its own nice value."""
    me = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, me, max(nice, os.getpriority(os.PRIO_PROCESS, me)))

"""gunicorn's threaded worker, but no thread serves a request before all of it is here, and threads wait for themselves.

The stock one hands each request from its main thread to a pool and back through a pipe. That took more of the
interpreter's time than the request, and its threads read bodies as slowly as a client sends them: sixty clients that
trickle stop it. Here each thread waits on one epoll, reads what has come, and serves only what is complete; so a slow
client costs memory, within a bound, and is cut at a deadline. Parsing, WSGI and limits stay gunicorn's
(docs/decisions/0021).
"""

import contextlib
import fcntl
import os
import re
import select
import selectors
import socket
import sys
import termios
import time
from typing import Any

from gunicorn import http
from gunicorn.http.unreader import Unreader
from gunicorn.workers.gthread import ThreadWorker

FIRST_BYTE = 10.0  # seconds in which a new connection must begin to speak
WHOLE_REQUEST = 20.0  # seconds from a request's first byte to its last
SEND = 5.0  # seconds in which a client must take what the system's buffer does not hold of an answer
# Bytes of answers that a client has not taken: who has more of them is answered no further.
MOST_UNSENT = 64 * 1024
LEAVE = 2.0  # seconds in which a client that was refused may go on sending, or it would never see the refusal
LINGER = 2.0  # seconds in which a stopping worker still answers on connections that it has promised to keep
TICK = 0.5
PIECE = 64 * 1024
LARGEST_HEAD = 64 * 1024
# What the application reads (settings.LARGE_BODY_LIMIT), with the framing of chunks.
LARGEST_BODY = 1024 * 1024 + 64 * 1024
MOST_WAITING = 64 * 1024 * 1024  # bytes of all incomplete requests of one worker

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*0*(\d{1,15})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]+(?=[;\s]|\Z)")
ARMED = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT


class Received(Unreader):  # type: ignore[misc]
    """What has come, for the parser, which never reads from the socket: it would do so at the client's pace.

    Where it counts otherwise than we do it runs dry, and nobody knows where the next request begins.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ran_dry = False

    def chunk(self, size_hint: int | None = None) -> bytes:
        self.ran_dry = True
        return b""


class Connection:
    """One client. Whoever took it out of the worker's `waiting` owns it: a thread, or the sweep."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        self.sock, self.client, self.server = sock, client, server
        self.descriptor = sock.fileno()
        self.parser = http.get_parser(cfg, (), client)
        self.parser.unreader = Received()
        self.deadline = time.monotonic() + FIRST_BYTE
        self.leaving = False  # answered for the last time; what it still sends is thrown away
        self.held = False  # has asked again, but not taken what it was answered
        self._begin()

    def _begin(self) -> None:
        self.received = bytearray()
        self.looked_at = 0  # no end of the head, or no beginning of a chunk, before this
        self.head = 0  # length of the head, once it is here
        self.whole: int | None = None  # length of head and body, where that is known

    def add(self, data: bytes) -> None:
        if not self.received:
            self.deadline = time.monotonic() + WHOLE_REQUEST
        self.received += data

    def is_complete(self) -> bool:
        if not self.head and not self._read_head():
            return False
        return self._has_last_chunk() if self.whole is None else len(self.received) >= self.whole

    def is_too_large(self) -> bool:
        """Nothing is gained by waiting for the rest: with what is here it gets its refusal."""
        if not self.head:
            return len(self.received) > LARGEST_HEAD
        return max(len(self.received), self.whole or 0) > self.head + LARGEST_BODY

    def _read_head(self) -> bool:
        end = self.received.find(b"\r\n\r\n", self.looked_at)
        self.looked_at = max(0, len(self.received) - 3) if end < 0 else end + 4
        if end < 0:
            return False
        self.head = end + 4
        head = self.received[: self.head]
        length = _LENGTH.search(head)
        if length or not _CHUNKED.search(head):
            self.whole = self.head + (int(length[1]) if length else 0)
        if _EXPECT.search(head) and len(self.received) == self.head:
            self.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _has_last_chunk(self) -> bool:
        """RFC 9112, 7.1. What is no chunk counts as the last: the parser refuses it."""
        while (line_end := self.received.find(b"\r\n", self.looked_at)) >= 0:
            size = _CHUNK_SIZE.match(self.received, self.looked_at, line_end)
            if size is None:
                return True
            if int(size[0], 16) == 0:
                return self.received.find(b"\r\n\r\n", line_end) >= 0
            following = line_end + 2 + int(size[0], 16) + 2
            if following > len(self.received):
                return False
            self.looked_at = following
        return False

    def hand_over(self) -> None:
        """Gives the parser what is here. Of a request that is not complete it will find no more: it cannot wait."""
        self.parser.unreader.unread(bytes(self.received))
        self._begin()

    def take_back(self) -> None:
        """What the client sent behind the request that was answered."""
        if rest := self.parser.unreader.take_buffered():
            self.add(rest)

    def is_behind(self, most: int) -> bool:
        unsent = fcntl.ioctl(self.descriptor, termios.TIOCOUTQ, bytes(4))
        return int.from_bytes(unsent, sys.byteorder) > most

    def leave(self) -> None:
        self.leaving, self.deadline = True, time.monotonic() + LEAVE
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()


class ReadyWorker(ThreadWorker):  # type: ignore[misc]
    """`threads` of it serve; the main thread accepts, ends what is overdue, and tells the master that all is well."""

    def init_process(self) -> None:
        self.ready = select.epoll()
        self.waiting: dict[int, Connection] = {}
        self.connections: set[Connection] = set()
        self.serving = True
        super().init_process()

    def run(self) -> None:
        wake_up = self.method_queue
        self.poller.register(wake_up.fileno(), selectors.EVENT_READ, wake_up.run_callbacks)
        self.set_accept_enabled(True)
        for _ in range(self.cfg.threads):
            self.tpool.submit(self.serve)
        while self.alive and self.is_parent_alive():
            self.notify()
            self.wait_for_and_dispatch_events(timeout=TICK)
            self.end_overdue()
        self.set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        self.finish()
        self.serving = False
        self.tpool.shutdown(wait=False)

    def finish(self) -> None:
        """Answers what has been asked, for as long as gunicorn's graceful time-out allows."""
        last, linger = time.monotonic() + self.cfg.graceful_timeout, time.monotonic() + LINGER
        while self.connections and time.monotonic() < last:
            self.notify()
            self.end_overdue(idle_until=linger)
            time.sleep(TICK / 10)

    def accept(self, listener: socket.socket) -> None:
        try:
            sock, client = listener.accept()
        except OSError:  # another worker was faster, or the client has left
            return
        if len(self.connections) >= self.worker_connections:
            self.end_most_overdue()
        sock.settimeout(SEND)
        connection = Connection(self.cfg, sock, client, listener.getsockname())
        self.connections.add(connection)
        self.waiting[connection.descriptor] = connection
        self.ready.register(connection.descriptor, ARMED)

    def end_overdue(self, *, idle_until: float = float("inf")) -> None:
        now = time.monotonic()
        for descriptor, connection in list(self.waiting.items()):
            deadline = connection.deadline if connection.received else min(connection.deadline, idle_until)
            if deadline <= now and self.waiting.pop(descriptor, None) is not None:
                self.end(connection)
            elif connection.held and not connection.is_behind(0):
                connection.held = False
                self.arm(
                    connection, select.EPOLLOUT | select.EPOLLONESHOT
                )  # it can be written to: a thread goes on

    def end_most_overdue(self) -> None:
        """Makes room for somebody new: who has kept quiet longest goes."""
        waiting = sorted(self.waiting.items(), key=lambda item: item[1].deadline)
        for descriptor, connection in waiting[:1]:
            if self.waiting.pop(descriptor, None) is not None:
                self.end(connection)

    def end(self, connection: Connection) -> None:
        self.connections.discard(connection)
        connection.close()

    # ------------------------------------------------------------------ in the threads

    def serve(self) -> None:
        while self.serving:
            for descriptor, _ in self.ready.poll(TICK, 1):
                if connection := self.waiting.pop(descriptor, None):
                    self.advance(connection)

    def advance(self, connection: Connection) -> None:
        """Reads what has come and answers what is complete; then the connection waits again, or ends."""
        try:
            goes_on = self.read(connection) and (connection.leaving or self.answer_all(connection))
        except OSError:  # the client has left
            goes_on = False
        except BaseException:
            self.log.exception("A connection failed.")
            goes_on = False
        if not goes_on:
            return self.end(connection)
        self.waiting[connection.descriptor] = connection
        if not connection.held:
            self.arm(connection, ARMED)
        return None

    def arm(self, connection: Connection, events: int) -> None:
        with contextlib.suppress(OSError, ValueError):  # overdue, and ended meanwhile
            self.ready.modify(connection.descriptor, events)

    def read(self, connection: Connection) -> bool:
        """Whether the client is still there."""
        try:
            data = os.read(connection.descriptor, PIECE)
        except BlockingIOError:  # nothing had come after all
            return True
        if not connection.leaving:
            connection.add(data)
        return bool(data)

    def answer_all(self, connection: Connection) -> bool:
        """Answers each request that has come. Whether the connection goes on."""
        while connection.received:
            complete = connection.is_complete()
            if not complete and not connection.is_too_large():
                return self.has_room()
            if connection.is_behind(MOST_UNSENT):
                connection.held = True
                return True
            connection.leaving = not complete
            connection.hand_over()
            keep = self.answer(connection)
            if connection.leaving:
                connection.leave()
                return True
            if not keep:
                return False
            connection.take_back()
            if not connection.received:
                connection.deadline = time.monotonic() + self.cfg.keepalive
        return True

    def has_room(self) -> bool:
        return sum(len(each.received) for each in list(self.waiting.values())) < MOST_WAITING

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:  # noqa: FBT001 -- gunicorn's signature
        """All of the body is here, so what the application did not read is thrown away however much it is.

        gunicorn gives up after 64 KiB, and closes a connection that it has just promised to keep.
        """
        return keepalive and bool(conn.parser.finish_body())

    def answer(self, connection: Connection) -> bool:
        """Whether the client may send another request."""
        request = None
        try:
            request = next(connection.parser)
            if connection.leaving:
                request.force_close()  # the answer says so: else the client's next request would find nobody
            keep = self._keepalive_after(connection, self.handle_request(request, connection))
            return bool(keep) and not connection.parser.unreader.ran_dry
        except (http.errors.NoMoreData, StopIteration):
            return False
        except OSError as error:  # the client has left, or does not take its answer
            self.log.debug("Connection lost: %s", error)
        except Exception as error:  # noqa: BLE001 -- gunicorn's own answer to what its parser or the application raises
            self.handle_error(request, connection.sock, connection.client, error)
        return False

"""gunicorn with our worker class: what a slow, rude or hasty client can do, over real sockets."""

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(
    not hasattr(select, "epoll"), reason="this system has no epoll: gthread serves"
)
Client = Callable[[], socket.socket]
PATIENCE = 30  # seconds in which an answer must come: fewer than the patient server waits for anything


class Server:
    """gunicorn with our worker; it waits for slow clients for about so many seconds."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.port = int(self.next_line().split()[-1])

    def next_line(self) -> str:
        """Return what it says next; wait for it."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def listens(self) -> bool:
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return False
        return True


@contextlib.contextmanager
def running(*, seconds: float) -> Iterator[Server]:
    command = [sys.executable, "-m", "gunicorn", "tests.worker_app:application", "-c", "tests/worker_app.py"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "SECONDS_FOR_CLIENTS": str(seconds)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield Server(process)
        process.terminate()


@pytest.fixture(scope="module")
def patient_server() -> Iterator[Server]:
    """Cut nobody for a minute: whoever is answered here was not answered because somebody else had been cut."""
    with running(seconds=2 * PATIENCE) as server:
        yield server


@pytest.fixture(scope="module")
def hasty_server() -> Iterator[Server]:
    with running(seconds=1) as server:
        yield server


@pytest.fixture
def client(patient_server: Server) -> Iterator[Client]:
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(patient_server.connect())


@pytest.fixture
def soon_cut(hasty_server: Server) -> Iterator[Client]:
    """A client of a server that cuts the slow after a second or two."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(hasty_server.connect())


BODY = re.compile(rb"((?:GET|POST) /\w* \d+)")


def answers(connection: socket.socket, *, number: int = 1) -> list[str]:
    """The bodies of so many answers that come on the connection."""
    return [body.decode() for body in BODY.findall(whole_answers(connection, number=number))]


def whole_answers(connection: socket.socket, *, number: int = 1) -> bytes:
    received = b""
    while len(BODY.findall(received)) < number:
        piece = connection.recv(65536)
        assert piece, received
        received += piece
    return received


def is_closed(connection: socket.socket) -> bool:
    """Whether the server ends the connection, whatever it says before."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


def slow_ones(client: Client) -> list[socket.socket]:
    """Connect twenty who send no more than the head, twenty who send half of it, and twenty who say nothing."""
    head_only = [client() for _ in range(20)]
    for slow in head_only:
        slow.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12")
    half_head = [client() for _ in range(20)]
    for slow in half_head:
        slow.sendall(b"GET / HTTP/1.1\r\nHost:")
    return [*head_only, *half_head, *(client() for _ in range(20))]


def test_slow_clients_take_no_thread(client):
    slow_ones(client)
    quick = client()
    quick.sendall(b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answers(quick) == ["GET /quick 0"]


def test_slow_clients_are_cut(soon_cut):
    assert all(is_closed(slow) for slow in slow_ones(soon_cut))


def test_who_comes_when_all_places_are_taken_gets_that_of_the_quietest(client):
    quiet = [client() for _ in range(100)]
    late = client()
    late.sendall(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answers(late) == ["GET /late 0"]
    assert is_closed(quiet[0])


def test_who_asks_on_and_on_and_never_reads_takes_no_thread(client):
    """There are two threads: all six could not have an answer begun if each held one."""
    deaf = [client() for _ in range(6)]
    for one in deaf:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
    for one in deaf:
        assert select.select([one], [], [], PATIENCE)[0]
    time.sleep(0.5)  # by now all of them are far behind
    quick = client()
    quick.sendall(b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answers(quick) == ["GET /quick 0"]


def test_who_asks_for_much_at_once_and_reads_it_gets_it_all(client):
    hasty = client()
    hasty.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
    assert answers(hasty, number=5) == ["GET /long 0"] * 5


def test_a_client_that_trickles_forever_is_cut_all_the_same(soon_cut):
    slow = soon_cut()
    slow.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    with pytest.raises(ConnectionError):
        trickle(slow)


def trickle(connection: socket.socket) -> None:
    for _ in range(10 * PATIENCE):
        connection.sendall(b"1")
        time.sleep(0.1)


def test_requests_sent_at_once_are_answered_in_order(client):
    hasty = client()
    one, two = (
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    hasty.sendall(one + two + one[:20])
    assert answers(hasty, number=2) == ["POST /a 3", "GET /b 0"]
    hasty.sendall(one[20:])
    assert answers(hasty) == ["POST /a 3"]


@pytest.mark.parametrize("pause_after", [1, 30, 80, 95, 110])
def test_chunks_may_come_in_any_pieces(client, pause_after):
    whole = (
        b"POST /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;name=value\r\n0\r\n\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: x\r\n\r\n"
    )
    connection = client()
    connection.sendall(whole[:pause_after])
    time.sleep(0.1)
    connection.sendall(whole[pause_after:])
    assert answers(connection) == ["POST /chunks 8"]


def test_a_large_body_arrives_whole(client):
    connection = client()
    connection.sendall(b"POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" + b"x" * 1048576)
    assert answers(connection) == ["POST /large 1048576"]


def test_who_announces_too_much_is_refused_at_once_and_can_read_it(client):
    connection = client()
    connection.sendall(
        b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 200_000
    )
    received = whole_answers(connection)
    assert received.endswith(b"POST /unread 0")
    assert b"\r\nConnection: close\r\n" in received
    assert is_closed(connection)


def test_who_sent_too_much_may_ask_again(client):
    """A refusal before the body was read must not cost the next request, which a proxy sends for somebody else."""
    connection = client()
    for body in (b"x" * 1_000_000, b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n" * 5000):
        head = b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)
        assert answers(connection) == ["POST /unread 0"]
    connection.sendall(b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answers(connection) == ["GET /next 0"]


def test_chunks_without_end_are_read_no_further_than_the_limit(client):
    connection = client()
    connection.sendall(b"POST /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        for _ in range(60):
            connection.sendall(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
    assert is_closed(connection)


LONG_LENGTH = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 00000000000000000010\r\n\r\n"
LONG_CHUNK = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n00000000000a\r\n"


@pytest.mark.parametrize(("head", "end"), [(LONG_LENGTH, b""), (LONG_CHUNK, b"\r\n0\r\n\r\n")])
def test_a_length_in_an_unusual_spelling_takes_no_thread_either(client, soon_cut, head, end):
    slow = [client() for _ in range(4)]
    for one in slow:
        one.sendall(head + b"1")
    quick = client()
    quick.sendall(b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answers(quick) == ["GET /quick 0"]

    slow[0].sendall(b"234567890" + end)
    assert answers(slow[0]) == ["POST /body 10"]

    never_done = soon_cut()
    never_done.sendall(head + b"1")
    assert is_closed(never_done)


def test_where_the_parser_counts_otherwise_the_connection_ends(client):
    """Else what comes later of a body would be read as a request of its own."""
    connection = client()
    connection.sendall(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999\r\n\r\n123")
    assert answers(connection) == ["POST /unread 0"]
    assert is_closed(connection)


@pytest.mark.parametrize(
    "junk",
    [
        b"\r\n\r\n\r\n\r\n", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 70_000,
    ],
)  # fmt: skip
def test_junk_ends_the_connection_and_hurts_nobody(client, junk):
    connection = client()
    connection.sendall(junk)
    assert is_closed(connection)
    other = client()
    other.sendall(b"GET /after HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answers(other) == ["GET /after 0"]


def test_who_waits_to_be_asked_for_the_body_is_asked(client):
    connection = client()
    connection.sendall(
        b"POST /asked HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    )
    assert connection.recv(65536).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    connection.sendall(b"abc")
    assert answers(connection) == ["POST /asked 3"]


def test_a_stop_answers_what_has_been_asked():
    with running(seconds=2 * PATIENCE) as server, server.connect() as idle, server.connect() as busy:
        idle.sendall(b"GET /idle HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answers(idle) == ["GET /idle 0"]
        busy.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert server.next_line() == "serving /slow\n"

        server.process.send_signal(signal.SIGTERM)
        while server.listens():
            time.sleep(0.05)
        idle.sendall(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")  # on a connection that it had promised to keep

        assert answers(busy) == ["GET /slow 0"]
        assert answers(idle) == ["GET /late 0"]
        assert server.process.wait(PATIENCE) == 0

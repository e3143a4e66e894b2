"""gunicorn with our worker class: what a slow, rude or hasty client can do, over real sockets."""

import contextlib
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


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "gunicorn", "tests.worker_app:application", "-c", "tests/worker_app.py"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline().split()[-1]), process
        process.terminate()


@pytest.fixture
def client(server: tuple[int, object]) -> Iterator[Client]:
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(socket.create_connection(("127.0.0.1", server[0]), timeout=10))


def answers(connection: socket.socket, *, number: int = 1) -> list[str]:
    """The bodies of so many answers that come on the connection."""
    received = b""
    while len(found := re.findall(rb"((?:GET|POST) /\w* \d+)", received)) < number:
        piece = connection.recv(65536)
        assert piece, received
        received += piece
    return [body.decode() for body in found]


def is_closed(connection: socket.socket) -> bool:
    """Whether the server ends the connection, whatever it says before."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


def test_slow_clients_take_no_thread_and_are_cut(client):
    head_only = [client() for _ in range(20)]
    for slow in head_only:
        slow.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12")
    half_head = [client() for _ in range(20)]
    for slow in half_head:
        slow.sendall(b"GET / HTTP/1.1\r\nHost:")
    silent = [client() for _ in range(20)]

    started = time.monotonic()
    quick = client()
    quick.sendall(b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answers(quick) == ["GET /quick 0"]
    assert time.monotonic() - started < 1

    assert all(is_closed(slow) for slow in [*head_only, *half_head, *silent])
    assert time.monotonic() - started < 8


def test_who_comes_when_all_places_are_taken_gets_that_of_the_quietest(client):
    quiet = [client() for _ in range(100)]
    time.sleep(0.2)
    late = client()
    late.sendall(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    started = time.monotonic()
    assert answers(late) == ["GET /late 0"]
    assert time.monotonic() - started < 0.5
    assert is_closed(quiet[0])


def test_who_asks_on_and_on_and_never_reads_takes_no_thread(client):
    for _ in range(6):
        deaf = client()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
    time.sleep(0.5)
    quick, started = client(), time.monotonic()
    quick.sendall(b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answers(quick) == ["GET /quick 0"]
    assert time.monotonic() - started < 1


def test_who_asks_for_much_at_once_and_reads_it_gets_it_all(client):
    hasty = client()
    hasty.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
    assert answers(hasty, number=5) == ["GET /long 0"] * 5


def test_a_client_that_trickles_forever_is_cut_all_the_same(client):
    slow, started = client(), time.monotonic()
    slow.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while time.monotonic() - started < 8:
            slow.sendall(b"1")
            time.sleep(0.1)
    assert time.monotonic() - started < 5


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
    received = connection.recv(65536)
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
    connection, started = client(), time.monotonic()
    connection.sendall(b"POST /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        for _ in range(60):
            connection.sendall(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
    assert is_closed(connection)
    assert time.monotonic() - started < 5


LONG_LENGTH = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 00000000000000000010\r\n\r\n"
LONG_CHUNK = b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n00000000000a\r\n"


@pytest.mark.parametrize(("head", "end"), [(LONG_LENGTH, b""), (LONG_CHUNK, b"\r\n0\r\n\r\n")])
def test_a_length_in_an_unusual_spelling_takes_no_thread_either(client, head, end):
    slow = [client() for _ in range(4)]
    for one in slow:
        one.sendall(head + b"1")
    time.sleep(0.1)

    quick, started = client(), time.monotonic()
    quick.sendall(b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answers(quick) == ["GET /quick 0"]
    assert time.monotonic() - started < 0.5

    slow[0].sendall(b"234567890" + end)
    assert answers(slow[0]) == ["POST /body 10"]
    assert is_closed(slow[1])


def test_where_the_parser_counts_otherwise_the_connection_ends(client):
    """Else what comes later of a body would be read as a request of its own."""
    connection, started = client(), time.monotonic()
    connection.sendall(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999\r\n\r\n123")
    assert answers(connection) == ["POST /unread 0"]
    assert is_closed(connection)
    assert time.monotonic() - started < 0.5


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


def test_a_stop_answers_what_has_been_asked(server, client):
    _, process = server
    idle, busy = client(), client()
    idle.sendall(b"GET /idle HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answers(idle) == ["GET /idle 0"]
    busy.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.2)

    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    idle.sendall(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")  # on a connection that it had promised to keep

    assert answers(busy) == ["GET /slow 0"]
    assert answers(idle) == ["GET /late 0"]
    assert process.wait(10) == 0

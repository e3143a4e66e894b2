"""F24: clients that do what HTTP allows, but far too much of it, on both servers."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import nginx
from instance import Instance
from mail_sink import MailSink
from reckoning import Verdict
from restarts import Listener

SERVERS = ("gunicorn", "granian")
HEAD = b"Host: 127.0.0.1\r\nContent-Type: application/json\r\n"
LOGIN = b"POST /v1/auth/login HTTP/1.1\r\n" + HEAD
CHUNKS = 240_000 // 6  # as many of one byte as 240 KB on the wire hold
DEAF_SECONDS, DEAF_EACH_SECOND = 20, 3
HASTY, CALLS = 8, 800
UNFINISHED = 60
PATIENCE = 5.0  # seconds that another call may take beside each of these

Rudeness = Callable[[int], contextlib.AbstractContextManager[object]]


def through_the_proxy(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Run all of it on the public listener behind nginx, as in production."""
    if not nginx.program():
        verdict.notes.append("skipped: nginx is not installed (Debian: apt-get install nginx)")
        return
    for server in SERVERS:
        with _listener(instance, server, verdict) as listener:
            proxy = nginx.Nginx(instance.directory / f"nginx-{server}", {"web": listener.port})
            try:
                _all_of(proxy.ports["web"], f"{server} behind nginx", [*DIRECT, unfinished], verdict)
            finally:
                proxy.stop()


def without_one(instance: Instance, _sink: MailSink, verdict: Verdict) -> None:
    """Run all of it on a listener without a proxy; the bodies that never end are only reported."""
    for server in SERVERS:
        with _listener(instance, server, verdict) as listener:
            _all_of(listener.port, server, DIRECT, verdict)
            with unfinished(listener.port):
                waited = _call(listener.port, patience=60.0)
            verdict.notes.append(
                f"{server}: beside {UNFINISHED} unfinished bodies a call takes {_shown(waited)}"
            )


@contextlib.contextmanager
def _listener(instance: Instance, server: str, verdict: Verdict) -> Iterator[Listener]:
    listener = Listener(instance, name="public", server=server, TRUSTED_PROXY_COUNT="1")
    try:
        instance.await_(listener.live, "the listener did not start", within=90)
        yield listener
    finally:
        listener.end()
        verdict.failures += instance.crashes()


def _all_of(port: int, where: str, kinds: list[Rudeness], verdict: Verdict) -> None:
    for rude in kinds:
        alone = _call(port)
        with rude(port) as told:
            waits = [_call(port) for _ in range(5)]
        slowest = None if None in waits else max(wait for wait in waits if wait is not None)
        verdict.require(
            slowest is not None and slowest <= PATIENCE,
            f"{where}, {rude.__name__}: others waited {_shown(slowest)}",
        )
        found = told() if callable(told) else ""
        verdict.notes.append(
            f"{where}, {rude.__name__}: another call {_shown(alone)} alone, at most {_shown(slowest)} beside it {found}"
        )


def _shown(seconds: float | None) -> str:
    return "no answer" if seconds is None else f"{seconds:.2f} s"


def _call(port: int, *, patience: float = 20.0) -> float | None:
    """Return the seconds that someone else's call takes; None if there is no answer."""
    begun = time.monotonic()
    with contextlib.suppress(OSError), _connected(port, patience=patience) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        if connection.recv(65536).startswith(b"HTTP/1.1 200 "):
            return time.monotonic() - begun
    return None


def _connected(port: int, *, patience: float = 60.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=patience)


@contextlib.contextmanager
def small_chunks(port: int) -> Iterator[Callable[[], str]]:
    """Send 240 KB of one-byte chunks eight times at once, and alone a quarter of that for comparison."""
    quarter = _send_chunks(port, CHUNKS // 4)
    whole = _send_chunks(port, CHUNKS)
    threads = [threading.Thread(target=_send_chunks, args=(port, CHUNKS)) for _ in range(8)]
    for thread in threads:
        thread.start()
    yield lambda: f"(one alone {whole:.2f} s, a quarter of it {quarter:.2f} s)"
    for thread in threads:
        thread.join()


def _send_chunks(port: int, number: int) -> float:
    begun = time.monotonic()
    with contextlib.suppress(OSError), _connected(port) as connection:
        connection.sendall(LOGIN + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        connection.sendall(b"1\r\n \r\n" * number + b"0\r\n\r\n")
        connection.recv(65536)
    return time.monotonic() - begun


@contextlib.contextmanager
def deaf_readers(port: int) -> Iterator[None]:
    """Request the largest document on three connections a second, and read nothing of it."""
    with contextlib.ExitStack() as stack:
        for _ in range(DEAF_SECONDS * DEAF_EACH_SECOND):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", port))
            deaf.sendall(b"GET /v1/schema HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            time.sleep(1 / DEAF_EACH_SECOND)
        yield


@contextlib.contextmanager
def pipelined_calls(port: int) -> Iterator[Callable[[], str]]:
    """Send 800 calls at once on each of eight connections; all of them must be answered."""
    answered = [0] * HASTY
    threads = [threading.Thread(target=_pipeline, args=(port, n, answered)) for n in range(HASTY)]
    for thread in threads:
        thread.start()

    def told() -> str:
        for thread in threads:
            thread.join()
        return f"({sum(answered)} of {HASTY * CALLS} answered)"

    yield told


def _pipeline(port: int, number: int, answered: list[int]) -> None:
    with contextlib.suppress(OSError), _connected(port) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * CALLS)
        received = b""
        while received.count(b"HTTP/1.1 200 ") < CALLS and (piece := connection.recv(65536)):
            received += piece
        answered[number] = received.count(b"HTTP/1.1 200 ")


@contextlib.contextmanager
def unfinished(port: int) -> Iterator[None]:
    """Send only the first byte of 60 bodies."""
    with contextlib.ExitStack() as stack:
        for _ in range(UNFINISHED):
            stack.enter_context(_connected(port)).sendall(LOGIN + b"Content-Length: 1000\r\n\r\n{")
        time.sleep(0.5)
        yield


DIRECT: list[Rudeness] = [small_chunks, deaf_readers, pipelined_calls]

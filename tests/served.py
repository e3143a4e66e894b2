"""A listener as production runs it, on a free port, for tests over real sockets."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from processes import die_with_parent

ROOT = Path(__file__).resolve().parent.parent


class Served:
    """One worker of two threads, so that little is enough to take them all. `log` is what it wrote."""

    def __init__(self, server: str, place: Path, *, listener: str, **environment: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.log = place / f"{server}-{self.port}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                ["/bin/sh", "deploy/listen", server, "127.0.0.1", str(self.port)],
                cwd=ROOT,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "config.settings.test",
                    "LISTENER": listener,
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "WEB_CONCURRENCY": "1",
                    "WEB_THREADS": "2",
                    **environment,
                },
                stdout=output,
                stderr=output,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509
            )
        self._await()

    def _await(self) -> None:
        for _ in range(600):
            with contextlib.suppress(OSError):
                ask(self.port, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@contextlib.contextmanager
def served(server: str, place: Path, *, listener: str = "public", **environment: str) -> Iterator[Served]:
    running = Served(server, place, listener=listener, **environment)
    try:
        yield running
    finally:
        running.stop()


def connect(port: int, *, patience: float = 10) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=patience)


def ask(port: int, request: bytes, *, patience: float = 10) -> bytes:
    """All that comes on a connection of its own until it ends."""
    with connect(port, patience=patience) as connection:
        connection.sendall(request)
        return to_the_end(connection)


def to_the_end(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            received += piece
    return received


def seconds_of_a_call(port: int) -> float:
    """What somebody else waits meanwhile."""
    begun = time.monotonic()
    answer = ask(port, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:100]
    return time.monotonic() - begun

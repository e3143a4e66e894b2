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

from django.db import connection as database

from free_ports import free_port
from processes import die_with_parent

ROOT = Path(__file__).resolve().parent.parent
LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Served:
    """One worker of two threads, so that little is enough to take them all. `log` is what it wrote."""

    def __init__(
        self, server: str, place: Path, *, listener: str, unix: bool = False, **environment: str
    ) -> None:
        self.port = free_port()
        self.end: int | Path = place / f"{server}.sock" if unix else self.port
        self.log = place / f"{server}-{self.port}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    "/bin/sh",
                    "deploy/listen",
                    server,
                    f"unix:{self.end}" if unix else "127.0.0.1",
                    str(self.port),
                ],
                cwd=ROOT,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "config.settings.test",
                    "LISTENER": listener,
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "WEB_CONCURRENCY": "1",
                    "WEB_THREADS": "2",
                    "PASSWORD_HASHING_QUEUE": "0",
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
                ask(self.end, LIVE)
                return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)  # of which granian spends 30 on a reload that has begun


@contextlib.contextmanager
def served(
    server: str, place: Path, *, listener: str = "public", unix: bool = False, **environment: str
) -> Iterator[Served]:
    running = Served(server, place, listener=listener, unix=unix, **environment)
    try:
        yield running
    finally:
        running.stop()


def database_url() -> str:
    """Return the URL of this test's database, for a listener that is to answer from it."""
    said = database.settings_dict
    return f"postgresql://{said['USER']}@/{said['NAME']}?host={said['HOST']}&port={said['PORT']}"


def connect(end: int | Path, *, patience: float = 10, of: str = "127.0.0.1") -> socket.socket:
    """A connection to a port or a Unix socket; `of`: the address of this end."""
    if isinstance(end, int):
        return socket.create_connection(("127.0.0.1", end), timeout=patience, source_address=(of, 0))
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(patience)
    try:
        connection.connect(str(end))
    except OSError:
        connection.close()
        raise
    return connection


def ask(end: int | Path, request: bytes, *, patience: float = 10, of: str = "127.0.0.1") -> bytes:
    """All that comes on a connection of its own until it ends."""
    with connect(end, patience=patience, of=of) as connection:
        connection.sendall(request)
        return to_the_end(connection)


def to_the_end(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            received += piece
    return received


def seconds_of_a_call(port: int) -> float:
    """Return what someone else waits in the meantime."""
    begun = time.monotonic()
    answer = ask(port, LIVE)
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:100]
    return time.monotonic() - begun

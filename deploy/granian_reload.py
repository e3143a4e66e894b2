"""Replace granian's workers (HUP), and end them (TERM), without breaking a call.

granian ends a worker together with its connections: a client that sends its next request on one of them at that moment
gets no answer. Here a worker leaves first: it stops listening, so that new connections go to others, and answers
requests on its own connections with `Connection: close`. At a reload it leaves as soon as its successor listens, and
granian ends it `respawn_interval` after the successor's start; by then only unused connections are left. After TERM all
workers leave at once, and end two seconds later: if another granian has been started on the same port, no call is lost.

Connections still waiting to be accepted when a worker leaves are handed to another worker by the kernel if
`net.ipv4.tcp_migrate_req` is 1, and reset otherwise. They are few, as each waits only for a moment.
"""

import multiprocessing
import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from granian import Granian

OPEN = Path("/proc/self/fd")
PARTING = 2.0  # seconds, as gunicorn's: for clients that are about to send
Application = Callable[..., Any]


class Call:
    """A one-time signal to other processes. Unlike multiprocessing.Event, it still works after a waiting process is
    killed.
    """

    def __init__(self) -> None:
        self._reader, self._writer = multiprocessing.Pipe(duplex=False)

    def send(self) -> None:
        if not self.came():
            self._writer.send_bytes(b".")

    def came(self, *, within: float = 0.0) -> bool:
        return self._reader.poll(within)  # it stays there for everyone who looks


class Succession:
    """Decides when each worker leaves, by a call that its successor sends. `loaded`: one has the application."""

    def __init__(self, workers: int) -> None:
        self.loaded = Call()
        self._before, self._mine = _calls(workers), _calls(workers)

    def begin(self) -> None:
        """Start a reload; called in the parent, before it starts the new workers."""
        self._before, self._mine = self._mine, _calls(len(self._mine))

    def attend_end(self) -> None:
        """Have all workers leave at TERM before granian ends them; called in the parent once it has started."""
        end: Any = signal.getsignal(signal.SIGTERM)

        def leave(number: int, frame: object) -> None:
            for call in (*self._before, *self._mine):
                call.send()
            threading.Timer(PARTING, end, (number, frame)).start()

        signal.signal(signal.SIGTERM, leave)

    def serve(self, number: int, name: str | None, load: Callable[[], Application], *rest: Any) -> None:
        """Serve as a worker; granian calls it in the new process, with its number from 1."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the parent's; granian sets its own when it serves
        left = threading.Event()
        if OPEN.exists():  # Linux
            turn = number - 1, os.getppid(), left
            threading.Thread(target=self._take_turn, args=turn, daemon=True).start()

        def application() -> Application:
            made = load()
            self.loaded.send()  # before anyone is answered: whoever sees an answer may rely on it
            return _parting(made, left)

        Granian._spawn_wsgi_worker(number, name, application, *rest)  # noqa: SLF001

    def _take_turn(self, index: int, parent: int, left: threading.Event) -> None:
        """Tell the previous worker that this one listens, wait for the next one, and leave."""
        while not (listeners := _listeners()):
            time.sleep(0.05)
        self._before[index].send()
        while not self._mine[index].came(within=1.0):
            if os.getppid() != parent:  # it was killed, and nothing else would ever end this worker
                os.kill(os.getpid(), signal.SIGTERM)
        left.set()
        with socket.socket() as nothing:
            for listener in listeners:
                os.dup2(nothing.fileno(), listener)  # closes it; granian keeps waiting on it in vain


class Respawned(dict[int, float]):
    """Records when each worker was replaced, for granian, which exits if one dies twice within 5.5 seconds.

    That is right until one has loaded the application, since it can never work; later, it would end those that serve.
    """

    def __init__(self, succession: Succession) -> None:
        self._loaded = succession.loaded

    def get(self, number: int, default: Any = None) -> Any:
        return default if self._loaded.came() else super().get(number, default)


def _calls(workers: int) -> list[Call]:
    return [Call() for _ in range(workers)]


def _listeners() -> list[int]:
    """Return this process's open listening sockets. granian does not expose them."""
    return [int(file.name) for file in OPEN.iterdir() if _listens(int(file.name))]


def _listens(file: int) -> bool:
    try:
        if not stat.S_ISSOCK(os.fstat(file).st_mode):
            return False
        with socket.socket(fileno=os.dup(file)) as one:
            return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:  # closed since then, or a socket that cannot listen
        return False


def _parting(application: Application, left: threading.Event) -> Application:
    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if not left.is_set():
            return application(environ, start_response)
        return application(
            environ, lambda status, headers: start_response(status, [*headers, ("Connection", "close")])
        )

    return serve

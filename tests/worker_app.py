"""What tests/test_ready_worker.py has gunicorn serve: a small application.

SECONDS_FOR_CLIENTS says how long it waits for a slow client: a test waits for that, or must not need to.
"""

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from deploy import ready_worker

bind = "127.0.0.1:0"
worker_class = "deploy.ready_worker.ReadyWorker"
SECONDS = float(os.environ["SECONDS_FOR_CLIENTS"])
workers, threads, keepalive, graceful_timeout, worker_connections = 1, 2, int(SECONDS), 8, 100
ready_worker.FIRST_BYTE, ready_worker.WHOLE_REQUEST, ready_worker.LEAVE = SECONDS, 2 * SECONDS, SECONDS
ready_worker.SEND, ready_worker.LINGER = 5 * SECONDS, 4.0


def when_ready(server: Any) -> None:
    print("listening on", server.LISTENERS[0].sock.getsockname()[1], flush=True)  # noqa: T201 -- the test reads it


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers with the length of what it read; `/unread` reads nothing, `/slow` takes a second, `/long` says much."""
    if environ["PATH_INFO"] == "/slow":
        print("serving /slow", flush=True)  # noqa: T201 -- the test reads it
        time.sleep(1)
    body = b"" if environ["PATH_INFO"] == "/unread" else environ["wsgi.input"].read()
    filling = b"." * 300_000 if environ["PATH_INFO"] == "/long" else b""
    answer = filling + f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {len(body)}".encode()
    status = "413 Content Too Large" if environ["PATH_INFO"] == "/unread" else "200 OK"
    start_response(status, [("Content-Length", str(len(answer)))])
    return [answer]

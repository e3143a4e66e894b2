"""Real receivers of webhooks on loopback: well, slow, redirecting, refusing, endless; with TLS if asked."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """Takes POSTs. `answer(event)` gives the status, or does worse; `received` are the events it said 200 to."""

    def __init__(self, answer: Callable[[dict[str, Any]], int] = lambda event: 200) -> None:
        self.answer = answer
        self.received: list[dict[str, Any]] = []
        self.tried: list[tuple[dict[str, str], bytes]] = []
        self.location = ""
        self.retry_after = ""
        self.endless = False
        self.hints: list[int] = []  # what it says before it has an answer

    @contextmanager
    def running(self, context: ssl.SSLContext | None = None, *, port: int = 0) -> Iterator[int]:
        with ThreadingHTTPServer(("127.0.0.1", port), self._handler()) as server:
            server.daemon_threads = True
            if context is not None:
                server.socket = context.wrap_socket(server.socket, server_side=True)
            thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            yield server.server_port
            server.shutdown()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        class Handler(_Handler):
            receiver = self

        return Handler


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        receiver = self.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        event = json.loads(body)
        receiver.tried.append(({name.lower(): value for name, value in self.headers.items()}, body))
        status = receiver.answer(event)
        if status == 200:
            receiver.received.append(event)
        with suppress(OSError):
            self._say(status)

    def _say(self, status: int) -> None:
        if self.receiver.endless:
            self._drip()
        for hint in self.receiver.hints:
            self.send_response(hint)
            self.end_headers()
        self.send_response(status)
        if self.receiver.location:
            self.send_header("Location", self.receiver.location)
        if self.receiver.retry_after:
            self.send_header("Retry-After", self.receiver.retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _drip(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while self.receiver.endless:
            self.wfile.write(b"x")
            time.sleep(0.05)

    def log_message(self, *_: Any) -> None:
        pass

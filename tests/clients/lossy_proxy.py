"""A proxy in front of a listener that loses answers, or answers itself, as networks and gateways do."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
LOST = "lost"  # the request is carried out, its answer never arrives
PASSED = "passed"


@dataclass
class Refusal:
    """An answer of the proxy's own; the listener never hears of the request."""

    status: int
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None  # in the place of a problem's


@dataclass
class Seen:
    """A request that came, when, and the key that it had."""

    method: str
    path: str
    key: str | None
    at: float


class LossyProxy:
    """Passes requests on to a port of loopback; the next ones fare as `plan` says, those after it well."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.plan: list[str | Refusal] = []
        self.seen: list[Seen] = []
        self._lock = threading.Lock()

    @property
    def keys(self) -> list[str | None]:
        return [one.key for one in self.seen]

    def next_fate(self, seen: Seen) -> str | Refusal | None:
        with self._lock:
            self.seen.append(seen)
            return self.plan.pop(0) if self.plan else None

    @contextmanager
    def running(self) -> Iterator[str]:
        with ThreadingHTTPServer(("127.0.0.1", 0), self._handler()) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        class Handler(_Handler):
            proxy = self

        return Handler


class _Handler(BaseHTTPRequestHandler):
    proxy: LossyProxy
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = Seen(self.command, self.path, self.headers.get("Idempotency-Key"), time.monotonic())
        fate = self.proxy.next_fate(seen)
        if isinstance(fate, Refusal):
            self._answer(fate.status, fate.headers, _problem(fate) if fate.body is None else fate.body)
            return
        status, headers, answer = self._ask(body)
        if fate == LOST:
            self.close_connection = True  # without a word
            return
        self._answer(status, headers, answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _pass_on  # noqa: N815 - the names that it calls

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection("127.0.0.1", self.proxy.port, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        connection.request(self.command, self.path, body or None, headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        return response.status, dict(response.getheaders()), answer

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def _problem(refusal: Refusal) -> bytes:
    if refusal.code is None:
        return b"<html>A gateway</html>"
    return json.dumps({"status": refusal.status, "code": refusal.code, "detail": refusal.code}).encode()

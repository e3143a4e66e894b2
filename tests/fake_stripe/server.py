"""The HTTP side: one thread per connection, on loopback."""

import json
import socket
import struct
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.fake_stripe import (  # noqa: F401
    balances,
    checkout,
    control_routes,
    credit_notes,
    customers,
    events,
    invoice_preview,
    invoice_routes,
    pages,
    portal,
    subscription_routes,
    subscription_schedules,
)
from tests.fake_stripe.application import Application, Hangup, Request, Start
from tests.fake_stripe.idempotency import Answer
from tests.fake_stripe.kinds import API_VERSION
from tests.fake_stripe.wire import Refusal, decode, encode

CONTROL = "/_control/"
HOST = "127.0.0.1"


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, start: Start) -> None:
        super().__init__((HOST, port), Handler)
        self.application = Application(start)
        self.application.store.public_url = self.url
        self.application.dispatcher.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore it: a client that went away is not news here."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self.handle_one("GET")

    def do_POST(self) -> None:
        self.handle_one("POST")

    def do_DELETE(self) -> None:
        self.handle_one("DELETE")

    def handle_one(self, method: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        target = urlsplit(self.path)
        try:
            if target.path.startswith(CONTROL):
                self.control(target.path.removeprefix(CONTROL), body)
            elif target.path.startswith("/v1/"):
                self.api(method, target.path, body or target.query)
            else:
                self.page(target.path, body if method == "POST" else None)
        except Hangup:
            self.hang_up()
        except ConnectionError:
            self.close_connection = True  # the caller did not wait for the answer
        except Exception:  # noqa: BLE001  (a mistake of the fake: it says so, and goes on)
            self.server.application.bugs.append(traceback.format_exc())
            self.send(500, json.dumps({"fake_stripe_bug": traceback.format_exc()}).encode())

    def api(self, method: str, path: str, form: str) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer: Answer = self.server.application.answer(Request(method, path, form, headers))
        echoed = {"stripe-version": headers.get("stripe-version", API_VERSION), **answer.headers}
        if key := headers.get("idempotency-key"):
            echoed["idempotency-key"] = key
        self.send(answer.status, encode(answer.body), headers=echoed)

    def control(self, name: str, body: str) -> None:
        try:
            result = control_routes.run(self.server.application, name, json.loads(body or "{}"))
        except (Refusal, TypeError, KeyError) as error:
            self.send(400, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        else:
            self.send(200, json.dumps(result).encode())

    def page(self, path: str, body: str | None) -> None:
        application = self.server.application
        with application.store.lock:
            application.store.request = {"id": None, "idempotency_key": None}
            shown = pages.page(application.store, path, None if body is None else decode(body))
        if shown is None:
            self.send(404, b"", content_type="text/html")
        else:
            self.send(shown.status, shown.body.encode(), content_type="text/html", headers=shown.headers)

    def send(
        self,
        status: int,
        body: bytes,
        *,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self) -> None:
        """Close with a reset, as when a load balancer fails."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the control API's `requests` lists all calls."""

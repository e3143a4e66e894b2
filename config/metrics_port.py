"""A port for Prometheus in every process of the Procfile except `release`: what its kind has counted on this host.

METRICS_BIND sets the address; without it no port is opened. All workers of a kind listen on one port (SO_REUSEPORT) and
give the same answer from the files that they share, so it does not matter which of them the kernel chooses.
"""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer
from typing import Any

import structlog
from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

from accounts.kit import metrics

TOLD_BY = "config.metrics.told_by"  # a dotted path: it needs Django's apps, which are loaded later
PATIENCE = 5.0  # seconds for a scraper that sends nothing
# Each kind's port is METRICS_PORT plus its position here.
KINDS = ("public", "internal", "admin", "worker", "beat")

log = structlog.get_logger("metrics")


def open_for(kind: str) -> None:
    """Count as a process of this kind from now on, and answer Prometheus if METRICS_BIND is set."""
    metrics.slot.kind = kind
    if settings.METRICS_BIND:
        address = (settings.METRICS_BIND, settings.METRICS_PORT + KINDS.index(kind))
        threading.Thread(target=_serve, args=(kind, address), name="metrics port", daemon=True).start()


def _serve(kind: str, address: tuple[str, int]) -> None:
    try:
        server = _Server(address, _answering(kind))
    except OSError as error:  # the service does not depend on being watched; the alert ServiceDown reports it
        log.error("metrics_port_not_open", kind=kind, port=address[1], error=error.strerror)
        return
    server.serve_forever()


def _answering(kind: str) -> type[BaseHTTPRequestHandler]:
    told_by = import_string(TOLD_BY)

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE

        def do_GET(self) -> None:
            try:
                body = told_by(kind) if self.path == "/metrics" else b""
            finally:
                connections.close_all()  # this thread's, which no end of a request closes
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", metrics.CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing: a scrape is not worth a line."""

    return Handler


class _Server(HTTPServer):
    """Serves one scrape at a time: two Prometheus servers are answered one after the other."""

    allow_reuse_port = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without looking up this host's name, which HTTPServer would do."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.exception("metrics_not_told")  # noqa: LOG004 - called while one is handled

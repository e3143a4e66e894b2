"""A port for Prometheus in every process of the Procfile but `release`: what its kind has counted on this host.

METRICS_BIND says at which address, and without it none is opened. All workers of a kind listen at one port
(SO_REUSEPORT) and answer alike, from the files that they share: whichever of them the kernel chooses speaks for all.
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

TOLD_BY = "config.metrics.told_by"  # by its path: it needs Django's apps, which this module is loaded before
PATIENCE = 5.0  # seconds for a scraper that says nothing
# Each has the port METRICS_PORT + its place.
KINDS = ("public", "internal", "admin", "worker", "beat")

log = structlog.get_logger("metrics")


def open_for(kind: str) -> None:
    """Count as a process of this kind from now on, and answer Prometheus if METRICS_BIND asks for it."""
    metrics.slot.kind = kind
    if settings.METRICS_BIND:
        address = (settings.METRICS_BIND, settings.METRICS_PORT + KINDS.index(kind))
        threading.Thread(target=_serve, args=(kind, address), name="metrics port", daemon=True).start()


def _serve(kind: str, address: tuple[str, int]) -> None:
    try:
        server = _Server(address, _answering(kind))
    except OSError as error:  # the service does not depend on being watched; ServiceDown tells of it
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
                connections.close_all()  # this thread's, which no request ends for
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", metrics.CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: a scrape is not worth a line."""

    return Handler


class _Server(HTTPServer):
    """One scrape at a time: two Prometheus servers are served one after the other."""

    allow_reuse_port = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without asking a name server what this host is called, as HTTPServer does."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.exception("metrics_not_told")  # noqa: LOG004 - called while one is handled

"""Traces: one variable sends them to a collector, without codes and addresses; without it nothing is imported."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ROOT = Path(__file__).resolve().parent.parent

PROGRAM = """
import io, sys
OURS = ("opentelemetry.instrumentation", "opentelemetry.exporter")
from config.wsgi import application
def call(method, path, query=""):
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "203.0.113.9", "HTTP_HOST": "localhost",
        "CONTENT_LENGTH": "0", "wsgi.input": io.BytesIO(b""), "wsgi.errors": sys.stderr, "wsgi.url_scheme": "http",
        "HTTP_X_REQUEST_ID": "trace-me", "wsgi.multithread": True,
    }
    answer = application(environ, lambda status, headers: print(status))
    answer.close()
call("GET", "/v1/auth/users/8d0f2c1e-5b7a-4a56-9d38-1c0de5a1f2b3", "code=canary-code")
if len(sys.argv) > 1:
    from opentelemetry import trace
    trace.get_tracer_provider().force_flush()
print("imported:", [name for name in OURS if name in sys.modules])
"""


@contextmanager
def collector() -> Iterator[tuple[int, list[ExportTraceServiceRequest]]]:
    """An OTLP receiver on loopback."""
    taken: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port, taken
        server.shutdown()


def run(*arguments, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**kept, "LISTENER": "public", "DJANGO_SETTINGS_MODULE": "config.settings.test", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_without_the_variable_nothing_is_imported():
    """Look for imports of ours: redis-py looks by itself whether the SDK is there."""
    assert run().endswith("imported: []\n")


@pytest.mark.django_db(transaction=True)
def test_requests_and_their_statements_are_traced_without_what_was_sent():
    with collector() as (port, taken):
        run("flush", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    spans = [
        span
        for export in taken
        for resource in export.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    request = next(span for span in spans if span.kind == 2)  # SERVER
    attributes = {one.key: one.value.string_value for one in request.attributes}
    assert attributes["request_id"] == "trace-me"
    assert "users/<id:user_id>" in attributes["http.route"]
    below = [span for span in spans if span.trace_id == request.trace_id and span.parent_span_id]
    assert any("db.system" in {one.key for one in span.attributes} for span in below)
    text = str(taken)
    for secret in ("canary-code", "8d0f2c1e", "203.0.113.9"):
        assert secret not in text

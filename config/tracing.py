"""Traces by OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT says where to: requests, statements, Redis, tasks, Stripe.

The packages are those of requirements-tracing.txt. Without the variable nothing of them is imported. The SDK's own
variables (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, ...) hold.
"""

import os
from typing import Any

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
# What says who or holds what was sent: addresses and paths with their ids, queries with their codes. The route stays.
_NOT_RECORDED = (
    "http.url", "http.target", "url.full", "url.path", "url.query", "http.user_agent", "user_agent.original",
    "http.client_ip", "client.address", "net.peer.ip", "net.peer.name", "network.peer.address",
)  # fmt: skip


def start() -> bool:
    """Begin to trace this process and those that it forks. Return False where nobody asked for it."""
    if not os.environ.get(ENDPOINT):
        return False
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    os.environ.setdefault("OTEL_SERVICE_NAME", "auth-service")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    _instrument()
    return True


def _instrument() -> None:
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
    from opentelemetry.instrumentation.redis import RedisInstrumentor
    from opentelemetry.instrumentation.requests import RequestsInstrumentor

    DjangoInstrumentor().instrument(request_hook=_forget, response_hook=_name)
    PsycopgInstrumentor().instrument(enable_commenter=False)  # a comment would make each statement a new one
    RedisInstrumentor().instrument()
    CeleryInstrumentor().instrument()  # type: ignore[no-untyped-call]
    RequestsInstrumentor().instrument(request_hook=_forget)


def _forget(span: Any, request: Any) -> None:
    """Blank ids, which stand in the logs under the request's id, and codes and addresses, which stand nowhere."""
    for name in _NOT_RECORDED:
        if name in (getattr(span, "attributes", None) or {}):
            span.set_attribute(name, "not recorded")


def _name(span: Any, request: Any, response: Any) -> None:
    """So that a trace is found by what an answer or a log line says."""
    span.set_attribute("request_id", getattr(request, "request_id", ""))

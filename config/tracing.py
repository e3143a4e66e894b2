"""Tracing with OpenTelemetry, if OTEL_EXPORTER_OTLP_ENDPOINT is set: requests, statements, Redis, tasks, Stripe.

requirements-tracing.txt has the packages. Without the variable none of them is imported. The SDK's own variables
(OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, ...) apply.
"""

import os
from typing import Any

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
# What reveals who the caller is or what was sent: addresses and paths with ids, queries with codes. The route is kept.
_NOT_RECORDED = (
    "http.url", "http.target", "url.full", "url.path", "url.query", "http.user_agent", "user_agent.original",
    "http.client_ip", "client.address", "net.peer.ip", "net.peer.name", "network.peer.address",
)  # fmt: skip


def start() -> bool:
    """Start tracing this process and those that it forks. Return False if no endpoint is set."""
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
    PsycopgInstrumentor().instrument(enable_commenter=False)  # a comment would make each statement unique
    RedisInstrumentor().instrument()
    CeleryInstrumentor().instrument()  # type: ignore[no-untyped-call]
    RequestsInstrumentor().instrument(request_hook=_forget)


def _forget(span: Any, request: Any) -> None:
    """Blank ids, which the logs have under the request's id, and codes and addresses, which are recorded nowhere."""
    for name in _NOT_RECORDED:
        if name in (getattr(span, "attributes", None) or {}):
            span.set_attribute(name, "not recorded")


def _name(span: Any, request: Any, response: Any) -> None:
    """Record the request id, so that a trace can be found from an answer or a log line."""
    span.set_attribute("request_id", getattr(request, "request_id", ""))

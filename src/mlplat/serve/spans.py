"""Spans of predictions for OpenTelemetry, which is an extra: `pip install mlplat[otel]`.

Where they are sent, how many are sampled and what the service is called is said by OpenTelemetry's own variables
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
"""

import threading
import time
from typing import TYPE_CHECKING

from mlplat.errors import UsageError
from mlplat.serve.exchange import Exchange

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SERVER_ERROR = 500

MOST_PATH = 200

CLOSE_SECONDS = 2.0
"""How long the end of the process waits for a collector that does not answer."""

ROUTES = {
    "plain": "/predict",
    "v1": "/v1/models/{model}:predict",
    "v2": "/v2/models/{model}/infer",
    "mlflow": "/invocations",
}
"""By protocol: what spans are called, since clients may make paths up."""


class Spans:
    """Makes a span of each prediction, as a child of the client's.

    Args:
        provider: what takes them.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("mlplat")
        self._extract = TraceContextTextMapPropagator().extract
        self._kind = SpanKind.SERVER
        self._error = StatusCode.ERROR
        self._epoch = time.time() - time.monotonic()

    @classmethod
    def exporting(cls, service: str) -> "Spans":
        """Spans that are sent by OTLP over HTTP; `service` is the name of the service if OTEL_SERVICE_NAME gives none.

        Raises:
            UsageError: if the extra is not installed.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import OTELResourceDetector, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise UsageError(
                f"Tracing needs OpenTelemetry, which is not installed: {error}.",
                hint="Install it with: pip install 'mlplat[otel]'.",
            ) from error
        resource = Resource.create({"service.name": service}).merge(OTELResourceDetector().detect())
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    def note(self, exchange: Exchange, status: int, seconds: float) -> None:
        """Make the span of a request that was answered."""
        head = exchange.head
        if head.target is None or head.target.protocol is None:
            return
        carrier = {
            name: head.headers[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in head.headers
        }
        method = head.method.decode("latin-1")[:20]
        path, route = head.path.decode("latin-1"), ROUTES[head.target.protocol.name]
        began = self._epoch + exchange.began
        span = self._tracer.start_span(
            f"{method} {route}",
            context=self._extract(carrier),
            kind=self._kind,
            start_time=int(began * 1e9),
            attributes={
                "http.request.method": method,
                "http.route": route,
                "url.path": path[:MOST_PATH],
                "http.response.status_code": status,
                "mlplat.protocol": head.target.protocol.name,
                "mlplat.rows": exchange.rows,
            },
        )
        served = getattr(exchange, "served", None)  # not set where it was refused before
        if served is not None:
            span.set_attribute("mlplat.model", served.manifest.model)
            span.set_attribute("mlplat.version", served.manifest.version)
        if status >= SERVER_ERROR:
            span.set_status(self._error)
        span.end(int((began + seconds) * 1e9))

    def close(self) -> None:
        """Send what is left, if the collector takes it within a moment."""
        closing = threading.Thread(target=self._provider.shutdown, name="close-spans", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

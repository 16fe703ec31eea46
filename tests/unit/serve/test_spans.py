"""Spans as OpenTelemetry's own SDK gets them from a server that really runs."""

import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from mlplat.errors import UsageError
from mlplat.serve import spans as module
from mlplat.serve.exchange import Exchange
from mlplat.serve.heads import Head
from mlplat.serve.protocols import Plain
from mlplat.serve.spans import MOST_PATH, Spans
from mlplat.serve.targets import Target

from .conftest import FLOWER, Running, poll

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Kept:
    """What spans were made."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def spans(self, count: int) -> list[ReadableSpan]:
        """They are made after the answer."""
        poll(lambda: len(self._exporter.get_finished_spans()) >= count, f"there are {count} spans")
        found = list(self._exporter.get_finished_spans())
        assert len(found) == count
        return found


@pytest.fixture
def kept(iris: Running) -> Iterator[Kept]:
    """The spans of a server."""
    kept = Kept()
    make: Any = iris.server.config.http
    service = make.args[0]
    service._spans = Spans(kept.provider)
    yield kept
    service._spans = None


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_span_says_what_was_asked_of_which_version(iris: Running, kept: Kept) -> None:
    iris.predict({"features": [[5.1, 3.5, 1.4, 0.2]] * 3})
    (span,) = kept.spans(1)
    assert (span.name, span.kind, span.parent) == ("POST /predict", SpanKind.SERVER, None)
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "url.path": "/predict",
        "http.response.status_code": 200,
        "mlplat.protocol": "plain",
        "mlplat.rows": 3,
        "mlplat.model": "iris",
        "mlplat.version": "v1",
    }


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/models/made-up:predict", "/v1/models/{model}:predict"),
        (f"/v2/models/{'x' * 300}/infer", "/v2/models/{model}/infer"),
        ("/invocations", "/invocations"),
    ],
)
def test_its_name_is_that_of_the_route_as_clients_may_make_paths_up(
    iris: Running, kept: Kept, path: str, route: str
) -> None:
    iris.client.post(path, json={})
    (span,) = kept.spans(1)
    assert span.name == f"POST {route}"
    assert attributes(span)["http.route"] == route
    assert attributes(span)["url.path"] == path[:MOST_PATH]


def test_what_is_no_prediction_has_no_span(iris: Running, kept: Kept) -> None:
    for path in ("/health", "/ready", "/version", "/nothing"):
        iris.client.get(path)
    iris.predict(FLOWER)
    assert [span.name for span in kept.spans(1)] == ["POST /predict"]


@pytest.mark.parametrize(
    ("traceparent", "parent"), [(f"00-{TRACE}-{PARENT}-01", PARENT), ("00-nonsense", None), ("", None)]
)
def test_it_is_a_child_of_the_clients_if_that_has_one(
    iris: Running, kept: Kept, traceparent: str, parent: str | None
) -> None:
    iris.predict(FLOWER, headers={"traceparent": traceparent, "tracestate": "vendor=1"})
    (span,) = kept.spans(1)
    if parent is None:
        assert span.parent is None
    else:
        assert span.parent is not None
        assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, parent)
        assert span.context.trace_state.get("vendor") == "1"


@pytest.mark.parametrize(
    ("status", "code"),
    [(200, StatusCode.UNSET), (422, StatusCode.UNSET), (500, StatusCode.ERROR), (503, StatusCode.ERROR)],
)
def test_only_what_the_server_failed_at_is_an_error_and_its_times_are_those_of_the_request(
    status: int, code: StatusCode
) -> None:
    kept = Kept()
    connection: Any = None
    head = Head(Target(Plain), b"POST", b"/predict", {}, keep_alive=True, interim=True)
    exchange = Exchange(connection, head, b"", whole=True)
    Spans(kept.provider).note(exchange, status, 0.5)
    (span,) = kept.spans(1)
    assert span.status.status_code is code
    assert "mlplat.version" not in attributes(span)
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == pytest.approx(0.5e9, abs=2000)
    assert span.start_time / 1e9 == pytest.approx(time.time(), abs=60)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(UsageError, match=r"pip install 'mlplat\[otel\]'"):
        Spans.exporting("mlplat-iris")


def test_the_end_does_not_wait_for_a_collector_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, release = threading.Event(), threading.Event()

    class Stuck(SpanProcessor):
        def shutdown(self) -> None:
            begun.set()
            release.wait()

    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.01)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Stuck())
    Spans(provider).close()
    assert begun.wait(30)
    assert not release.is_set()
    release.set()

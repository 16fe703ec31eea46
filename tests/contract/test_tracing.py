"""Spans reach a real OTLP collector over HTTP, and logs name the trace."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.unit.serve.conftest import poll

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FLOWER = {"features": [5.1, 3.5, 1.4, 0.2]}


@dataclass
class Collector:
    """What arrived at a collector."""

    url: str
    requests: list[bytes] = field(default_factory=list)

    def spans(self) -> list[tuple[dict[str, Any], Any]]:
        """Each span with the attributes of its resource."""
        found = []
        for data in self.requests:
            for part in ExportTraceServiceRequest.FromString(data).resource_spans:
                resource = {item.key: item.value.string_value for item in part.resource.attributes}
                found += [(resource, span) for scope in part.scope_spans for span in scope.spans]
        return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that keeps what it gets."""
    kept: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Collector(f"http://127.0.0.1:{server.server_address[1]}", kept)
        server.shutdown()
        thread.join()


def attributes(span: Any) -> dict[str, Any]:
    return {item.key: item.value.string_value or item.value.int_value for item in span.attributes}


def test_each_prediction_is_a_span_within_the_clients_trace(
    trained: Path, start: Any, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    running = start(str(trained), model="iris", version="v1", tracing=True, drain_seconds=0).ready()
    traced = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    assert running.predict(FLOWER, headers=traced).status_code == 200
    assert running.predict({"features": ["x", 1, 1, 1]}, headers=traced).status_code == 422
    assert running.predict(FLOWER).status_code == 200
    assert running.client.get("/health").status_code == 200
    monkeypatch.setattr("mlplat.serve.spans.CLOSE_SECONDS", 30.0)
    running.server._spans.close()  # sends what is left, as the end of the process does
    spans = collector.spans()
    assert [attributes(span)["http.response.status_code"] for _, span in spans] == [200, 422, 200]
    resource, first = spans[0]
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("mlplat-iris", "test")
    assert (first.trace_id.hex(), first.parent_span_id.hex(), first.name) == (TRACE, PARENT, "POST /predict")
    assert attributes(first)["mlplat.version"] == "v1"
    assert 0 < first.end_time_unix_nano - first.start_time_unix_nano < 60e9
    assert spans[2][1].trace_id.hex() != TRACE


def test_an_access_log_names_trace_protocol_and_status(
    trained: Path, start: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    running = start(str(trained), model="iris", version="v1", access_log=True).ready()
    running.predict(FLOWER, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    running.predict({"features": [1]}, headers={"traceparent": "00-nonsense"})
    running.predict(FLOWER)
    running.client.get("/health")
    told = [
        line for line in running.client.get("/metrics").text.splitlines() if line.startswith("mlplat_requests_total{")
    ]
    assert [line for line in told if 'protocol="plain"' in line] == [
        'mlplat_requests_total{protocol="plain",status="200",version="v1"} 2.0',
        'mlplat_requests_total{protocol="plain",status="422",version="v1"} 1.0',
    ]
    lines: list[dict[str, Any]] = []

    def three_lines() -> bool:
        written = capfd.readouterr().err.splitlines()
        lines.extend(json.loads(line) for line in written if '"event":"request"' in line)
        return len(lines) >= 3

    poll(three_lines, "three lines are written")
    assert sorted((line["protocol"], line["status"], line["rows"]) for line in lines) == [
        ("plain", 200, 1),
        ("plain", 200, 1),
        ("plain", 422, 0),
    ]
    lines.sort(key=lambda line: ("trace_id" not in line, line["status"]))
    assert lines[1].keys() | {"trace_id", "parent_span_id"} == lines[0].keys()
    assert (lines[0]["trace_id"], lines[0]["parent_span_id"]) == (TRACE, PARENT)
    assert "trace_id" not in lines[1]
    assert lines[0]["seconds"] > 0

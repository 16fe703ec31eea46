"""What is answered below ASGI, and what is said about it."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from mlplat.errors import DataError, MethodError, MlplatError, OverloadedError, RequestError
from mlplat.metrics import ServeMetrics
from mlplat.serve.exchange import Exchange
from mlplat.serve.heads import Head
from mlplat.serve.keys import KeyRing
from mlplat.serve.lifecycle import Lifecycle, Source
from mlplat.serve.protocols import PROTOCOLS, Plain
from mlplat.serve.service import BODIES_HELD, Service, _tell, _told, error_headers, readiness
from mlplat.serve.targets import Probe, Target
from mlplat.store import Cache

from .conftest import FLOWER, Running, Start

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def waiting(tmp_path: Path) -> Lifecycle:
    """Of a version that is still to come."""
    return Lifecycle(Source(f"file://{tmp_path}", "iris", "v1", None), Cache(tmp_path / "cache"), ServeMetrics())


def service_of(lifecycle: Lifecycle, *keys: str, body_bytes: int = 100) -> Service:
    return Service(lifecycle, KeyRing(keys), ServeMetrics(), body_bytes=body_bytes)


def exchange_of(target: Target | None, body: bytes = b"", **headers: bytes) -> Exchange:
    connection: Any = None  # nothing is answered
    given = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return Exchange(connection, Head(target, b"POST", b"/path", given, keep_alive=True, interim=True), body, whole=True)


class TestReadiness:
    def test_what_is_still_to_come_says_why(self, waiting: Lifecycle) -> None:
        waiting.reason = "there is no version v1"
        status, answer = readiness(waiting, drain_unready=False)
        assert (status, answer.headers) == (503, b"retry-after: 1\r\n")
        assert msgspec.json.decode(answer.body) == {
            "error": "Not ready: there is no version v1.",
            "code": "not_ready",
            "status": "finding",
        }

    def test_a_server_that_drains_stays_ready_unless_it_is_told_otherwise(self, trained: Path, start: Start) -> None:
        lifecycle = start(str(trained), model="iris", version="v1").ready().server.lifecycle
        lifecycle.drain()
        status, answer = readiness(lifecycle, drain_unready=False)
        assert (status, msgspec.json.decode(answer.body)) == (
            200,
            {"status": "draining", "model_name": "iris", "model_version": "v1"},
        )
        status, answer = readiness(lifecycle, drain_unready=True)
        assert (status, msgspec.json.decode(answer.body)["error"]) == (503, "Not ready: draining.")


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (OverloadedError("", retry_after=7), b"retry-after: 7\r\n"),
        (RequestError("", status=401), b"www-authenticate: Bearer\r\n"),
        (MethodError("PUT", "/predict", "POST"), b"allow: POST\r\n"),
        (RequestError(""), b""),
        (DataError(""), b""),
    ],
)
def test_errors_bring_the_headers_that_their_status_wants(error: MlplatError, headers: bytes) -> None:
    assert error_headers(error) == headers


def test_what_many_are_told_is_what_one_is() -> None:
    class OtherError(OverloadedError):
        code = "other"

    for protocol in PROTOCOLS:
        for error in (OverloadedError("full", hint="later", retry_after=3), OverloadedError("full", retry_after=4)):
            status, answer = _told(protocol, error)
            assert (status, answer) == _tell(protocol, error)
            assert answer.headers.endswith(b"retry-after: %d\r\n" % error.retry_after)
        _, answer = _told(protocol, OtherError("full", hint="later", retry_after=3))
        assert answer == _tell(protocol, OtherError("full", hint="later", retry_after=3))[1]
    assert b"other" in _told(Plain, OtherError("full", hint="later", retry_after=3))[1].body


class TestRefusals:
    def test_only_predictions_want_the_key(self, waiting: Lifecycle) -> None:
        service = service_of(waiting, "open-sesame")
        refusal = service.refusal(exchange_of(Target(Plain)))
        assert refusal is not None
        assert refusal.status == 401
        assert service.refusal(exchange_of(Target(Plain), x_api_key=b"open-sesame")) is None
        for target in (None, Target(probe=Probe.HEALTH)):
            found = service.refusal(exchange_of(target))
            assert found is None or found.status != 401

    def test_without_the_key_nothing_else_is_said(self, waiting: Lifecycle) -> None:
        exchange = exchange_of(Target(Plain), content_type=b"text/plain")
        found = [service_of(waiting, *keys).refusal(exchange) for keys in ([], ["open-sesame"])]
        assert [each.status for each in found if each is not None] == [415, 401]

    @pytest.mark.parametrize(
        ("path", "found"),
        [
            ("/v1/models/other:predict", "the model 'other', expected 'iris'"),
            ("/v1/models/iris/versions/v9:predict", "the version 'v9', expected 'v1'"),
            ("/v2/models/other/versions/v1/infer", "the model 'other', expected 'iris'"),
            ("/v2/models/iris/versions/v9/infer", "the version 'v9', expected 'v1'"),
        ],
    )
    def test_another_model_or_version_is_not_here(self, iris: Running, path: str, found: str) -> None:
        answer = iris.client.post(path, json={"instances": [FLOWER["features"]]})
        assert (answer.status_code, answer.json()["error"]) == (404, f"Found {found}, which is served.")


def test_large_bodies_are_bounded_together_and_each_is_counted_once(waiting: Lifecycle) -> None:
    service = service_of(waiting, body_bytes=10)
    exchanges = [exchange_of(Target(Plain)) for _ in range(BODIES_HELD + 1)]
    for exchange in exchanges[:-1]:
        for body in (b"12345", b"1234567890"):
            exchange.body = body
            service.hold(exchange)
    last = exchanges[-1]
    last.body = b"1"
    with pytest.raises(OverloadedError, match="Too many large requests"):
        service.hold(last)
    service.forget(exchanges[0])
    assert exchanges[0].settled
    assert not exchanges[0].body
    service.hold(last)


def test_a_bug_is_logged_with_its_trace_and_not_told(trained: Path, start: Start) -> None:
    running = start(str(trained), model="iris", version="v1").ready()
    served = running.server.lifecycle.current
    assert served is not None

    def fail(_: Any) -> Any:
        raise ZeroDivisionError("secret detail")

    served.batcher._predict = fail
    with capture_logs() as lines:
        answer = running.predict(FLOWER, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    assert (answer.status_code, answer.json()) == (
        500,
        {"error": "The server failed; its log says why.", "code": "internal"},
    )
    failed = [line for line in lines if line["event"] == "request_failed"]
    assert [(line["trace_id"], str(line["exc_info"])) for line in failed] == [(TRACE, "secret detail")]

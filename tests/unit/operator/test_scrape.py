"""What pods of a canary count, asked of real servers that tell metrics."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread, current_thread
from typing import Any

import httpx2
import pytest

from mlplat.metrics import ServeMetrics
from mlplat.operator import scrape
from mlplat.operator.children import Manifest
from mlplat.operator.judge import Figures
from mlplat.operator.scrape import MOST_BYTES, Counts, Scraper, Told, Window, read_metrics, url_of
from mlplat.operator.status import Phase, Trial

from .conftest import START

KEY = ("ml", "iris")
TRIAL = Trial(version="v2", stable="v1", asked="x", begun=START, phase=Phase.TRYING, pods=1, since=START)


def metrics(version: str, *, good: int, bad: int, **recent: Any) -> str:
    """What a server of this package tells."""
    served = ServeMetrics()
    served.forget_old(version)
    tally = served.tally("plain", version)
    for status in [200] * good + [500] * bad:
        tally.add(0.25, status)
    tally.rows += 30 * good
    served.tally("http", "").add(9.0, 503)
    if recent:
        served.set_recent(version, **recent)
    served.golden_agreement.labels(version, "v1").set(0.75)
    return served.exposition().decode()


class TestReading:
    def test_answers_errors_and_times_are_of_predictions_by_the_version(self) -> None:
        told = read_metrics(metrics("v2", good=3, bad=1), "v2", "v1")
        assert told.counts == Counts(4, 1, 1.0)
        assert told.golden == 0.75
        assert read_metrics(metrics("v3", good=3, bad=1), "v2", "v1").counts == Counts()
        assert read_metrics(metrics("v2", good=3, bad=1), "v2", "v0").golden is None

    def test_classes_and_numbers_that_were_predicted(self) -> None:
        told = read_metrics(metrics("v2", good=1, bad=0, rows=7, outputs={"a": 5, "b": 2}, quantiles={}), "v2", "v1")
        assert (told.predictions.rows, told.predictions.outputs) == (7, {"a": 5, "b": 2})
        assert told.predictions.batch == 30
        quantiles = {step / 20: float(step) for step in range(21)}
        told = read_metrics(metrics("v2", good=1, bad=0, rows=9, outputs={}, quantiles=quantiles), "v2", "v1")
        assert (told.predictions.rows, list(told.predictions.quantiles)) == (9, [float(step) for step in range(21)])

    @pytest.mark.parametrize(
        "wrong",
        [
            'mlplat_golden_agreement{version="v2",against="v1"} NaN',
            'mlplat_golden_agreement{version="v2",against="v1"} 1.5',
            'mlplat_request_seconds_sum{version="v2",protocol="plain"} NaN',
            'mlplat_requests_total{version="v2",protocol="plain",status="200"} -1',
            'mlplat_recent_predictions{version="v2",output="a"} -300',
            'mlplat_recent_prediction_quantile{version="v2",quantile="0.5"} NaN',
            'mlplat_recent_prediction_quantile{version="v2",quantile="0"} 5\nmlplat_recent_prediction_quantile{version="v2",quantile="1"} 1',
        ],
    )
    def test_what_cannot_be_is_not_believed(self, wrong: str) -> None:
        with pytest.raises(ValueError, match="mlplat_"):
            read_metrics(wrong, "v2", "v1")

    def test_what_is_not_judged_may_be_unknown(self) -> None:
        assert read_metrics('mlplat_feature_drift{version="v2",feature="a"} NaN', "v2", "v1").golden is None


class TestWindow:
    def test_a_candidates_pods_begin_at_nothing_and_a_stable_ones_at_the_first_look(self) -> None:
        first, more = {"a": Counts(10, 1, 1.0)}, {"a": Counts(15, 1, 1.5), "b": Counts(3, 3, 1.0)}
        candidate, stable = Window(late=False), Window(late=True)
        assert candidate.add(first) == Counts(10, 1, 1.0)
        assert stable.add(first) == Counts()
        assert candidate.add(more) == Counts(18, 4, 2.5)
        assert stable.add(more) == Counts(8, 3, 1.5)

    def test_a_step_begins_anew(self) -> None:
        window = Window(late=False)
        window.add({"a": Counts(10, 5, 1.0)})
        window.begin()
        assert window.add({"a": Counts(11, 5, 1.5)}) == Counts(1, 0, 0.5)

    def test_what_is_gone_is_not_forgotten_and_a_restart_is_no_debt(self) -> None:
        window = Window(late=False)
        window.add({"a": Counts(10, 5, 1.0), "b": Counts(10, 0, 1.0)})
        assert window.add({"b": Counts(12, 0, 1.0)}) == Counts(22, 5, 2.0)
        window.begin()
        assert window.add({"b": Counts(3, 1, 0.5)}) == Counts(3, 1, 0.5)


class Pods:
    """Pods at addresses of this machine, which tell metrics, nonsense or nothing."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.pods: list[Manifest] = []

    def add(self, track: str, text: str, *, status: int = 200, ready: bool = True, restarts: int = 0) -> None:
        """One that answers."""
        body = text.encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = self._stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        Thread(target=server.serve_forever, daemon=True).start()
        self._stack.callback(server.shutdown)
        self.add_at(server.server_port, track, ready=ready, restarts=restarts)

    def add_at(self, port: int, track: str, *, ready: bool = True, restarts: int = 0) -> None:
        """One at a port, whoever listens there."""
        maker = "iris-5f" if track == "stable" else "iris-candidate-5f"
        self.pods.append(
            {
                "metadata": {
                    "name": f"{track}-{len(self.pods)}",
                    "labels": {"mlplat.dev/track": track, "pod-template-hash": "5f"},
                    "ownerReferences": [{"kind": "ReplicaSet", "name": maker, "controller": True}],
                },
                "spec": {"containers": [{"ports": [{"name": "http", "containerPort": port}]}]},
                "status": {
                    "podIP": "127.0.0.1",
                    "conditions": [{"type": "Ready", "status": str(ready)}],
                    "containerStatuses": [{"restartCount": restarts}],
                },
            }
        )

    async def list(self, key: tuple[str, str]) -> list[Manifest]:
        """All of them."""
        assert key == KEY
        return self.pods

    def ask(self) -> Figures:
        """What a scraper knows after it was told of the trial."""

        async def run() -> Figures:
            changed = asyncio.Event()
            async with httpx2.AsyncClient(trust_env=False, timeout=120) as client:
                scraper = Scraper(self.list, lambda _: changed.set(), client=client)
                assert scraper.look(KEY, TRIAL) is None
                task = asyncio.create_task(scraper.run())
                async with asyncio.timeout(60):
                    await changed.wait()
                task.cancel()
                found = scraper.look(KEY, TRIAL)
                assert found is not None
                next_ = TRIAL.model_copy(update={"step": 1})
                assert scraper.look(KEY, next_) is None  # figures of another step
                return found

        return asyncio.run(run())


@pytest.fixture
def pods(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pods]:
    """On a busy machine those that answer may take long."""
    monkeypatch.setattr(scrape, "ANSWER_SECONDS", 30.0)
    with ExitStack() as stack:
        yield Pods(stack)


def test_the_pods_of_both_are_asked(pods: Pods) -> None:
    pods.add("stable", metrics("v1", good=50, bad=0))
    pods.add("candidate", metrics("v2", good=3, bad=1))
    pods.add("candidate", metrics("v2", good=5, bad=0))
    pods.add("candidate", metrics("v2", good=100, bad=0), ready=False, restarts=2)
    found = pods.ask()
    assert (found.candidate.pods, found.candidate.asked, found.candidate.restarts) == (2, 2, 2)
    assert (found.candidate.requests, found.candidate.errors, found.candidate.golden) == (9, 1, 0.75)
    assert (found.stable.asked, found.stable.requests) == (1, 0)  # what was before is not of this canary


@pytest.mark.parametrize(
    "nonsense", ["{not metrics}", 'mlplat_requests_total{version="v2"} 1', 'mlplat_recent_rows{version="v2"} +Inf']
)
def test_one_that_tells_nonsense_is_named_and_the_others_count(pods: Pods, nonsense: str) -> None:
    pods.add("candidate", nonsense)
    pods.add("candidate", metrics("v2", good=3, bad=0))
    found = pods.ask().candidate
    assert (found.pods, found.asked, found.requests) == (2, 1, 3)
    assert found.problem.startswith("candidate-0: what it tells is not understood")


@pytest.mark.parametrize(
    "owners", [[], [{"kind": "ReplicaSet", "name": "another-5f", "controller": True}], [{"kind": "Job", "name": "x"}]]
)
def test_a_pod_that_only_has_the_labels_is_not_asked(pods: Pods, owners: list[Manifest]) -> None:
    pods.add("candidate", metrics("v2", good=3, bad=0))
    pods.add("candidate", metrics("v2", good=0, bad=500), restarts=9)
    pods.pods[1]["metadata"]["ownerReferences"] = owners
    found = pods.ask().candidate
    assert (found.pods, found.requests, found.errors, found.restarts) == (1, 3, 0, 0)


def test_one_that_tells_too_much_is_not_read_to_its_end(pods: Pods) -> None:
    pods.add("candidate", " " * (MOST_BYTES + 1))
    assert pods.ask().candidate.problem == f"candidate-0: what it tells is not understood: more than {MOST_BYTES} bytes"


def test_what_is_told_is_read_beside_all_else(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    readers = []

    def read(*told: str) -> Told:
        readers.append(current_thread())
        return read_metrics(*told)

    monkeypatch.setattr("mlplat.operator.scrape.read_metrics", read)
    pods.add("candidate", metrics("v2", good=3, bad=0))
    assert pods.ask().candidate.requests == 3
    assert current_thread() not in readers


def test_when_none_tells_anything_it_is_said_why(pods: Pods) -> None:
    pods.add("candidate", "", status=503)
    assert "503" in pods.ask().candidate.problem


def test_one_that_never_answers_holds_up_no_other(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "ANSWER_SECONDS", 5.0)
    pods.add("candidate", metrics("v2", good=3, bad=0))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        pods.add_at(silent.getsockname()[1], "candidate")
        found = pods.ask().candidate
    assert (found.asked, found.requests) == (1, 3)
    assert found.problem == "candidate-1: no answer within 5 s"


def test_an_address_of_version_6_has_brackets() -> None:
    pod = {"spec": {"containers": [{}]}, "status": {"podIP": "fd00::1"}}
    assert url_of(pod) == "http://[fd00::1]:8000/metrics"

"""Ready means ready; alias moves, broken versions and lost stores without a failed request; a drain that loses nothing."""

import asyncio
import shutil
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from structlog.testing import capture_logs

from mlplat.bundle.features import NumericColumn
from mlplat.metrics import ServeMetrics
from mlplat.runtime import Predictor
from mlplat.serve import lifecycle as module
from mlplat.serve.lifecycle import Lifecycle, Source
from mlplat.store import Cache, Move, Store

from .conftest import Running, Start, poll

FLOWER = {"features": [5.1, 3.5, 1.4, 0.2]}


class Traffic:
    """Requests on a keep-alive connection until it is left; counts answers by version, and all else as failed."""

    def __init__(self, running: Running) -> None:
        self.versions: Counter[str] = Counter()
        self.failed: list[str] = []
        self._url = str(running.client.base_url)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def await_answers(self, version: str) -> None:
        """Wait until a version has answered a few more requests, or one failed."""
        enough = self.versions[version] + 5
        poll(lambda: self.versions[version] >= enough or self.failed, f"{version} answers")

    def _send(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self._end.is_set():
                try:
                    answer = client.post("/predict", json=FLOWER)
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))
                    return
                if answer.status_code == 200:
                    self.versions[answer.json()["model_version"]] += 1
                else:
                    self.failed.append(answer.text)


def serving(running: Running) -> str | None:
    version: str | None = running.client.get("/version").json()["model_version"]
    return version


def loads(running: Running, outcome: str) -> float:
    for line in running.client.get("/metrics").text.splitlines():
        if line.startswith(f'mlplat_model_loads_total{{outcome="{outcome}"}}'):
            return float(line.split()[1])
    return 0.0


def model_file(store: Store, version: str) -> Path:
    entry = store.manifest("iris", version).files["model.onnx"]
    return Path(store.url.removeprefix("file://")) / "iris/files" / entry.sha256


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


class TestStart:
    def test_a_missing_version_is_waited_for_and_says_so(self, models: Store, start: Start) -> None:
        running = start(models.url, model="iris", version="v9")
        poll(lambda: "v9" in running.client.get("/ready").json()["error"], "the reason is said")
        ready = running.client.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["code"] == "not_ready"
        assert running.client.get("/health").status_code == 200
        assert running.client.get("/version").json()["model_version"] is None
        assert running.client.get("/openapi.json").status_code == 200
        answer = running.predict(FLOWER)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")

    def test_a_version_that_comes_later_is_served(self, models: Store, start: Start, tmp_path: Path) -> None:
        running = start(str(tmp_path / "later"), model="iris", version="v1")
        poll(lambda: "v1" in running.client.get("/ready").text, "the reason is said")
        shutil.copytree(models.url.removeprefix("file://"), tmp_path / "later")
        running.ready()
        assert serving(running) == "v1"
        assert loads(running, "failed") == 0  # an alert counts them, and waiting for a training is nothing to alert for

    def test_a_flipped_bit_never_becomes_ready_and_is_named(self, models: Store, start: Start) -> None:
        flip(model_file(models, "v1"))
        running = start(models.url, model="iris", version="v1")
        poll(lambda: "model.onnx" in running.client.get("/ready").json()["error"], "the file is named")
        assert loads(running, "failed") >= 1

    def test_a_version_that_does_not_repeat_its_golden_samples_never_becomes_ready(
        self, models: Store, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        right = Predictor.predict

        def wrong(self: Any, inputs: Any) -> Any:
            prediction = right(self, inputs)
            assert prediction.probabilities is not None
            return type(prediction)(prediction.values, prediction.probabilities[:, ::-1])

        monkeypatch.setattr(Predictor, "predict", wrong)
        running = start(models.url, model="iris", version="v1")
        poll(lambda: "olden sample" in running.client.get("/ready").json()["error"], "the sample is named")

    def test_a_server_restarts_from_its_cache_while_the_store_is_away(self, models: Store, start: Start) -> None:
        start(models.url, model="iris", version="v1").ready()
        folder = Path(models.url.removeprefix("file://"))
        folder.rename(folder.with_name("away"))
        again = start(models.url, model="iris", version="v1")
        poll(lambda: again.client.get("/ready").status_code == 200, "it is ready from the cache")


class TestFollowing:
    def test_an_alias_moves_there_and_back_without_a_failed_request(self, models: Store, start: Start) -> None:
        running = start(models.url, model="iris", alias="champion", poll_seconds=0.01).ready()
        with Traffic(running) as traffic:
            for version in ("v2", "v1", "v2", "v1"):
                models.move("iris", "champion", version, reason="test", by="test")
                traffic.await_answers(version)
        assert traffic.failed == []
        assert set(traffic.versions) == {"v1", "v2"}
        assert loads(running, "succeeded") == 5

    def test_a_broken_version_is_counted_and_the_old_one_serves_on(self, models: Store, start: Start) -> None:
        running = start(models.url, model="iris", alias="champion", poll_seconds=0.01).ready()
        flip(model_file(models, "v2"))
        with Traffic(running) as traffic:
            models.move("iris", "champion", "v2", reason="test", by="test")
            poll(lambda: loads(running, "failed") >= 1, "the failure is counted")
            traffic.await_answers("v1")
        assert traffic.failed == []
        assert set(traffic.versions) == {"v1"}
        assert running.client.get("/ready").status_code == 200
        models.move("iris", "champion", "v1", reason="test", by="test")

    def test_a_broken_version_is_not_tried_all_the_time(self, models: Store, start: Start) -> None:
        running = start(models.url, model="iris", alias="champion", poll_seconds=0.001).ready()
        flip(model_file(models, "v2"))
        models.move("iris", "champion", "v2", reason="test", by="test")
        poll(lambda: loads(running, "failed") >= 1, "the failure is counted")
        looked: list[int] = []
        alias = Store.alias

        def look(*args: str) -> Move:
            looked.append(1)
            return alias(models, *args)

        running.server.lifecycle._store.alias = look  # type: ignore[method-assign, union-attr]
        poll(lambda: len(looked) > 20, "the alias was looked up again")
        assert loads(running, "failed") == 1

    def test_a_lost_store_ends_nothing(self, models: Store, start: Start) -> None:
        running = start(models.url, model="iris", alias="champion", poll_seconds=0.01).ready()
        folder = Path(models.url.removeprefix("file://"))
        folder.rename(folder.with_name("away"))
        with Traffic(running) as traffic:
            traffic.await_answers("v1")
        assert traffic.failed == []
        folder.with_name("away").rename(folder)
        models.move("iris", "champion", "v2", reason="test", by="test")
        poll(lambda: serving(running) == "v2", "v2 serves once the store is back")

    def test_a_version_that_memory_would_not_hold_is_refused(
        self, models: Store, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        running = start(models.url, model="iris", alias="champion", poll_seconds=0.01).ready()
        monkeypatch.setattr(module, "available_bytes", lambda: 10)
        models.move("iris", "champion", "v2", reason="test", by="test")
        poll(lambda: loads(running, "failed") >= 1, "the refusal is counted")
        assert serving(running) == "v1"

    def test_an_alias_that_does_not_exist_is_waited_for(self, models: Store, start: Start) -> None:
        running = start(models.url, model="iris", alias="canary", poll_seconds=0.01)
        poll(lambda: "canary" in running.client.get("/ready").text, "the reason is said")
        models.move("iris", "canary", "v2", reason="test", by="test")
        running.ready()
        assert serving(running) == "v2"


class TestDrain:
    def test_requests_are_answered_and_told_to_leave(self, models: Store, start: Start) -> None:
        running = start(models.url, model="iris", version="v1", drain_seconds=30).ready()
        assert "connection" not in running.predict(FLOWER).headers
        running.server.handle_exit(signal.SIGTERM, None)
        answer = running.predict(FLOWER)
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"
        assert running.client.get("/ready").json()["status"] == "draining"

    def test_a_setting_turns_ready_off_at_once(self, models: Store, start: Start) -> None:
        running = start(models.url, model="iris", version="v1", drain_seconds=30, drain_unready=True).ready()
        running.server.handle_exit(signal.SIGTERM, None)
        assert running.client.get("/ready").status_code == 503
        assert running.predict(FLOWER).status_code == 200

    def test_a_second_signal_ends_it_at_once(self, models: Store, start: Start) -> None:
        running = start(models.url, model="iris", version="v1", drain_seconds=3600).ready()
        running.server.handle_exit(signal.SIGTERM, None)
        assert not running.server.should_exit
        running.server.handle_exit(signal.SIGTERM, None)
        assert running.server.should_exit
        running.server.handle_exit(signal.SIGTERM, None)
        assert running.server.force_exit

    def test_an_interrupt_does_not_drain(self, models: Store, start: Start) -> None:
        running = start(models.url, model="iris", version="v1", drain_seconds=3600).ready()
        running.server.handle_exit(signal.SIGINT, None)
        assert running.server.should_exit


def test_a_bug_in_one_try_does_not_end_the_lifecycle(
    models: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle = Lifecycle(Source(models.url, "iris", "v1", None), Cache(tmp_path / "cache"), ServeMetrics())
    replay = Predictor.replay
    tries: list[float] = []

    def fail_once(self: Any) -> None:
        if not tries:
            raise ZeroDivisionError("a bug")
        replay(self)

    async def note(seconds: float) -> None:
        tries.append(seconds)

    monkeypatch.setattr(Predictor, "replay", fail_once)
    asyncio.run(lifecycle.run(sleep=note))
    assert lifecycle.ready
    assert len(tries) == 1


def test_what_keeps_a_version_is_logged_once_for_each_reason(models: Store, tmp_path: Path) -> None:
    lifecycle = Lifecycle(Source(models.url, "iris", None, "champion"), Cache(tmp_path / "cache"), ServeMetrics())
    rounds: list[float] = []

    async def note(seconds: float) -> None:
        rounds.append(seconds)
        if len(rounds) == 1:
            shutil.move(tmp_path / "models", tmp_path / "away")
        if len(rounds) == 5:
            raise asyncio.CancelledError

    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        asyncio.run(lifecycle.run(sleep=note))
    [kept] = [line for line in logs if line["event"] == "kept_version"]
    assert (kept["model"], kept["version"]) == ("iris", "v1")


def test_tries_come_later_and_later_but_at_least_every_5_seconds(tmp_path: Path) -> None:
    source = Source(str(tmp_path / "nowhere"), "iris", "v1", None)
    lifecycle = Lifecycle(source, Cache(tmp_path / "cache"), ServeMetrics())
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 12:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(lifecycle.run(sleep=note))
    assert waits[0] <= 0.1
    assert all(wait <= 5 for wait in waits)
    assert min(waits[-4:]) >= 2.5


def test_the_warm_up_measures_a_row(models: Store, tmp_path: Path) -> None:
    manifest = models.manifest("iris", "v1")
    files = Cache(tmp_path / "cache").fetch(models, manifest, ["model.onnx"])
    predictor = Predictor.load(manifest, files["model.onnx"])
    assert 0 < module.warm_up(predictor).seconds(1) < 1
    assert isinstance(manifest.features.columns[0], NumericColumn)

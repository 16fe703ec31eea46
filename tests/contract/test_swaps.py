"""An alias that moves again and again under load, asked by every protocol: bench/swaps.py, shortly."""

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

from bench.fuzzing.models import Model
from bench.fuzzing.wire import Wire
from bench.versions import Asker, Versions
from tests.unit.serve.conftest import Running, Start, poll

from mlplat.serve.lifecycle import Served
from mlplat.store import Store

VERSIONS = ("v1", "v2")
SWAPS = 16


def test_each_answer_is_of_exactly_one_version_and_those_that_served_are_gone(
    models: Store, tmp_path: Path, start: Start
) -> None:
    others = model_threads()  # of servers of other tests
    running = start(models.url, model="iris", alias="champion", poll_seconds=0.02).ready()
    versions = Versions([Model.read(tmp_path / "models", "iris", version) for version in VERSIONS])
    idle = Wire(running.port)
    assert versions.of(0, idle.ask(versions.questions[0], b"POST")) == "v1"
    first = weakref.ref(current(running).predictor)
    stop = threading.Event()
    askers = [Asker(running.port, versions, stop, number) for number in range(8)]
    for asker in askers:
        asker.start()
    try:
        served = [swap(models, running, VERSIONS[(number + 1) % 2], askers) for number in range(SWAPS)]
    finally:
        stop.set()
        for asker in askers:
            asker.join()
    assert [problem for asker in askers for problem in asker.problems] == []
    assert {version for asker in askers for version in asker.counts} == set(VERSIONS)
    poll(lambda: gone([first, *served[:-1]]), "what served before is gone")
    assert versions.of(0, idle.ask(versions.questions[0], b"POST")) == VERSIONS[SWAPS % 2]
    idle.close()
    poll(lambda: model_threads() <= others + 1, "the threads of those are gone")
    assert running.client.get("/metrics").text.count("mlplat_model_info{") == 1


def swap(models: Store, running: Running, version: str, askers: list[Asker]) -> "weakref.ref[Any]":
    """Move the alias, and wait until the version serves and has answered; its predictor."""
    models.move("iris", "champion", version, reason="test", by="test")
    before = sum(asker.counts.get(version, 0) for asker in askers)
    poll(lambda: current(running).manifest.version == version, f"{version} serves")
    poll(lambda: sum(asker.counts.get(version, 0) for asker in askers) > before or failed(askers), "it is asked")
    return weakref.ref(current(running).predictor)


def model_threads() -> int:
    return sum(thread.name.startswith("predict") for thread in threading.enumerate())


def current(running: Running) -> Served:
    served = running.server.lifecycle.current
    assert served is not None
    return served


def failed(askers: list[Asker]) -> bool:
    return any(asker.problems for asker in askers)


def gone(predictors: "list[weakref.ref[Any]]") -> bool:
    """Whether their sessions are, also where a connection that was answered by them is idle."""
    gc.collect()
    return all(predictor() is None for predictor in predictors)

"""Large bodies: within bounds, and no one else waits for them."""

import asyncio
import gzip
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from mlplat.errors import OverloadedError
from mlplat.runtime.batcher import Job
from mlplat.serve import reading, service
from mlplat.serve.protocols import Question
from mlplat.serve.reading import Reader

from .conftest import FLOWER, Running, Start, poll


def held_by(running: Running) -> int:
    """Bytes of large bodies that a server counts."""
    held: int = running.server.config.http.args[0]._held  # type: ignore[union-attr]
    return held


class Waiting(Job):
    """A job that only can be settled."""

    def __init__(self) -> None:
        self.settled = False

    @property
    def deadline(self) -> float:
        return 0.0

    def answer(self, *_: Any) -> None:
        """Not asked here."""

    def fail(self, *_: Any) -> None:
        """Not asked here."""


def test_so_many_wait_and_what_nobody_waits_for_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_READ", 2)
    release = threading.Event()
    read: list[str] = []

    def decode(name: str) -> Question:
        assert release.wait(30)
        read.append(name)
        return Question({}, 1)

    async def scenario() -> None:
        reader = Reader()
        first, gone = Waiting(), Waiting()
        done: list[asyncio.Future[Question]] = []
        reader.read(first, lambda: decode("first"), done.append)
        reader.read(gone, lambda: decode("gone"), done.append)
        with pytest.raises(OverloadedError):
            reader.read(Waiting(), lambda: decode("more"), done.append)
        gone.settled = True
        release.set()
        while len(done) < 2:
            await asyncio.sleep(0.001)
        assert done[0].result().rows == 1
        assert isinstance(done[1].exception(), OverloadedError)
        reader.read(Waiting(), lambda: decode("again"), done.append)
        while len(done) < 3:
            await asyncio.sleep(0.001)

    asyncio.run(scenario())
    assert read == ["first", "again"]


@pytest.mark.parametrize("item", [b"1,", b"[],", b"{},", b'"",', b'"a":1,'])
def test_a_bomb_is_refused_before_it_is_made(iris: Running, item: bytes) -> None:
    body = gzip.compress(b'{"features":[' + item * (90_000 // len(item)) + b"1]}")
    answer = iris.client.post("/predict", content=body, headers={"Content-Encoding": "gzip"})
    assert answer.status_code in {400, 422}
    assert iris.predict(FLOWER).status_code == 200


def test_so_is_one_of_any_protocol(trained: Path, start: Start) -> None:
    running = start(str(trained), model="iris", version="v1").ready()
    for path, item, media_type, status in (
        ("/v2/models/iris/infer", b"[],", "application/octet-stream", 422),
        ("/v2/models/iris/infer", b"[{}],", "application/octet-stream", 422),
        ("/invocations", b"NaN", "application/json", 400),
        ("/invocations", b"12,", "text/csv", 400),
        ("/predict", b'"a":1,', "application/json", 422),
    ):
        body = b'{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","data":[' + item * 600_000 + b"1]}]}"
        headers = {"Content-Encoding": "gzip", "Content-Type": media_type}
        if media_type == "application/octet-stream":
            headers["Inference-Header-Content-Length"] = str(len(body))
        answer = running.client.post(path, content=gzip.compress(body), headers=headers)
        assert (answer.status_code, "expected at most" in answer.text) == (status, True)


def test_a_bomb_of_millions_takes_no_memory(trained: Path, start: Start) -> None:
    running = start(str(trained), model="iris", version="v1").ready()
    body = gzip.compress(b'{"features":[' + b"1," * 8_000_000 + b"1]}")
    assert len(body) < 32_000
    answer = running.client.post("/predict", content=body, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_rows")


def test_large_bodies_on_their_way_are_bounded_together_and_free_their_room(
    trained: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BODIES_HELD", 2)
    running = start(str(trained), model="iris", version="v1", max_body_bytes=1_000_000).ready()
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 950000\r\n\r\n"
    held = [running.raw(head + b" " * 900_000) for _ in range(2)]
    poll(lambda: held_by(running) == 1_800_000, "both have arrived so far")
    with running.raw(head + b" " * 900_000) as connection:
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 503 ")
    assert running.predict(FLOWER).status_code == 200
    for connection in held:
        connection.close()
    poll(lambda: held_by(running) == 0, "their room is free")
    rows = json.dumps({"features": [FLOWER["features"]] * 9000}).encode()
    answer = running.client.post("/predict", content=rows, headers={"Content-Type": "application/json"})
    assert (answer.status_code, len(answer.json()["predictions"])) == (200, 9000)
    assert held_by(running) == 0

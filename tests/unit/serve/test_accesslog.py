"""A line for each prediction."""

import json
import os
from select import PIPE_BUF
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from mlplat.logs import Dropping
from mlplat.serve import accesslog
from mlplat.serve.accesslog import AccessLog
from mlplat.serve.heads import Head
from mlplat.serve.protocols import Plain
from mlplat.serve.targets import Probe, Target

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACED = {b"traceparent": f"00-{TRACE}-{PARENT}-01".encode()}


class Answered:
    """As much of an exchange as a line tells."""

    def __init__(self, target: Target | None, rows: int = 2, headers: dict[bytes, bytes] | None = None) -> None:
        self.head = Head(target, b"POST", b"/predict", headers or {}, keep_alive=True, interim=True)
        self.rows = rows


class Out:
    """Takes blocks, while there is room."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.room = True

    def offer(self, data: bytes) -> bool:
        if self.room:
            self.blocks.append(data)
        return self.room

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for block in self.blocks for line in block.splitlines()]


def note(log: AccessLog, target: Target | None = None, status: int = 200, **more: Any) -> None:
    log.note(Answered(target or Target(Plain), **more), status, 0.0012345678)  # type: ignore[arg-type]


def test_a_line_tells_what_was_answered() -> None:
    out = Out()
    log = AccessLog(out.offer)
    note(log)
    note(log, headers=TRACED)
    assert out.blocks == []
    log.flush()
    first, second = out.lines()
    assert first | {"time": ""} == {
        "protocol": "plain",
        "version": None,
        "status": 200,
        "rows": 2,
        "seconds": 0.001235,
        "event": "request",
        "level": "info",
        "time": "",
    }
    assert second == first | {"trace_id": TRACE, "parent_span_id": PARENT}


def test_many_lines_are_written_at_once_whole_and_in_order() -> None:
    out = Out()
    log = AccessLog(out.offer)
    seconds = np.arange(300) / 1e7
    note(log)
    log.extend("v2", "v7", seconds, range(300))
    note(log, status=503)
    log.flush()
    first, *lines, last = out.lines()
    assert (first["status"], last["status"]) == (200, 503)
    assert [line["rows"] for line in lines] == list(range(300))
    assert [line["seconds"] for line in lines] == seconds.round(6).tolist()
    assert {key for line in lines for key in line} == set(first)
    assert {(line["protocol"], line["version"], line["status"]) for line in lines} == {("v2", "v7", 200)}
    assert 8 < len(out.blocks) < 20
    assert all(len(block) <= PIPE_BUF and block.endswith(b"\n") for block in out.blocks)


def test_the_longest_lines_fit_into_a_block() -> None:
    out = Out()
    log = AccessLog(out.offer)
    for _ in range(100):
        log.note(Answered(Target(Plain), rows=10**15), 200, 1e8)  # type: ignore[arg-type]
    log.extend("plain", "v" * 128, np.full(100, 1e8), [10**15] * 100)
    log.flush()
    assert len(out.lines()) == 200
    assert all(len(block) <= PIPE_BUF for block in out.blocks)


def test_lines_wait_until_there_is_room() -> None:
    out = Out()
    log = AccessLog(out.offer)
    out.room = False
    for rows in range(100):
        note(log, rows=rows)
    log.flush()
    out.room = True
    log.flush()
    assert [line["rows"] for line in out.lines()] == list(range(100))


def test_a_reader_that_is_too_slow_costs_lines_not_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accesslog, "MOST_BLOCKS", 2)
    out = Out()
    log = AccessLog(out.offer)
    out.room = False
    for rows in range(1000):
        note(log, rows=rows)
    with capture_logs() as told:
        log.flush()
        assert told == []
        out.room = True
        log.flush()
        written = len(out.lines())
        assert 20 < written < 100
        log.flush()
    assert told == [{"event": "access_log_dropped", "log_level": "warning", "lines": 1000 - written}]


def test_probes_are_no_lines() -> None:
    out = Out()
    log = AccessLog(out.offer)
    note(log, Target(probe=Probe.HEALTH))
    log.flush()
    assert out.blocks == []


def test_a_pipe_that_nobody_empties_holds_whole_lines_only() -> None:
    reader, writer = os.pipe()
    log = AccessLog(Dropping(writer).offer)
    for rows in range(2000):
        note(log, rows=rows)
        log.flush()
    os.close(writer)
    with os.fdopen(reader, "rb") as end:
        lines = [json.loads(line) for line in end.read().splitlines()]
    assert 100 < len(lines) < 2000
    assert [line["rows"] for line in lines] == list(range(len(lines)))

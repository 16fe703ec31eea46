"""A line for each prediction."""

import asyncio
import io
import json
from typing import Any

import pytest

from mlplat.serve import accesslog
from mlplat.serve.accesslog import AccessLog
from mlplat.serve.heads import Head
from mlplat.serve.protocols import Plain
from mlplat.serve.targets import Probe, Target


class Answered:
    """As much of an exchange as a line tells."""

    rows = 2

    def __init__(self, target: Target | None) -> None:
        self.head = Head(target, b"POST", b"/predict", {}, keep_alive=True, interim=True)


def note(log: AccessLog, target: Target | None = None) -> None:
    log(Answered(target or Target(Plain)), 200, 0.0012345678)  # type: ignore[arg-type]


def test_lines_are_written_by_a_thread_in_their_order() -> None:
    out = io.StringIO()

    async def scenario() -> None:
        log = AccessLog(out)
        for _ in range(3):
            note(log)
        log.flush()
        note(log)
        while not (log._writing and log._writing.done()):
            await asyncio.sleep(0.001)
        log.flush()
        while not log._writing.done():
            await asyncio.sleep(0.001)

    asyncio.run(scenario())
    lines: list[dict[str, Any]] = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(lines) == 4
    assert lines[0] | {"time": ""} == {
        "protocol": "plain",
        "version": None,
        "status": 200,
        "rows": 2,
        "seconds": 0.001235,
        "event": "request",
        "level": "info",
        "time": "",
    }


def test_a_reader_that_is_too_slow_costs_lines_not_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accesslog, "MOST_LINES", 2)
    out = io.StringIO()
    log = AccessLog(out)
    for _ in range(5):
        note(log)
    log.close()
    assert len(out.getvalue().splitlines()) == 2
    assert log._dropped == 3


def test_probes_are_no_lines() -> None:
    out = io.StringIO()
    log = AccessLog(out)
    note(log, Target(probe=Probe.HEALTH))
    log.close()
    assert out.getvalue() == ""

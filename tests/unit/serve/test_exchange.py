"""A request from its head to its answer, on a server that really runs."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.wire import Wire, request, wires

from mlplat.bundle.features import Inputs
from mlplat.bundle.prediction import Prediction
from mlplat.serve.exchange import Exchange
from mlplat.serve.heads import Head
from mlplat.serve.protocols import Plain
from mlplat.serve.targets import Target

from .conftest import Running, Start, held, poll

FLOWER = [5.1, 3.5, 1.4, 0.2]
HUGE = [5.1, 3.4e38, 1.4, -3.4e38]
"""More than logistic regression can multiply in float32."""


def ask(*rows: list[float]) -> bytes:
    return request("POST", "/predict", body=msgspec.json.encode({"features": rows}))


def test_of_one_run_only_the_request_is_refused_whose_own_row_has_no_number(trained: Path, start: Start) -> None:
    running = start(str(trained), model="iris", version="v2").ready()
    served = running.server.lifecycle.current
    assert served is not None
    predict, runs = served.batcher._predict, []

    def counting(inputs: Inputs) -> Prediction:
        runs.append(len(inputs["input"]))
        return predict(inputs)

    served.batcher._predict = counting
    with wires(running.port, 4, running.server) as (first, *others):
        with held(running) as entered:
            first.send(ask(FLOWER))
            poll(entered.is_set, "the model runs")
            for wire, rows in zip(others, ([FLOWER, FLOWER], [FLOWER, HUGE], [FLOWER]), strict=True):
                wire.send(ask(*rows)).taken()
            poll(lambda: served.batcher._waiting == 3, "all wait for the next run")
        replies = [wire.reply() for wire in (first, *others)]
    assert runs == [1, 5]
    assert [reply.status for reply in replies] == [200, 200, 422, 200]
    assert replies[1].json["predictions"] == ["setosa", "setosa"]
    assert replies[2].json["code"] == "out_of_range"
    assert replies[2].json["error"].startswith("row 1: the model has no number")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({}, 30.0), ({b"x-request-timeout": b"2.5"}, 2.5), ({b"x-request-timeout": b"1000"}, 30.0)],
)
def test_the_deadline_is_the_clients_or_else_the_servers(
    iris: Running, headers: dict[bytes, bytes], seconds: float
) -> None:
    with Wire(iris.port, iris.server) as wire:
        wire.send(ask(FLOWER)).reply()
        connection: Any = wire.other_end()
        head = Head(Target(Plain), b"POST", b"/predict", headers, keep_alive=True, interim=True)
        exchange = Exchange(connection, head, b"", whole=True)
        assert exchange.deadline == exchange.began + seconds

"""Requests nobody would send: none is answered by a 5xx, none hangs, and each 200 is what scikit-learn predicts.

The same requests as those of bench/fuzz.py, which asks many more; here hypothesis draws them, always the same ones, and
makes a small one of what fails.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.fuzzing.judge import Judge, WrongError
from bench.fuzzing.models import Model
from bench.fuzzing.mutations import shoot, stream
from bench.fuzzing.requests import Limits
from bench.fuzzing.shots import PROTOCOLS, right
from bench.fuzzing.wire import Wire, ask
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.draws import drawn
from tests.unit.serve.conftest import Running

VERSIONS = [("iris", "v1"), ("iris", "v2"), ("customers", "v1"), ("forecast", "v1")]
LIMITS = Limits(rows=10_000)

draws = st.randoms(use_true_random=False)
bounded = drawn(40)


class Asker:
    """Asks the server of one model, and fails where it is answered wrongly."""

    def __init__(self, model: Model, port: int) -> None:
        self.model = model
        self._port = port
        self._wire = Wire(port)

    def ask(self, *requests: bytes, alone: bool = False) -> list[int]:
        """The statuses of the answers."""
        judge = Judge(self.model, LIMITS)
        statuses: list[int] = []
        for data in requests:
            try:
                answers = ask(self._wire, self._port, data, judge, alone=alone)
                statuses += [answer.status for answer in answers]
            except WrongError as error:
                self._wire.close()
                pytest.fail(f"{error!r} to {data!r}")
        for (data, _), problem in judge.settle():
            pytest.fail(f"{problem} to {data!r}")
        return statuses

    def end(self) -> None:
        self._wire.close()


@pytest.fixture(scope="module", params=VERSIONS, ids="-".join)
def asker(request: pytest.FixtureRequest, trained: Path, servers: dict[tuple[str, str], Running]) -> Iterator[Asker]:
    asking = Asker(Model.read(trained, *request.param), servers[request.param].port)
    yield asking
    asking.end()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@bounded
@given(rng=draws)
def test_what_is_right_is_answered_and_what_is_spoiled_is_not_taken_for_it(
    asker: Asker, protocol: str, rng: random.Random
) -> None:
    asker.ask(*(shoot(rng, asker.model, [protocol]).data() for _ in range(4)))


@bounded
@given(rng=draws)
def test_bytes_that_may_be_no_requests_end_in_answers_or_in_the_end(asker: Asker, rng: random.Random) -> None:
    asker.ask(*(stream(rng, asker.model, PROTOCOLS) for _ in range(2)), alone=True)
    assert asker.ask(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n") == [200]


@bounded
@given(data=st.binary(max_size=300))
def test_random_bytes(asker: Asker, data: bytes) -> None:
    asker.ask(data, alone=True)


def test_the_generator_makes_requests_that_are_answered(asker: Asker) -> None:
    """Else all the above would hold of a server that refuses everything."""
    rng = random.Random(0)
    shots = [right(rng, asker.model, protocol) for protocol in PROTOCOLS for _ in range(25)]
    statuses = asker.ask(*(shot.data() for shot in shots))
    assert statuses.count(200) > 0.7 * len(shots)

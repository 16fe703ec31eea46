"""Requests by every protocol, and which version an answer is of: exactly one, by what it says and by its numbers."""

import re
import threading
from collections.abc import Sequence

import numpy as np
from bench.fuzzing import wire
from bench.fuzzing.judge import TOLERANCE, Response, WrongError, read
from bench.fuzzing.models import Model
from bench.fuzzing.requests import Limits, asked
from bench.questions import compact, floats, flowers, post

ROWS = 8
STAMP = re.compile(rb'"timestamp":"[^"]*"')


class Versions:
    """Tells the versions of one model apart. Safe to use from several threads.

    Args:
        models: the versions; their probabilities for the rows that are asked must differ.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        self._models = models
        self.questions = _questions(models[0].name)
        self._known: dict[tuple[int, bytes], str] = {}
        self._lock = threading.Lock()

    def of(self, question: int, response: Response) -> str:
        """The version that has answered a question, by its number.

        Raises:
            WrongError: if it is none, or could be several.
        """
        if response.status != 200:
            raise WrongError(f"status {response.status}: {response.body[:200]!r}")
        body = STAMP.sub(b"", response.body)
        if (question, body) not in self._known:
            found = [model.version for model in self._models if self._is_of(model, question, response)]
            if len(found) != 1:
                raise WrongError(f"an answer of {found or 'no version'}: {response.body[:300]!r}")
            with self._lock:
                self._known[question, body] = found[0]
        return self._known[question, body]

    def _is_of(self, model: Model, question: int, response: Response) -> bool:
        (request,) = wire.requests(self.questions[question])
        if request is None:
            raise WrongError("a question that is none")
        what = asked(request, model, Limits())
        try:
            said = read(what, model, response)
        except WrongError:
            return False
        rows = np.array(what.rows, dtype=np.float32)
        _, probabilities = model.predict(rows)
        if probabilities is None or said.probabilities is None:
            return False
        allowed = TOLERANCE + model.slack(rows)
        return bool((np.abs(np.array(said.probabilities) - probabilities) <= allowed[:, None]).all())


def _questions(model: str) -> list[bytes]:
    """Some rows by each protocol, each with probabilities."""
    out = []
    for seed in range(4):
        rows = flowers(ROWS, seed=seed)
        flat = [value for row in rows for value in row]
        tensor = {"name": "input", "shape": [ROWS, 4], "datatype": "FP32"}
        head = compact({"inputs": [tensor | {"parameters": {"binary_data_size": 4 * len(flat)}}]})
        lengths = {"Inference-Header-Content-Length": str(len(head))}
        out += [
            post("/predict", compact({"features": rows, "return_probabilities": True})),
            post(f"/v1/models/{model}:predict", compact({"instances": rows, "signature_name": "predict_proba"})),
            post("/invocations", compact({"inputs": rows, "params": {"return_probabilities": True}})),
            post(f"/v2/models/{model}/infer", compact({"inputs": [tensor | {"data": flat}]})),
            post(f"/v2/models/{model}/infer", head + floats(rows), lengths),
        ]
    return out


class Asker(threading.Thread):
    """Asks over one connection, always, until it is told to stop.

    Attributes:
        counts: answers by version.
        problems: what was wrong, and when.
    """

    def __init__(self, port: int, versions: Versions, stop: threading.Event, first: int) -> None:
        super().__init__()
        self._wire = wire.Wire(port)
        self._versions = versions
        self._stop_asking = stop
        self._first = first
        self.counts: dict[str, int] = {}
        self.problems: list[str] = []

    def run(self) -> None:
        """Ask, and tell versions apart."""
        number = self._first
        while not self._stop_asking.is_set():
            number = (number + 1) % len(self._versions.questions)
            try:
                response = self._wire.ask(self._versions.questions[number], b"POST")
                version = self._versions.of(number, response)
            except (WrongError, OSError) as problem:
                self.problems.append(repr(problem))
            else:
                self.counts[version] = self.counts.get(version, 0) + 1
        self._wire.close()

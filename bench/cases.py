"""What is measured, and which goals are judged by it. One thing is varied at a time around one row for a forest of 100 trees."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from bench.load import Measured
from bench.questions import Protocol


class Kind(StrEnum):
    """What answers."""

    CONSTANT = "constant ASGI app"
    FASTAPI = "constant in FastAPI"
    HANDMADE = "FastAPI + joblib"
    MLPLAT = "mlplat serve"
    GUARDED = "mlplat serve, keys, logs and scraped metrics"
    ALONE = "ONNX Runtime alone"


MODELS = {
    "forest": "RandomForest(100)",
    "logistic": "logistic regression",
    "boosting": "hist gradient boosting",
    "churn": "churn with categories, RandomForest(100)",
}


MANY = (32, 1024)
"""Rows of the requests that hold several."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is measured; cases of one group are measured in turn."""

    group: str
    kind: Kind
    connections: int = 16
    model: str = "forest"
    protocol: Protocol = Protocol.PREDICT
    rows: int = 1

    @property
    def name(self) -> str:
        """For `--only` and for people."""
        parts = [self.kind.value]
        if self.model != "forest":
            parts.append(MODELS[self.model])
        if self.kind not in {Kind.CONSTANT, Kind.FASTAPI, Kind.ALONE}:
            parts.append(self.protocol.value)
        if self.rows > 1:
            parts.append(f"{self.rows} rows")
        if self.kind is not Kind.ALONE:
            parts.append(f"{self.connections} connection{'s' * (self.connections > 1)}")
        return f"{self.group}: {', '.join(parts)}"


GROUPS = {
    "base": "One row, RandomForest(100), against the constant",
    "hand": "The same, against FastAPI",
    "connections": "Other numbers of connections",
    "protocols": "Protocols",
    "rows": "Rows a request",
    "models": "Models",
    "guarded": "API keys, access log and metrics",
    "start": "Start",
}


def cases() -> list[Case]:
    """All cases but the starts, by group."""
    usual, extreme = (16, 64), (1, 256)
    ways = (Protocol.PREDICT, Protocol.V2_JSON, Protocol.V2_BINARY)
    return [
        *(Case("base", kind, number) for number in usual for kind in (Kind.CONSTANT, Kind.MLPLAT)),
        *(Case("hand", kind, number) for number in usual for kind in (Kind.FASTAPI, Kind.HANDMADE, Kind.MLPLAT)),
        *(
            Case("connections", kind, number)
            for number in extreme
            for kind in (Kind.CONSTANT, Kind.HANDMADE, Kind.MLPLAT)
        ),
        *(Case("protocols", Kind.MLPLAT, number, protocol=protocol) for number in usual for protocol in Protocol),
        *(Case("rows", Kind.HANDMADE, rows=rows) for rows in MANY),
        *(Case("rows", Kind.MLPLAT, protocol=protocol, rows=rows) for rows in MANY for protocol in ways),
        Case("rows", Kind.ALONE, rows=MANY[-1]),
        *(
            Case("models", kind, model=model)
            for model in MODELS
            if model != "forest"
            for kind in (Kind.HANDMADE, Kind.MLPLAT)
        ),
        *(Case("guarded", kind, number) for number in usual for kind in (Kind.MLPLAT, Kind.GUARDED)),
    ]


STARTS = (Kind.CONSTANT, Kind.FASTAPI, Kind.HANDMADE, Kind.MLPLAT)

Figure = Literal["rate", "p99", "memory", "start"]


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on a figure of one case, or on its ratio to the same figure of another; a rate must be larger, all else smaller."""

    text: str
    figure: Figure
    bound: float
    ours: Case
    theirs: Case | None = None
    aim: float | None = None
    unit: str = ""

    @property
    def at_least(self) -> bool:
        """Whether more is better."""
        return self.figure == "rate"


def goals() -> Iterator[Goal]:
    """All of them."""
    for connections, bound, aim in ((16, 1.0, 1.5), (64, 1.3, 1.8)):
        ours, theirs = (Case("base", kind, connections) for kind in (Kind.MLPLAT, Kind.CONSTANT))
        text = f"constant ASGI app on uvicorn, {connections} connections"
        yield Goal(f"requests/s against the {text}", "rate", bound, ours, theirs, aim)
        yield Goal(f"p99 against the {text}", "p99", 1.0, ours, theirs)
    yield Goal(
        "requests/s against FastAPI + joblib, 64 connections",
        "rate",
        200.0,
        Case("hand", Kind.MLPLAT, 64),
        Case("hand", Kind.HANDMADE, 64),
    )
    yield Goal(
        "rows/s of 1024 rows a request in Open Inference V2, binary, against ONNX Runtime alone",
        "rate",
        0.5,
        Case("rows", Kind.MLPLAT, protocol=Protocol.V2_BINARY, rows=MANY[-1]),
        Case("rows", Kind.ALONE, rows=MANY[-1]),
    )
    for connections in (16, 64):
        ours, theirs = (Case("guarded", kind, connections) for kind in (Kind.GUARDED, Kind.MLPLAT))
        text = f"requests/s with API keys, access log and metrics on against bare, {connections} connections"
        yield Goal(text, "rate", 0.9, ours, theirs)
    yield Goal("exec to ready, cached model", "start", 1.0, Case("start", Kind.MLPLAT), unit=" s")
    yield Goal(
        "resident memory after one row a request, 64 connections",
        "memory",
        90.0,
        Case("base", Kind.MLPLAT, 64),
        unit=" MiB",
    )


@dataclass(slots=True)
class Results:
    """What each round gave."""

    measured: dict[Case, list[Measured]] = field(default_factory=dict)
    problems: dict[Case, str] = field(default_factory=dict)
    """Why a case has no figures, or not of every round."""
    starts: dict[Kind, list[float]] = field(default_factory=dict)
    """Seconds."""
    notes: list[str] = field(default_factory=list)
    """What a reader of the tables must know."""

    def values(self, case: Case, figure: Figure) -> list[float]:
        """The figure in each round; empty if there is none."""
        if figure == "start":
            return self.starts.get(case.kind, [])
        found = [getattr(one, figure) for one in self.measured.get(case, [])]
        return [value for value in found if value is not None] if case not in self.problems else []


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal and what it came to: best round to best round, which others disturbed least, and each round by itself.

    Of memory it is the round that took most.
    """

    goal: Goal
    value: float | None
    each: list[float]

    @property
    def met(self) -> bool:
        """Whether the goal is met; one that was not measured is not."""
        if self.value is None:
            return False
        return self.value >= self.goal.bound if self.goal.at_least else self.value <= self.goal.bound


def judge(goal: Goal, results: Results) -> Verdict:
    """Hold the results against a goal."""
    best = max if goal.at_least or goal.figure == "memory" else min
    ours = results.values(goal.ours, goal.figure)
    if goal.theirs is None:
        return Verdict(goal, best(ours, default=None), ours)
    theirs = results.values(goal.theirs, goal.figure)
    if not ours or not theirs:
        return Verdict(goal, None, [])
    each = [left / right for left, right in zip(ours, theirs, strict=False)]
    return Verdict(goal, best(ours) / best(theirs), each)

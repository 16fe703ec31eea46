"""Whether a candidate is as good as the version that serves, by what the pods of both counted: plain functions over plain values.

What a pod predicted of late is a sample, so two equal versions differ by chance, too. What 99 of 100 such pairs stay below is
forgiven, where the rows of one request are one draw, as they may all be of a kind: for shares of classes the mean of their distance and McDiarmid's bound on it, for numbers the Kolmogorov-Smirnov test's.
"""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlplat.operator.spec import Canary
from mlplat.operator.status import Counted, Fault

LEAST_SECONDS = 0.001
"""A mean latency that is less above the other's is never too much: so little is noise."""

MOST_RESTARTS = 2
"""A candidate whose containers were started again more often than this crashes."""

DOUBT = 0.01
"""How often chance may exceed what is forgiven."""


@dataclass(frozen=True)
class Predictions:
    """What a pod predicted of late.

    Attributes:
        rows: how many.
        outputs: by class; empty for numbers.
        quantiles: of the numbers, at equal steps from 0 to 1; empty for classes.
        batch: rows of a request, on average.
    """

    rows: int
    outputs: Mapping[str, float]
    quantiles: Sequence[float]
    batch: float = 1.0


@dataclass(frozen=True)
class Side:
    """What the pods of one version counted since the step began.

    Attributes:
        pods: that are ready.
        asked: of them, that told their metrics.
        problem: why another one did not.
        restarts: of their containers, ready or not.
        requests: that were answered.
        errors: of them, by a server error.
        seconds: that all answers took.
        predictions: of each pod.
        golden: share of the other version's golden samples that they answer alike; the least of all pods.
    """

    pods: int = 0
    asked: int = 0
    problem: str = ""
    restarts: int = 0
    requests: int = 0
    errors: int = 0
    seconds: float = 0.0
    predictions: tuple[Predictions, ...] = ()
    golden: float | None = None

    @property
    def rows(self) -> int:
        """Rows that were predicted of late."""
        return sum(each.rows for each in self.predictions)

    @property
    def draws(self) -> float:
        """Requests that these rows came by."""
        return sum(each.rows / each.batch for each in self.predictions)

    @property
    def latency(self) -> float | None:
        """Mean seconds of an answer."""
        return self.seconds / self.requests if self.requests else None


@dataclass(frozen=True)
class Figures:
    """What was asked of the pods at one time, for one step."""

    step: int
    at: datetime
    stable: Side
    candidate: Side


@dataclass(frozen=True)
class Finding:
    """Why a candidate is given up."""

    reason: Fault
    message: str


@dataclass(frozen=True)
class Judgement:
    """What is found when a pause ends.

    Attributes:
        fault: why the candidate is given up.
        wait: what is to be known first.
        note: what it was not judged by, and why.
    """

    fault: Finding | None = None
    wait: str = ""
    note: str = ""


def clear_fault(figures: Figures, rules: Canary, stable: str) -> Finding | None:
    """What is so clear that no pause is waited for.

    Errors are enough as soon as they would be too many even if all else up to `min_requests` were answered well.
    """
    it = figures.candidate
    if it.restarts > MOST_RESTARTS:
        return Finding(Fault.CANARY_NOT_READY, f"Its containers were started again {it.restarts} times.")
    if it.errors > rules.max_error_rate * max(it.requests, rules.min_requests):
        rate = it.errors / it.requests
        return Finding(
            Fault.CANARY_ERRORS,
            f"{it.errors} of its {it.requests} answers were server errors ({rate:.1%}); {rules.max_error_rate:.1%} may be.",
        )
    if it.golden is not None and it.golden < rules.min_agreement:
        return Finding(
            Fault.CANARY_DISAGREES,
            f"It answers {it.golden:.0%} of the golden samples of {stable} alike; {rules.min_agreement:.0%} are wanted.",
        )
    return None


def judge(figures: Figures, rules: Canary, stable: str) -> Judgement:
    """What is found when the pause of a step ends."""
    it, other = figures.candidate, figures.stable
    if not it.asked:
        why = f": {it.problem}" if it.problem else ""
        return Judgement(wait=f"none of its pods tells its metrics{why}")
    fault = clear_fault(figures, rules, stable)
    if fault is not None:
        return Judgement(fault)
    enough = it.requests >= rules.min_requests
    alike = agreement(other, it) if enough and min(it.rows, other.rows) >= rules.min_requests else None
    if it.golden is None and alike is None and rules.min_agreement:
        few = (
            f"it answered {it.requests} requests of the {rules.min_requests} to judge it by, and" if not enough else ""
        )
        return Judgement(
            wait=f"{few} its pods cannot tell how they answer the golden samples of {stable} (their logs say why)".strip()
        )
    if alike is not None and alike[0] + alike[1] < rules.min_agreement:
        return Judgement(
            Finding(
                Fault.CANARY_DISAGREES,
                f"Its latest {it.rows} predictions agree to {alike[0]:.0%} with those of {stable}, and chance explains "
                f"{alike[1]:.0%} at most; {rules.min_agreement:.0%} are wanted.",
            )
        )
    if not enough:
        return Judgement(note=f"it answered {it.requests} requests, so golden samples decided")
    if other.requests < rules.min_requests or it.latency is None or other.latency is None:
        return Judgement(note=f"{stable} answered {other.requests} requests, too few to compare times")
    if it.latency > rules.max_latency_ratio * other.latency and it.latency > other.latency + LEAST_SECONDS:
        return Judgement(
            Finding(
                Fault.CANARY_SLOW,
                f"Its answers take {it.latency * 1000:.1f} ms, {it.latency / other.latency:.1f} times the "
                f"{other.latency * 1000:.1f} ms of {stable}; {rules.max_latency_ratio:g} times may be.",
            )
        )
    return Judgement()


def counted(figures: Figures) -> Counted:
    """The figures as the status tells them."""
    it, other = figures.candidate, figures.stable
    alike = agreement(other, it)
    return Counted(
        requests=it.requests,
        errors=it.errors,
        latency_milliseconds=_rounded(it.latency, 1000),
        stable_latency_milliseconds=_rounded(other.latency, 1000),
        agreement=_rounded(None if alike is None else alike[0]),
        golden_agreement=_rounded(it.golden),
        at=figures.at,
    )


def agreement(stable: Side, candidate: Side) -> tuple[float, float] | None:
    """How alike both predicted of late, from 0 to 1, and how much less chance explains; None if it cannot be told."""
    if not stable.rows or not candidate.rows:
        return None
    sizes = 1 / stable.draws + 1 / candidate.draws
    ours, theirs = _shares(stable), _shares(candidate)
    if ours and theirs:
        names = ours.keys() | theirs.keys()
        distance = sum(abs(ours[name] - theirs[name]) for name in names) / 2
        total = stable.rows + candidate.rows
        both = [(ours[name] * stable.rows + theirs[name] * candidate.rows) / total for name in names]
        mean = sum(math.sqrt(share * (1 - share) * sizes) for share in both) / 2
        return 1 - distance, mean + math.sqrt(math.log(1 / DOUBT) / 2 * sizes)
    before, now = _numbers(stable), _numbers(candidate)
    if before and now:
        points = sorted({point for each in (*before, *now) for point in each.quantiles})
        distance = max(
            abs(_below(before, point, inclusive) - _below(now, point, inclusive))
            for point in points
            for inclusive in (False, True)
        )
        return 1 - distance, math.sqrt(-math.log(DOUBT / 2) / 2 * sizes)
    return None


def _shares(side: Side) -> dict[str, float]:
    """Of each class."""
    out: dict[str, float] = defaultdict(float)
    for each in side.predictions:
        for name, count in each.outputs.items():
            out[name] += count / side.rows
    return out


def _numbers(side: Side) -> list[Predictions]:
    return [each for each in side.predictions if each.rows and each.quantiles]


def _below(pods: Sequence[Predictions], point: float, inclusive: bool) -> float:
    """Share of the numbers below a point, or up to it; between two quantiles they are thought to be spread evenly."""
    total = sum(each.rows for each in pods)
    return sum(_rank(each.quantiles, point, inclusive) * each.rows for each in pods) / total


def _rank(values: Sequence[float], point: float, inclusive: bool) -> float:
    index = (bisect_right if inclusive else bisect_left)(values, point)
    last = len(values) - 1
    if index == 0:
        return 0.0
    if index > last:
        return 1.0
    low, high = values[index - 1], values[index]
    return (index - 1 + (point - low) / (high - low)) / last


def _rounded(value: float | None, factor: float = 1.0) -> float | None:
    return None if value is None else round(value * factor, 3)

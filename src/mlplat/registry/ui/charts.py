"""What pages draw: metrics across versions and against another one, and the charts that training recorded.

A manifest may come from anyone who may publish, so numbers that cannot be drawn are left out, not believed.
"""

import heapq
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlplat.bundle.answers import label_text
from mlplat.registry.bodies import Version
from mlplat.web import svg
from mlplat.web.markup import Markup, cut, number, tag

MOST_COURSES = 8
"""So many metrics are drawn across versions, those first that most versions have."""

MOST_CLASSES = 10
"""More classes than this do not fit a drawn confusion matrix."""

MOST_POINTS = 400
WIDTH, HEIGHT, FOOT, LEFT, SIDE = 320.0, 96.0, 18.0, 50.0, 8.0


@dataclass(frozen=True)
class Drawing:
    """A chart and its title; instead of a chart there may be rows of a table."""

    title: str
    chart: Markup | None = None
    rows: Sequence[tuple[str, str, str]] = ()


def metric_names(listed: Sequence[Version]) -> list[str]:
    """The metrics of some versions, those first that most have."""
    found = Counter(name for version in listed for name in version.metrics)
    return [name for name, _ in found.most_common()]


def courses(listed: Sequence[Version]) -> list[tuple[str, Markup]]:
    """The metrics of some versions, in the order in which they were made; of one version there is no course."""
    ordered = sorted(listed, key=lambda version: (version.created_at, version.version))
    drawn = []
    for name in metric_names(listed)[:MOST_COURSES]:
        points = [(version.version, version.metrics[name]) for version in ordered if name in version.metrics]
        if len(points) > 1:
            drawn.append((name, course(points, cut(name))))
    return drawn


def course(points: Sequence[tuple[str, float]], name: str) -> Markup:
    """One metric as a line with a dot for each version.

    Args:
        points: versions, and the metric of each.
        name: of the metric.
    """
    values = [value for _, value in points]
    low, high = min(values), max(values)
    spread = high - low

    def x(index: int) -> float:
        return LEFT + SIDE + index / (len(points) - 1) * (WIDTH - LEFT - 2 * SIDE)

    def y(value: float) -> float:
        share = 0.5 if spread == 0 or not math.isfinite(spread) else (value - low) / spread
        return 8 + (1 - share) * (HEIGHT - 16)

    path = "L".join(f"{_at(x(index))} {_at(y(value))}" for index, (_, value) in enumerate(points))
    dots = [
        tag(
            "g",
            tag("title", f"{version}: {number(value)}"),
            tag("circle", class_="dot", cx=_at(x(index)), cy=_at(y(value)), r=4),
        )
        for index, (version, value) in enumerate(points)
    ]
    first, last = points[0], points[-1]
    lowest = [tag("text", number(low), x=_at(LEFT - 6), y=_at(HEIGHT - 4), text_anchor="end", class_="soft")][
        : low != high
    ]
    label = f"{name}: from {number(first[1])} of {first[0]} to {number(last[1])} of {last[0]}"
    return tag(
        "svg",
        tag("path", class_="axis", d=f"M{_at(LEFT)} 0V{_at(HEIGHT)}H{_at(WIDTH)}"),
        tag("path", class_="line", d=f"M{path}"),
        *dots,
        tag("text", number(high), x=_at(LEFT - 6), y=12, text_anchor="end", class_="soft"),
        *lowest,
        tag("text", cut(first[0], 20), x=_at(LEFT), y=_at(HEIGHT + 13)),
        tag("text", cut(last[0], 20), x=_at(WIDTH), y=_at(HEIGHT + 13), text_anchor="end"),
        class_="chart",
        viewBox=f"0 0 {_at(WIDTH)} {_at(HEIGHT + FOOT)}",
        role="img",
        aria_label=label,
    )


def against(value: float, other: float | None) -> Markup:
    """A metric as a bar, with that of another version as a broader one behind it."""
    most = max(abs(value), abs(other or 0.0)) or 1.0
    bars = [_bar("live", 5, 4, abs(value) / most)]
    label = number(value)
    if other is not None:
        bars.insert(0, _bar("base", 1, 12, abs(other) / most))
        label += f", the other {number(other)}"
    return tag("svg", *bars, class_="measure", viewBox="0 0 120 14", role="img", aria_label=label)


def recorded(charts: Mapping[str, Any], classes: Sequence[Any] | None) -> list[Drawing]:
    """What training saw on the rows that it held out: confusion, calibration, residuals, each where it is there."""
    found = []
    matrix = charts.get("confusion") or ()
    names = [label_text(label) for label in classes or ()]
    if matrix and all(len(line) == len(names) for line in (names, *matrix)) and len(matrix) == len(names):
        if len(names) <= MOST_CLASSES:
            found.append(Drawing("Confusion matrix", svg.confusion(matrix, names)))
        else:
            found.append(
                Drawing(f"Most often taken for another of the {len(names)} classes", rows=_taken(matrix, names))
            )
    points = charts.get("calibration") or ()
    if (
        points
        and len(points) <= MOST_POINTS
        and all(0 <= p <= 1 and 0 <= share <= 1 and n > 0 for p, share, n in points)
    ):
        found.append(Drawing("Calibration", svg.calibration(points)))
    bins = charts.get("residuals") or ()
    if bins and len(bins) <= MOST_POINTS and _is_histogram(bins):
        found.append(Drawing("Residuals", svg.residuals(bins)))
    return found


def _taken(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> list[tuple[str, str, str]]:
    """Which class is taken for which one most often."""
    wrong = ((n, i, j) for i, line in enumerate(matrix) for j, n in enumerate(line) if i != j and n)
    top = heapq.nlargest(MOST_CLASSES, wrong)
    return [(cut(names[i]), cut(names[j]), f"{n:,}") for n, i, j in top]


def _is_histogram(bins: Sequence[tuple[float, float, int]]) -> bool:
    edges = [edge for low, high, _ in bins for edge in (low, high)]
    return edges == sorted(edges) and math.isfinite(edges[-1] - edges[0]) and all(count >= 0 for *_, count in bins)


def _bar(kind: str, y: float, height: float, share: float) -> Markup:
    return tag("rect", class_=kind, x=0, y=y, width=_at(120 * min(share, 1.0)), height=height)


def _at(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")

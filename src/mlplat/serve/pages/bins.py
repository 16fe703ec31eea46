"""The bins of a histogram in words, and its counts as bars."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from mlplat.bundle.answers import label_text
from mlplat.bundle.features import EPOCH, CategoryColumn, Column
from mlplat.bundle.manifest import Label
from mlplat.web.markup import cut, number
from mlplat.web.svg import Bar

MOST_BARS = 12
"""More categories than this are drawn as the most frequent ones and the rest together."""

UNKNOWN, MISSING = "(unknown)", "(missing)"


def feature_bins(column: Column, edges: Sequence[float]) -> list[str]:
    """The names of a feature's bins, one more than `edges`."""
    if isinstance(column, CategoryColumn):
        return [UNKNOWN, *map(cut, column.categories), MISSING]
    if column.kind == "boolean" and tuple(edges) == (0.5,):
        return ["false", "true"]
    return ranges(edge_names(column, edges), single(edges))


def edge_names(column: Column | None, edges: Sequence[float]) -> list[str]:
    """What to write at the edges of a feature's bins, or of the predictions'."""
    return [day(edge) if column is not None and column.kind == "date" else number(edge) for edge in edges]


def single(edges: Sequence[float]) -> list[bool]:
    """For each edge, whether the bin from it to the next one holds one value: there is no float32 between them."""
    lows, highs = np.asarray(edges, dtype=np.float32), np.asarray(edges[1:], dtype=np.float32)
    return [*(np.nextafter(lows[:-1], np.float32(np.inf)) >= highs).tolist(), False] if edges else []


def prediction_bins(classes: Sequence[Label] | None, edges: Sequence[float]) -> list[str]:
    """The names of the bins of predictions: the classes, or ranges of values."""
    if classes is not None and len(classes) == len(edges) + 1:
        return [cut(label_text(label)) for label in classes]
    return ranges(edge_names(None, edges), single(edges))


def ranges(edges: Sequence[str], alone: Sequence[bool]) -> list[str]:
    """Names of the bins between edges; where `alone[i]`, the bin from edge i holds just that value."""
    if not edges:
        return ["all"]
    names = [f"below {edges[0]}"]
    for index, low in enumerate(edges):
        above = index > 0 and alone[index - 1]
        if alone[index]:
            names.append(low)
        elif index == len(edges) - 1:
            names.append(f"above {edges[index - 1]}" if above else f"{low} and more")
        else:
            names.append(f"{edges[index - 1]} to {edges[index + 1]}" if above else f"{low} to {edges[index + 1]}")
    return names


def day(days: float) -> str:
    """A date as it is written, of days since 1970."""
    try:
        return (EPOCH + timedelta(days=days)).date().isoformat()
    except OverflowError:
        return number(days)


def bars(names: Sequence[str], baseline: Sequence[int], live: Sequence[int] | None) -> list[Bar]:
    """Counts as shares of their sums."""
    total, seen = max(sum(baseline), 1), max(sum(live or ()), 1)
    return [
        Bar(name, count / total, None if live is None else live[index] / seen)
        for index, (name, count) in enumerate(zip(names, baseline, strict=True))
    ]


def filled(every: Sequence[Bar]) -> list[Bar]:
    """The bars of categories that are not empty, and if they are many, the most frequent ones and the others as one."""
    found = [bar for bar in every if bar.baseline or bar.live]
    if len(found) <= MOST_BARS:
        return found
    ranked = sorted(found, key=lambda bar: -max(bar.baseline, bar.live or 0.0))
    kept, rest = ranked[: MOST_BARS - 1], ranked[MOST_BARS - 1 :]
    live = None if rest[0].live is None else sum(bar.live or 0.0 for bar in rest)
    return [*kept, Bar(f"({len(rest)} others)", sum(bar.baseline for bar in rest), live)]

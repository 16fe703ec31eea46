"""Charts as SVG: plain functions of numbers. Colours are the style sheet's, so that they follow light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlplat.web.markup import Markup, cut, number, percent, tag

WIDTH = 320
"""Of every chart, in its own units; it is scaled to the room there is."""

TEXT = 11
ROW = 18


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin: its name, and its shares of the training rows and of the latest requests, if these are known."""

    name: str
    baseline: float
    live: float | None = None


def columns(bars: Sequence[Bar], edges: Sequence[str], label: str) -> Markup:
    """A histogram of ordered bins: training as broad bars, live as narrow ones in front.

    Args:
        bars: the bins, in order.
        edges: what stands between them: one less.
        label: the chart in words.
    """
    height, foot = 110, 18
    step = WIDTH / max(len(bars), 1)
    scale = (height - 4) / _highest(bars)
    drawn = []
    for index, bar in enumerate(bars):
        x = index * step
        parts = [tag("title", _hint(bar)), _rect("hit", x, 0, step, height)]
        parts.append(_rect("base", x + 1, height - bar.baseline * scale, step - 2, bar.baseline * scale))
        if bar.live is not None:
            parts.append(_rect("live", x + step * 0.3, height - bar.live * scale, step * 0.4, bar.live * scale))
        drawn.append(tag("g", *parts))
    wide = max(map(len, edges), default=0) * TEXT * 0.6 + 6
    every = max(1, -(-int(wide) // max(int(step), 1)))
    ticks = [
        _text(edge, (index + 1) * step, height + 13, anchor="middle")
        for index, edge in enumerate(edges)
        if index % every == 0 and wide / 2 <= (index + 1) * step <= WIDTH - wide / 2  # else it would stick out
    ]
    axis = tag("path", class_="axis", d=f"M0 {height}H{WIDTH}")
    return _svg(height + foot, label, *drawn, axis, *ticks)


def rows(bars: Sequence[Bar], label: str) -> Markup:
    """Shares of named things, one a line: training as a broad bar, live as a narrow one in front."""
    left = min(142.0, max((len(cut(bar.name, 20)) for bar in bars), default=1) * TEXT * 0.6 + 8)
    scale = (WIDTH - left - 44) / _highest(bars)
    drawn = []
    for index, bar in enumerate(bars):
        y = index * ROW
        shown = bar.baseline if bar.live is None else bar.live
        longest = max(bar.baseline, bar.live or 0.0)
        parts = [
            tag("title", _hint(bar)),
            _rect("hit", 0, y, WIDTH, ROW),
            _text(cut(bar.name, 20), left - 6, y + 13, anchor="end"),
            _rect("base", left, y + 2, bar.baseline * scale, ROW - 4),
        ]
        if bar.live is not None:
            parts.append(_rect("live", left, y + 6, bar.live * scale, ROW - 12))
        parts.append(_text(percent(shown), left + longest * scale + 4, y + 13))
        drawn.append(tag("g", *parts))
    return _svg(max(len(bars), 1) * ROW, label, *drawn)


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> Markup:
    """A confusion matrix: a line a true class, a column a predicted one; darker is a larger share of the true class."""
    left, top = 84.0, 34.0
    size = (WIDTH - left) / len(classes)
    tall = min(size, 44.0)
    letters = max(2, int(size / (TEXT * 0.62)))
    parts = [_text("predicted", left + (WIDTH - left) / 2, 11, anchor="middle", class_="soft")]
    parts.append(_text("true", left - 6, 11, anchor="end", class_="soft"))
    for j, name in enumerate(classes):
        head = _text(cut(name, letters), left + (j + 0.5) * size, top - 7, anchor="middle")
        parts.append(tag("g", tag("title", name), head))
    for i, line in enumerate(matrix):
        y, total = top + i * tall, max(sum(line), 1)
        name = _text(cut(classes[i], 12), left - 6, y + tall / 2 + 4, anchor="end")
        parts.append(tag("g", tag("title", classes[i]), name))
        for j, count in enumerate(line):
            share = count / total
            kind = "right" if i == j else "wrong"
            cell = _rect(kind, left + j * size + 1, y + 1, size - 2, tall - 2, opacity=0.06 + 0.94 * share)
            hint = f"{classes[i]} predicted as {classes[j]}: {count} of {total} rows, {percent(share)}"
            figure = _text(
                str(count),
                left + (j + 0.5) * size,
                y + tall / 2 + 4,
                anchor="middle",
                class_="on" if share > 0.5 else None,
            )
            parts.append(tag("g", tag("title", hint), cell, figure))
    return _svg(top + len(matrix) * tall, "Confusion matrix over the held-out rows", *parts)


def calibration(points: Sequence[tuple[float, float, int]]) -> Markup:
    """How often the predicted class was right, over how probable it was said to be; the larger a dot, the more rows."""
    left, height, foot = 34.0, 180.0, 34.0
    low = min(min((min(p, share) for p, share, _ in points), default=0.0), 0.9)
    low = int(low * 10) / 10
    most = max((count for _, _, count in points), default=1)

    def x(value: float) -> float:
        return left + (value - low) / (1 - low) * (WIDTH - left - 10)

    def y(value: float) -> float:
        return 8 + (1 - value) / (1 - low) * (height - 8)

    parts = [tag("path", class_="grid", d=f"M{_at(x(low))} {_at(y(low))}L{_at(x(1))} {_at(y(1))}")]
    parts.append(tag("path", class_="axis", d=f"M{_at(left)} 4V{_at(height)}H{WIDTH}"))
    for value in (low, (low + 1) / 2, 1.0):
        parts.append(_text(percent(value), x(value), height + 14, anchor="middle" if value < 1 else "end"))
        parts.append(_text(percent(value), left - 4, y(value) + 4, anchor="end"))
    parts.append(_text("said to be this probable", (left + WIDTH) / 2, height + 29, anchor="middle", class_="soft"))
    for said, share, count in points:
        hint = f"{count} rows said to be right with {percent(said)}: {percent(share)} were"
        radius = 3 + 7 * (count / most) ** 0.5
        dot = tag("circle", class_="dot", cx=_at(x(said)), cy=_at(y(share)), r=_at(radius))
        parts.append(tag("g", tag("title", hint), dot))
    return _svg(height + foot, "Calibration: share of right answers by predicted probability", *parts)


def residuals(bins: Sequence[tuple[float, float, int]]) -> Markup:
    """A histogram of predicted minus true: left of the line too little was predicted, right of it too much."""
    height, foot = 130.0, 34.0
    low, high = bins[0][0], bins[-1][1]
    width = high - low or 1.0
    most = max(1, *(count for _, _, count in bins))
    total = max(sum(count for _, _, count in bins), 1)

    def x(value: float) -> float:
        return (value - low) / width * WIDTH

    parts = []
    for start, end, count in bins:
        tall = count / most * (height - 8)
        hint = f"off by {number(start)} to {number(end)}: {count} rows, {percent(count / total)}"
        bar = _rect("live", x(start) + 0.5, height - tall, max(x(end) - x(start) - 1, 0.5), tall)
        parts.append(tag("g", tag("title", hint), _rect("hit", x(start), 0, x(end) - x(start), height), bar))
    parts.append(tag("path", class_="axis", d=f"M0 {height}H{WIDTH}"))
    marks = [(low, "start"), (high, "end")]
    if low < 0 < high:
        parts.append(tag("path", class_="zero", d=f"M{_at(x(0))} 0V{height}"))
        if 0.15 < -low / width < 0.85:
            marks.append((0.0, "middle"))
    parts += [_text(number(value), x(value), height + 14, anchor=anchor) for value, anchor in marks]
    parts.append(_text("predicted minus true", WIDTH / 2, height + 29, anchor="middle", class_="soft"))
    return _svg(height + foot, "Residuals over the held-out rows", *parts)


def share_bar(share: float) -> Markup:
    """A small bar for a share, to stand in a table."""
    return tag(
        "svg",
        _rect("base", 0, 3, 60, 6),
        _rect("live", 0, 3, 60 * min(max(share, 0.0), 1.0), 6),
        class_="bar",
        viewBox="0 0 60 12",
        role="img",
        aria_label=percent(share),
    )


def _highest(bars: Sequence[Bar]) -> float:
    """The largest share, to scale by; 1 where all are 0."""
    return max((max(bar.baseline, bar.live or 0.0) for bar in bars), default=0.0) or 1.0


def _hint(bar: Bar) -> str:
    live = "" if bar.live is None else f", live {percent(bar.live)}"
    return f"{bar.name}: training {percent(bar.baseline)}{live}"


def _svg(height: float, label: str, *parts: str) -> Markup:
    return tag("svg", *parts, class_="chart", viewBox=f"0 0 {WIDTH} {_at(height)}", role="img", aria_label=label)


def _rect(kind: str, x: float, y: float, width: float, height: float, *, opacity: float | None = None) -> Markup:
    """A rectangle, written as a path, which is shorter."""
    shape = f"M{_at(x)} {_at(y)}h{_at(width)}v{_at(height)}h-{_at(width)}"
    return tag("path", class_=kind, d=shape, fill_opacity=None if opacity is None else f"{opacity:.2f}")


def _text(text: str, x: float, y: float, *, anchor: str | None = None, class_: str | None = None) -> Markup:
    return tag("text", text, x=_at(x), y=_at(y), text_anchor=anchor, class_=class_)


def _at(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")

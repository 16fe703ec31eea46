"""The page about the version that serves."""

from collections.abc import Iterable
from dataclasses import dataclass

from mlplat import __version__
from mlplat.bundle.answers import label_text
from mlplat.bundle.features import BooleanColumn, CategoryColumn, Column, DateColumn, StringColumn, takes_missing
from mlplat.bundle.manifest import Manifest, utc
from mlplat.serve.drift import DRIFTED, WARNING, WINDOW_ROWS, Drift, Shift
from mlplat.serve.pages import bins
from mlplat.serve.pages.form import form
from mlplat.serve.pages.report import note
from mlplat.web import svg
from mlplat.web.markup import Markup, cut, join, number, percent, tag

MOST_FEATURES = 9
"""So many features are drawn, those that drifted most first; `/drift` has them all."""

MOST_ROWS = 50
OPEN_ROWS = 12
"""A longer table is folded."""

MOST_CLASSES = 10
"""More classes than this do not fit a drawn confusion matrix."""

UNKNOWN = "\N{EN DASH}"

REFRESH_SECONDS = 2
"""How often the page looks again while the server is not ready."""


@dataclass(frozen=True, slots=True)
class State:
    """What the server is about.

    Attributes:
        model: the name of the model.
        version: the version that serves, or else the one that was asked for, if it has a name yet.
        alias: the alias that is followed, if one is.
        phase: as `/ready` says it.
        reason: what is being waited for.
    """

    model: str
    version: str | None
    alias: str | None
    phase: str
    reason: str


def page(state: State, drift: Drift | None) -> bytes:
    """The whole page; without a measurement, which there is once a version serves, what is being waited for."""
    parts = [_header(state, ready=drift is not None)]
    if drift is None:
        parts.append(_waiting(state))
    else:
        manifest = drift.manifest
        parts.append(
            tag(
                "main",
                _section("try-it", "Try it", form(manifest), tag("noscript", _p("The form needs JavaScript."))),
                tag("div", _live(), _section("predictions", "Predictions", *_predictions(drift)), class_="stack"),
                _section("quality", "Quality", *_quality(manifest)),
                _section("drift", "Features and drift", *_features(drift), wide=True),
                _section("signature", "Signature", *_signature(manifest), wide=True),
                _section("origin", "Where it comes from", _origin(manifest), wide=True),
            )
        )
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="refresh", content=REFRESH_SECONDS) if drift is None else Markup(),
        tag("title", f"{state.model} {state.version or state.alias or ''}".strip()),
        tag("link", rel="icon", href="page/icon.svg", type="image/svg+xml"),
        tag("link", rel="stylesheet", href="page/page.css"),
        tag("script", src="page/page.js", defer=True) if drift is not None else Markup(),
    ]
    body = tag("body", *parts, data_version=state.version)
    whole = tag("html", tag("head", *head), body, lang="en")
    return b"<!DOCTYPE html>\n" + whole.encode("utf-8", "replace")


def _header(state: State, *, ready: bool) -> Markup:
    kind = "waiting" if not ready else "leaving" if state.phase == "draining" else "ready"
    words = {"waiting": "not ready", "leaving": "draining", "ready": "ready"}[kind]
    links = [("docs", "API docs"), ("drift", "drift"), ("metrics", "metrics"), ("version", "version")]
    return tag(
        "header",
        tag(
            "h1",
            state.model,
            " ",
            tag("span", state.version, class_="version") if state.version else Markup(),
            " ",
            tag("span", words, class_=f"pill {kind}", id="state"),
        ),
        _p("follows the alias ", tag("b", state.alias)) if state.alias else Markup(),
        tag("nav", *(tag("a", name, href=href) for href, name in links), aria_label="Also here"),
    )


def _waiting(state: State) -> Markup:
    which = f"version {state.version}" if state.version else f"the version that {state.alias} names"
    return tag(
        "main",
        _section(
            "waiting",
            "Not ready yet",
            _p(f"Waiting for {which} of {state.model}: ", tag("b", state.reason), "."),
            _p(f"This page looks again every {REFRESH_SECONDS} seconds.", class_="soft"),
            wide=True,
        ),
    )


def _live() -> Markup:
    tiles = [
        ("requests", "requests/s"),
        ("errors", "errors/s"),
        ("median", "median latency"),
        ("slow", "99th percentile"),
    ]
    return _section(
        "live",
        "Live",
        tag(
            "dl",
            *(_tile(name, tag("span", UNKNOWN, id=f"live-{key}")) for key, name in tiles),
            class_="tiles",
            id="rates",
        ),
        tag("div", id="trace"),
        _p("Predictions of the process that answers, every few seconds.", class_="soft", id="live-note"),
        tag(
            "noscript",
            _p("Live figures need JavaScript; the counters are in ", tag("a", "metrics", href="metrics"), "."),
        ),
    )


def _quality(manifest: Manifest) -> Iterable[Markup]:
    yield _p(f"On the {manifest.data.held_out} rows that training held out.", class_="soft")
    yield tag("dl", *(_tile(name, number(value)) for name, value in manifest.metrics.items()), class_="tiles")
    charts = manifest.charts
    if charts.confusion:
        names = [label_text(label) for label in manifest.classes or ()]
        if len(names) <= MOST_CLASSES:
            yield _figure("Confusion matrix", svg.confusion(charts.confusion, names))
        else:
            yield _confused(charts.confusion, names)
    if charts.calibration:
        yield _figure("Calibration", svg.calibration(charts.calibration))
    if charts.residuals:
        yield _figure("Residuals", svg.residuals(charts.residuals))


def _confused(matrix: tuple[tuple[int, ...], ...], names: list[str]) -> Markup:
    """What is taken for what most often, where there are too many classes for a drawing."""
    wrong = [(n, i, j) for i, line in enumerate(matrix) for j, n in enumerate(line) if i != j and n]
    top = sorted(wrong, reverse=True)[:MOST_CLASSES]
    cells = [(cut(names[i]), cut(names[j]), str(n)) for n, i, j in top]
    return _table(f"Most often taken for another of the {len(names)} classes", ("true", "predicted", "rows"), cells)


def _predictions(drift: Drift) -> Iterable[Markup]:
    manifest, shift = drift.manifest, drift.predictions
    baseline = manifest.baseline.predictions
    names = bins.prediction_bins(manifest.classes, baseline.edges)
    found = bins.bars(names, baseline.counts, None if shift is None else shift.live)
    yield _index(shift) if shift is not None else Markup()
    if manifest.classes is None:
        edges = _ticks(bins.edge_names(None, baseline.edges))
        yield svg.columns(found, edges, f"Predictions: {_words(shift)}")
    else:
        yield svg.rows(bins.filled(found), f"Predicted classes: {_words(shift)}")
    yield _legend(live=shift is not None)


def _features(drift: Drift) -> Iterable[Markup]:
    manifest = drift.manifest
    yield _p(note(drift), id="drift-note")
    yield _p(
        "The population stability index (PSI) compares the latest requests, at most ",
        f"{WINDOW_ROWS}, with the training data: below {WARNING:g} little has changed, above {DRIFTED:g} much has.",
        class_="soft",
    )
    yield _legend(live=drift.predictions is not None)
    drawn = [column for column in manifest.features.columns if column.name in manifest.baseline.features]
    rank = {name: index for index, name in enumerate(manifest.importances)}
    drawn.sort(key=lambda c: (-drift.features[c.name].index if drift.features else 0.0, rank.get(c.name, len(rank))))
    yield tag("div", *(_feature(column, drift) for column in drawn[:MOST_FEATURES]), class_="charts")
    if len(drawn) > MOST_FEATURES:
        more = f"{len(drawn) - MOST_FEATURES} more features are in the "
        yield _p(more, tag("a", "drift report", href="drift"), ".", class_="soft")


def _feature(column: Column, drift: Drift) -> Markup:
    shift = drift.features.get(column.name)
    baseline = drift.manifest.baseline.features[column.name]
    names = bins.feature_bins(column, baseline.edges)
    found = bins.bars(names, baseline.counts, None if shift is None else shift.live)
    label = f"{cut(column.name)}: {_words(shift)}"
    if isinstance(column, CategoryColumn | BooleanColumn):
        chart = svg.rows(bins.filled(found), label)
    else:
        chart = svg.columns(found, _ticks(bins.edge_names(column, baseline.edges)), label)
    caption = tag(
        "figcaption",
        tag("b", cut(column.name, 40)),
        " ",
        _index(shift) if shift is not None else tag("small", column.kind),
    )
    return tag("figure", caption, chart, data_feature=column.name)


def _ticks(edges: list[str]) -> list[str]:
    """Edges as they are written below a chart: one that reads like the one before it is left out."""
    return ["" if index and edge == edges[index - 1] else edge for index, edge in enumerate(edges)]


def _index(shift: Shift) -> Markup:
    return tag("span", f"PSI {shift.index:.2f} {shift.status}", class_=f"pill {shift.status}")


def _words(shift: Shift | None) -> str:
    return "training data" if shift is None else f"training data and latest requests, PSI {shift.index:.2f}"


def _legend(*, live: bool) -> Markup:
    entries = [tag("span", "training", class_="key base")]
    if live:
        entries.append(tag("span", "latest requests", class_="key live"))
    return tag("p", *entries, class_="legend")


def _signature(manifest: Manifest) -> Iterable[Markup]:
    columns = manifest.features.columns
    ranked = bool(manifest.importances)
    cells = []
    for column in columns[:MOST_ROWS]:
        row: list[str] = [cut(column.name), column.kind, _values(column, manifest), _missing(column)]
        if ranked:
            share = manifest.importances.get(column.name, 0.0)
            row.append(join([svg.share_bar(share), " ", percent(share)]))
        cells.append(tuple(row))
    head = ("column", "kind", "values in training", "if missing", *(("importance",) if ranked else ()))
    table = _table(f"{len(columns)} columns", head, cells)
    if len(columns) > MOST_ROWS:
        table = join(
            [table, _p(f"And {len(columns) - MOST_ROWS} more; all are in the ", tag("a", "API", href="docs"), ".")]
        )
    yield _p(tag("b", "Answers: "), _answers(manifest))
    folded = len(columns) > OPEN_ROWS
    yield tag("details", tag("summary", f"{len(columns)} columns"), table) if folded else table


def _answers(manifest: Manifest) -> str:
    if manifest.classes is None:
        return "the next values of the series" if manifest.task == "forecast" else "a number"
    names = [cut(label_text(label), 40) for label in manifest.classes[:20]]
    more = f" and {len(manifest.classes) - 20} more" if len(manifest.classes) > 20 else ""
    return f"one of {', '.join(names)}{more}, with their probabilities"


def _values(column: Column, manifest: Manifest) -> str:
    if isinstance(column, CategoryColumn):
        names = ", ".join(cut(name, 30) for name in column.categories[:8])
        more = len(column.categories) - 8
        return f"{names} and {more} more" if more > 0 else names
    baseline = manifest.baseline.features.get(column.name)
    if isinstance(column, BooleanColumn | StringColumn) or baseline is None or not baseline.edges:
        return {"boolean": "true, false"}.get(column.kind, "")
    edges = bins.edge_names(column, baseline.edges)
    return f"mostly {edges[0]} to {edges[-1]}" if edges[0] != edges[-1] else f"mostly {edges[0]}"


def _missing(column: Column) -> str:
    if not takes_missing(column):
        return "refused"
    if isinstance(column, CategoryColumn):
        return "a category of its own"
    if isinstance(column, StringColumn):
        return "as an empty string"
    if isinstance(column, BooleanColumn):
        return f"as {str(bool(column.fill)).lower()}"
    fill = column.fill or 0.0
    return f"as {bins.day(fill) if isinstance(column, DateColumn) else number(fill)}"


def _origin(manifest: Manifest) -> Markup:
    params = ", ".join(f"{name}={value}" for name, value in manifest.recipe.params.items())
    facts = {
        "trained": utc(manifest.created_at),
        "recipe": f"{manifest.recipe.name} (revision {manifest.recipe.revision})",
        "parameters": params or "as they are by default",
        "data": f"{cut(manifest.data.uri, 200)}, {manifest.data.rows} rows",
        "sha256 of the data": manifest.data.sha256,
        "runtime": manifest.runtime,
        "made with": ", ".join(f"{name} {release}" for name, release in manifest.packages.items()),
        "served by": f"mlplat {__version__}",
    }
    return tag(
        "dl", *(join([tag("dt", name), tag("dd", cut(fact, 400))]) for name, fact in facts.items()), class_="facts"
    )


def _section(name: str, title: str, *parts: str, wide: bool = False) -> Markup:
    heading = tag("h2", title, id=f"{name}-title")
    return tag("section", heading, *parts, id=name, class_="wide" if wide else None, aria_labelledby=f"{name}-title")


def _p(*parts: str, class_: str | None = None, id: str | None = None) -> Markup:  # noqa: A002 - the attribute
    return tag("p", *parts, class_=class_, id=id)


def _tile(name: str, value: str) -> Markup:
    return tag("div", tag("dt", name), tag("dd", value))


def _figure(title: str, chart: Markup) -> Markup:
    return tag("figure", tag("figcaption", tag("b", title)), chart)


def _table(caption: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Markup:
    lines = [tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows]
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption),
            tag("thead", tag("tr", *(tag("th", name, scope="col") for name in head))),
            tag("tbody", *lines),
        ),
        class_="scroll",
    )

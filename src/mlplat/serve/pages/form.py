"""The form to try a prediction: a field for each column, filled with the first golden sample."""

from datetime import datetime, time

import msgspec

from mlplat.bundle.features import CategoryColumn, Column, takes_missing
from mlplat.bundle.golden import Scalar
from mlplat.bundle.manifest import Manifest
from mlplat.web.markup import Markup, cut, join, tag

MOST_FIELDS = 40
"""With more columns the row is written as JSON."""

MOST_OPTIONS = 50
"""With more categories one is typed."""

HORIZON = 12


def form(manifest: Manifest) -> Markup:
    """What to fill in; the script sends it to `predict` and shows the answer."""
    first = manifest.golden.rows[0]
    columns = manifest.features.columns
    if manifest.task == "forecast" and "values" not in manifest.features.names:
        kind, fields = "series", _series(first)
    elif len(columns) > MOST_FIELDS:
        kind, fields = "json", _json(manifest, first)
    else:
        kind = "row"
        fields = join(_field(index, column, first[index]) for index, column in enumerate(columns))
    return tag(
        "form",
        tag("div", fields, class_="fields"),
        tag("p", tag("button", "Predict", type="submit"), class_="send"),
        tag("div", id="answer", role="status", aria_live="polite"),
        id="try",
        data_form=kind,
        autocomplete="off",
    )


def _series(first: tuple[Scalar, ...]) -> Markup:
    values = ", ".join(_digits(value) or "" for value in first)
    return join(
        [
            _labelled("values", "values", f"{len(first)} or more numbers, oldest first", _area("values", values)),
            _labelled(
                "horizon",
                "horizon",
                "steps ahead",
                tag("input", id="horizon", type="number", min=1, step=1, value=HORIZON, required=True),
            ),
        ]
    )


def _json(manifest: Manifest, first: tuple[Scalar, ...]) -> Markup:
    row = dict(zip(manifest.features.names, first, strict=True))
    text = msgspec.json.format(msgspec.json.encode(row), indent=1).decode()
    return _labelled("row", "row", f"{len(row)} columns as JSON", _area("row", text, rows=16))


def _area(name: str, text: str, rows: int = 6) -> Markup:
    return tag("textarea", text, id=name, rows=rows, spellcheck="false")


def _field(index: int, column: Column, value: Scalar) -> Markup:
    name = f"f{index}"
    optional = takes_missing(column)
    hint = f"{column.kind}, may be empty" if optional else column.kind
    return _labelled(name, column.name, hint, _control(name, column, value, optional=optional))


def _labelled(name: str, label: str, hint: str, control: Markup) -> Markup:
    words = tag("label", cut(label), " ", tag("small", hint), for_=name, title=label if cut(label) != label else None)
    return tag("div", words, control, class_="wide" if control.startswith("<textarea") else None)


def _control(name: str, column: Column, value: Scalar, *, optional: bool) -> Markup:
    """The element for a column; the script reads `data-kind` to know what to send."""
    match column.kind:
        case "numeric":
            return tag("input", id=name, type="number", step="any", value=_digits(value), data_kind="number")
        case "boolean" if optional:
            options = [("", "(missing)"), ("true", "true"), ("false", "false")]
            return _select(name, options, "" if value is None else str(bool(value)).lower(), "boolean")
        case "boolean":
            return tag("input", id=name, type="checkbox", checked=bool(value), data_kind="checkbox")
        case "date":
            return _date(name, value)
    if isinstance(column, CategoryColumn) and 0 < len(column.categories) <= MOST_OPTIONS:
        known = (
            [*column.categories] if value is None or value in column.categories else [str(value), *column.categories]
        )
        options = [(text, cut(text)) for text in known]
        if "" in known:  # else an empty choice stands for a missing value
            return _select(name, options, str(value), "string")
        return _select(name, [("", "(missing)"), *options] if optional else options, _shown(value) or "", "text")
    return tag("input", id=name, type="text", value=_shown(value), data_kind="text" if optional else "string")


def _select(name: str, options: list[tuple[str, str]], chosen: str, kind: str) -> Markup:
    shown = [tag("option", text, value=value, selected=value == chosen) for value, text in options]
    return tag("select", *shown, id=name, data_kind=kind)


def _date(name: str, value: Scalar) -> Markup:
    """A date, or a date and a time of day where the sample has one; what is neither is left to be typed."""
    try:
        moment = None if value is None else datetime.fromisoformat(str(value)[:26])
    except ValueError:
        return tag("input", id=name, type="text", value=_shown(value), data_kind="text")
    if moment is None or moment.time() == time.min:
        day = None if moment is None else moment.date().isoformat()
        return tag("input", id=name, type="date", value=day, data_kind="text")
    return tag("input", id=name, type="datetime-local", step=1, value=f"{moment:%Y-%m-%dT%H:%M:%S}", data_kind="text")


def _digits(value: Scalar) -> str | None:
    """A number as it is typed: 5, not 5.0."""
    return None if value is None else str(value).removesuffix(".0")


def _shown(value: Scalar) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)

"""card.md: a version in the words of a person."""

import shlex
from collections.abc import Mapping
from typing import Any

from mlplat.bundle.features import BooleanColumn, CategoryColumn, Features
from mlplat.bundle.manifest import DataInfo, Label, RecipeInfo, Task

MAX_ROWS = 50
HELD_OUT = "of which {} were held out to measure the model."
SAMPLE = "on which the export was compared with the estimator, which may have been fitted on them."


def command_of(recipe: RecipeInfo, *, model: str, version: str, data: str | None) -> str:
    """The command that makes the version again."""
    words = ["mlplat", "train", "--recipe", recipe.name, "--model", model, "--version", version]
    if data is not None:
        words += ["--data", data]
    for name, value in recipe.params.items():
        if name == "seed":
            words += ["--seed", str(value)]
        else:
            words += ["--param", f"{name}={_text(value)}"]
    return shlex.join(words)


def card(
    *,
    model: str,
    version: str,
    task: Task,
    target: str,
    classes: tuple[Label, ...] | None,
    recipe: RecipeInfo,
    estimator: Any,
    data: DataInfo,
    left_out: Mapping[str, str],
    features: Features,
    metrics: Mapping[str, float],
    importances: Mapping[str, float],
    packages: Mapping[str, str],
    command: str,
    made_here: bool = True,
) -> str:
    """The card as Markdown: what the model predicts, from what, how well, and how it was made.

    `made_here` is False for an estimator that was fitted elsewhere: then the data is a sample, which it may know.
    """
    answers = "" if classes is None else f", one of {', '.join(f'`{_cell(c)}`' for c in classes[:MAX_ROWS])}"
    ranked = [c for n in importances for c in features.columns if c.name == n] or list(features.columns)
    rows: list[tuple[str, ...]] = [
        (c.name, c.kind, _missing(c), f"{importances[c.name]:.3f}" if c.name in importances else "")
        for c in ranked[:MAX_ROWS]
    ]
    more = [f"And {len(ranked) - MAX_ROWS} more."] if len(ranked) > MAX_ROWS else []
    parts = [
        f"# {model} {version}",
        f"A {task} of `{_cell(target)}`{answers}, by {estimator_name(estimator)}.",
        "## Data",
        f"`{data.uri}`: {data.rows} rows, {HELD_OUT.format(data.held_out) if made_here else SAMPLE}  \nsha256 `{data.sha256}`",
        "## Metrics",
        f"On {'the held-out rows' if made_here else 'the sample'}, predicted by the exported model:",
        _table(("metric", "value"), [(name, f"{value:.4f}") for name, value in metrics.items()]),
        "## Features",
        _table(("feature", "kind", "missing values", "importance"), rows),
        *more,
    ]
    if left_out:
        parts += ["## Left out", _table(("column", "why"), list(left_out.items()))]
    parts += [
        "## How it was made",
        f"```\n{command}\n```",
        f"Recipe `{recipe.name}`, revision {recipe.revision}. The estimator:" if made_here else "The estimator:",
        f"```\n{estimator!r}\n```",
        ", ".join(f"{name} {number}" for name, number in packages.items()),
    ]
    return "\n\n".join(parts) + "\n"


def estimator_name(estimator: Any) -> str:
    """The class of an estimator; of the last step of a pipeline."""
    steps = getattr(estimator, "steps", None)
    return type(steps[-1][1] if steps else estimator).__name__


def _missing(column: Any) -> str:
    if isinstance(column, CategoryColumn):
        return "a category of their own" if column.missing else "refused"
    fill = getattr(column, "fill", None)
    if fill is None:
        return "as an empty string" if getattr(column, "missing", False) else "refused"
    return f"as {bool(fill)}" if isinstance(column, BooleanColumn) else f"as {fill:g}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("`", "'").replace("\n", " ")


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return "none" if value is None else str(value)

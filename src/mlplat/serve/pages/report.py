"""The answer of `GET /drift`: a measurement as numbers for programs."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlplat.bundle.answers import label_text
from mlplat.bundle.features import CategoryColumn, Column
from mlplat.bundle.manifest import utc
from mlplat.serve.drift import LEAST_ROWS, WINDOW_ROWS, Drift, Shift, Status
from mlplat.serve.pages.bins import day


@dataclass(frozen=True, slots=True)
class Compared:
    """Counts of the training rows and of the latest requests, in the same bins.

    Of numbers and dates `baseline[i]` counts from `edges[i-1]` on and below `edges[i]`; the outer bins are open. Of
    categories and classes there is a bin for each; a feature's first bin is for unknown values and its last for missing
    ones.
    """

    baseline: tuple[int, ...]
    live: tuple[int, ...] | None
    edges: tuple[float | str, ...] | None = None
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One feature; a kind without a baseline (strings) has no histogram, and no index."""

    name: str
    kind: str
    psi: float | None
    status: Status | None
    histogram: Compared | None


@dataclass(frozen=True, slots=True)
class PredictionDrift:
    """The predictions."""

    psi: float | None
    status: Status | None
    histogram: Compared


@dataclass(frozen=True, slots=True)
class DriftReport:
    """How far the latest requests of a version are from its training data; `psi` is null while there are too few."""

    model_name: str
    model_version: str
    measured_at: str
    rows: int
    window: int
    least_rows: int
    note: str
    predictions: PredictionDrift
    features: tuple[FeatureDrift, ...]


def report(drift: Drift) -> DriftReport:
    """A measurement as it is answered."""
    manifest = drift.manifest
    baseline = manifest.baseline
    categories = None if manifest.classes is None else tuple(map(label_text, manifest.classes))
    edges = None if categories is not None else baseline.predictions.edges
    shift = drift.predictions
    return DriftReport(
        model_name=manifest.model,
        model_version=manifest.version,
        measured_at=utc(drift.at),
        rows=drift.rows,
        window=WINDOW_ROWS,
        least_rows=LEAST_ROWS,
        note=note(drift),
        predictions=PredictionDrift(
            None if shift is None else shift.index,
            None if shift is None else shift.status,
            Compared(baseline.predictions.counts, None if shift is None else shift.live, edges, categories),
        ),
        features=tuple(_feature(column, drift) for column in manifest.features.columns),
    )


def note(drift: Drift) -> str:
    """What was measured, in a sentence."""
    if drift.predictions is None:
        return f"{drift.rows} of {LEAST_ROWS} rows so far; with fewer, chance alone would look like drift."
    drifted = [name for name, shift in drift.features.items() if shift.status == "drifted"]
    far = f"{len(drifted)} of {len(drift.features)} features drifted" if drifted else "No feature drifted"
    return f"{far} in the latest {drift.rows} rows."


def _feature(column: Column, drift: Drift) -> FeatureDrift:
    baseline = drift.manifest.baseline.features.get(column.name)
    if baseline is None:
        return FeatureDrift(column.name, column.kind, None, None, None)
    shift = drift.features.get(column.name)
    live = None if shift is None else shift.live
    if isinstance(column, CategoryColumn):
        compared = Compared(baseline.counts, live, categories=column.categories)
    else:
        compared = Compared(baseline.counts, live, edges=_edges(column, baseline.edges))
    return FeatureDrift(column.name, column.kind, _index(shift), None if shift is None else shift.status, compared)


def _index(shift: Shift | None) -> float | None:
    return None if shift is None else shift.index


def _edges(column: Column, edges: Sequence[float]) -> tuple[float | str, ...]:
    return tuple(map(day, edges)) if column.kind == "date" else tuple(edges)

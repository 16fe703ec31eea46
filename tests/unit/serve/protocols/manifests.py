"""Manifests of versions that were never made."""

from datetime import UTC, datetime

from mlplat.bundle.baseline import Baseline, Histogram
from mlplat.bundle.features import BooleanColumn, CategoryColumn, DateColumn, Features, NumericColumn
from mlplat.bundle.golden import Golden
from mlplat.bundle.manifest import DataInfo, FileEntry, Label, Manifest, RecipeInfo, Signature, Task

FLOWER = Features(columns=tuple(NumericColumn(name=name) for name in ("sepal", "petal", "stem")))
MIXED = Features(
    columns=(
        NumericColumn(name="age", fill=40.0),
        BooleanColumn(name="member"),
        DateColumn(name="since"),
        CategoryColumn(name="plan", categories=("basic", "pro"), missing=True),
    )
)
SERIES = Features(columns=tuple(NumericColumn(name=f"lag_{i}") for i in (3, 2, 1)))


def manifest_of(features: Features, task: Task = "classification", classes: tuple[Label, ...] = ("a", "b")) -> Manifest:
    """The manifest of a version that was never made, with these features."""
    classifies = task == "classification"
    return Manifest(
        model="made-up",
        version="v1",
        created_at=datetime.now(UTC),
        writer="0",
        recipe=RecipeInfo(name="made-up"),
        data=DataInfo(uri="none", rows=0, held_out=0, sha256="0" * 64),
        fingerprint="1" * 64,
        task=task,
        features=features,
        signature=Signature(inputs=(), outputs=()),
        classes=classes if classifies else None,
        metrics={},
        files={"model.onnx": FileEntry(sha256="0" * 64, bytes=0)},
        packages={},
        golden=Golden(rows=((0.0,) * len(features.columns),), values=(0.0,), tolerance=1e-5),
        baseline=Baseline(rows=1, features={}, predictions=Histogram(edges=(0.5,), counts=(1, 0))),
    )

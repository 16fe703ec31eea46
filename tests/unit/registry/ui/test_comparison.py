"""What differs between two versions."""

from datetime import UTC, datetime
from typing import Any

from mlplat.registry.bodies import VersionDetail
from mlplat.registry.ui import comparison
from mlplat.registry.ui.comparison import Fact, better


def version(name: str = "v1", **changes: Any) -> VersionDetail:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    given: dict[str, Any] = {
        "model": "m", "version": name, "created_at": at, "published_at": at, "by": None, "task": "classification",
        "recipe": "r", "params": {}, "runtime": "onnx", "rows": 1, "metrics": {}, "tags": {}, "aliases": [], "bytes": 1,
        "sha256": "0" * 64, "signature": {"inputs": [], "outputs": []}, "features": {"columns": []}, "classes": None,
        "charts": {}, "importances": {}, "packages": {}, "data": {}, "fingerprint": "f", "files": {}, "card": None,
    }  # fmt: skip
    return VersionDetail.model_validate(given | changes)


def test_it_is_known_of_the_usual_metrics_which_direction_is_good() -> None:
    assert (better("accuracy", 2.0, 1.0), better("accuracy", 1.0, 2.0)) == (True, False)
    assert (better("rmse", 2.0, 1.0), better("rmse", 1.0, 2.0)) == (False, True)
    assert (better("my_metric", 2.0, 1.0), better("accuracy", 1.0, 1.0)) == (None, None)


def test_metrics_stand_side_by_side() -> None:
    rows = comparison.metrics(
        version(metrics={"accuracy": 0.5, "x": 1.0}), version(metrics={"accuracy": 0.75, "y": 2.0})
    )
    assert [(row.name, row.left, row.right, row.difference, row.better) for row in rows] == [
        ("accuracy", 0.5, 0.75, 0.25, "right"),
        ("x", 1.0, None, None, None),
        ("y", None, 2.0, None, None),
    ]


def test_only_what_differs_is_listed() -> None:
    left = version(
        params={"depth": 2, "seed": 1},
        classes=["a", "b"],
        packages={"numpy": "2.0", "onnx": "1"},
        signature={"inputs": [{"name": "x", "dtype": "float32", "shape": [-1, 1]}], "outputs": []},
        features={"columns": [{"name": "x", "kind": "numeric"}]},
    )
    right = version(
        params={"depth": 3, "seed": 1, "kind": "x"}, classes=["b", "c"], packages={"numpy": "2.1", "onnx": "1"}
    )
    found = {facts.title: facts for facts in comparison.facts(left, right)}
    assert found["Parameters"].rows == [Fact("depth", 2, 3), Fact("kind", None, "x")]
    assert found["Parameters"].alike == 1
    assert found["Columns"].rows == [Fact("x", "numeric float32[-1, 1]", None)]
    assert [fact.name for fact in found["Classes"].rows] == ["a", "c"]
    assert found["Packages"].rows == [Fact("numpy", "2.0", "2.1")]
    assert [fact.name for fact in found["In short"].rows if fact.differs] == []


def test_of_many_differences_the_rest_is_counted() -> None:
    found = comparison.facts(version(classes=list(range(10_000))), version())
    (classes,) = [facts for facts in found if facts.title == "Classes"]
    assert (len(classes.rows), classes.left_out) == (100, 9900)

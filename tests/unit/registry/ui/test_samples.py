"""Golden samples as a table that a page can bear."""

from collections.abc import Callable
from typing import Any

from mlplat.bundle.features import Features, NumericColumn
from mlplat.bundle.golden import Golden
from mlplat.registry.service import Service
from mlplat.registry.ui import samples

Drafts = Callable[..., Any]


def test_the_first_rows_are_shown_with_what_training_saw(draft: Drafts) -> None:
    manifest = draft("v1").manifest
    found = samples.of(manifest)
    assert (found.columns, found.rows) == (["x"], [(["1"], "a (75%)")])
    many = Golden(
        rows=((None,), (True,), ("x" * 99,), *((2.5,),) * 50), values=(0.0, 1.0, 7.0, *((1.0,) * 50)), tolerance=1
    )
    found = samples.of(manifest.model_copy(update={"golden": many}))
    assert [row for row, _ in found.rows][:4] == [["(missing)"], ["true"], ["x" * 39 + "…"], ["2.5"]]
    assert [answer for _, answer in found.rows][:3] == ["a", "b", "7"]
    assert (len(found.rows), found.more_rows) == (samples.MOST_ROWS, 53 - samples.MOST_ROWS)


def test_wide_rows_are_cut(draft: Drafts) -> None:
    wide = Features(columns=tuple(NumericColumn(name=f"c{index}") for index in range(10_000)))
    golden = Golden(rows=((1.0,) * 10_000,), values=(0.5,), tolerance=1)
    manifest = draft("v1").manifest.model_copy(
        update={"features": wide, "golden": golden, "task": "regression", "classes": None}
    )
    found = samples.of(manifest)
    assert (len(found.columns), len(found.rows[0][0]), found.more_columns) == (12, 12, 9988)
    assert found.rows[0][1] == "0.5"


def test_a_large_manifest_and_one_that_is_gone_are_not_read(service: Service, publish: Any, monkeypatch: Any) -> None:
    publish("v1")
    assert samples.read(service, "iris", "v1").rows
    assert "are not shown here" in samples.read(service, "iris", "v2").missing
    monkeypatch.setattr(samples, "MOST_BYTES", 100)
    assert "The manifest has 1." in samples.read(service, "iris", "v1").missing

"""The page as HTML: what it says of each kind of model, and that nothing in a model becomes markup."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlplat.bundle.features import TENSOR, CategoryColumn, Features, NumericColumn, StringColumn
from mlplat.bundle.manifest import Charts, Manifest
from mlplat.bundle.prediction import Prediction
from mlplat.serve.drift import LEAST_ROWS, DriftWindow
from mlplat.serve.pages.page import MOST_FEATURES, State, page
from mlplat.store import open_store
from mlplat.web.markup import VOID

READY = State("iris", "v1", None, "ready", "ready")
HOSTILE = "</title></textarea><script>alert(1)</script><img src=x onerror=alert(1)>\"'"


class Reader(HTMLParser):
    """Collects elements and text, and checks that each element is closed where it was opened."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html.decode())
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def manifest_of(trained: Path, model: str) -> Manifest:
    return open_store(str(trained)).manifest(model, "v1")


def shown(manifest: Manifest, rows: int = 0) -> Reader:
    """The page after so many rows of zeros were asked."""
    window = DriftWindow(manifest)
    if rows:
        zeros = np.zeros((rows, len(manifest.features.columns)), dtype=np.float32)
        window.add({TENSOR: zeros}, Prediction(np.zeros(rows, dtype=np.int64)))
    return Reader(page(READY, window.measure()))


@pytest.mark.parametrize("model", ["iris", "customers", "forecast"])
@pytest.mark.parametrize("rows", [0, LEAST_ROWS])
def test_the_page_of_every_kind_of_model_is_well_formed_and_small(trained: Path, model: str, rows: int) -> None:
    manifest = manifest_of(trained, model)
    window = DriftWindow(manifest)
    if rows:
        zeros = np.zeros((rows, len(manifest.features.columns)), dtype=np.float32)
        window.add({TENSOR: zeros}, Prediction(np.zeros(rows, dtype=np.int64)))
    html = page(READY, window.measure())
    Reader(html)
    static = Path(str(page.__code__.co_filename)).parent / "static"
    assert len(html) + sum(file.stat().st_size for file in static.iterdir()) < 50_000


def test_it_says_what_serves(trained: Path) -> None:
    window = DriftWindow(manifest_of(trained, "iris"))
    text = Reader(page(State("iris", "v1", "champion", "ready", "ready"), window.measure())).text
    assert "iris v1" in text
    assert "follows the alias champion" in text
    assert "one of setosa, versicolor, virginica" in text
    assert "accuracy" in text


def test_a_server_that_drains_says_so(trained: Path) -> None:
    window = DriftWindow(manifest_of(trained, "iris"))
    assert "draining" in Reader(page(State("iris", "v1", None, "draining", "draining"), window.measure())).text


def test_a_classification_has_a_confusion_matrix_and_calibration(trained: Path) -> None:
    text = shown(manifest_of(trained, "customers")).text
    assert "Confusion matrix" in text
    assert "Calibration" in text
    assert "Residuals" not in text


def test_a_forecast_has_residuals(trained: Path) -> None:
    text = shown(manifest_of(trained, "forecast")).text
    assert "Residuals" in text
    assert "Confusion matrix" not in text


def test_the_signature_says_what_is_done_about_missing_values(trained: Path) -> None:
    text = shown(manifest_of(trained, "customers")).text
    assert "a category of its own" in text
    assert "refused" in text
    assert "true, false" in text


def test_drift_is_shown_once_there_are_rows_enough(trained: Path) -> None:
    manifest = manifest_of(trained, "iris")
    few, many = shown(manifest, LEAST_ROWS - 1), shown(manifest, LEAST_ROWS)
    assert "PSI 0" not in few.text
    assert f"{LEAST_ROWS - 1} of {LEAST_ROWS} rows" in few.text
    assert "latest requests" in many.text
    assert many.text.count("drifted") >= 4


def test_only_the_features_that_drifted_most_are_drawn(trained: Path) -> None:
    manifest = manifest_of(trained, "iris")
    names = [f"x{i}" for i in range(MOST_FEATURES + 2)]
    one = manifest.baseline.features["sepal_length"]
    wide = manifest.model_copy(
        update={
            "features": Features(columns=tuple(NumericColumn(name=name) for name in names)),
            "baseline": manifest.baseline.model_copy(update={"features": dict.fromkeys(names, one)}),
            "golden": manifest.golden.model_copy(update={"rows": (tuple(map(float, range(len(names)))),)}),
        }
    )
    reader = shown(wide, LEAST_ROWS)
    assert [value for name, value in reader.attributes if name == "data-feature"] == names[:MOST_FEATURES]
    assert "2 more features are in the drift report" in reader.text


def test_many_classes_are_a_list_of_what_is_mixed_up(trained: Path) -> None:
    manifest = manifest_of(trained, "iris")
    classes = tuple(f"c{i}" for i in range(30))
    matrix = [[9 if i == j else 0 for j in range(30)] for i in range(30)]
    matrix[3][7] = 5
    text = shown(
        manifest.model_copy(
            update={"classes": classes, "charts": Charts(confusion=tuple(map(tuple, matrix)))},
        )
    ).text
    assert "Most often taken for another of the 30 classes" in text
    assert "c3c75" in text
    assert "and 10 more" in text


def test_nothing_in_a_model_becomes_markup(trained: Path) -> None:
    manifest = manifest_of(trained, "iris")
    first = manifest.baseline.features["sepal_length"]
    columns: tuple[Any, ...] = (
        StringColumn(name=HOSTILE),
        CategoryColumn(name=HOSTILE + "c", categories=(HOSTILE, HOSTILE + "b")),
    )
    hostile = manifest.model_copy(
        update={
            "features": Features(columns=columns, layout="columns"),
            "classes": (HOSTILE, HOSTILE + "1", HOSTILE + "2"),
            "metrics": {HOSTILE: 0.5},
            "importances": {HOSTILE: 1.0},
            "packages": {HOSTILE: HOSTILE},
            "recipe": manifest.recipe.model_copy(update={"name": HOSTILE, "params": {HOSTILE: HOSTILE}}),
            "data": manifest.data.model_copy(update={"uri": HOSTILE}),
            "golden": manifest.golden.model_copy(update={"rows": ((HOSTILE, HOSTILE),)}),
            "baseline": manifest.baseline.model_copy(
                update={
                    "features": {
                        HOSTILE + "c": first.model_copy(update={"edges": (-0.5, 0.5, 1.5), "counts": (0, 5, 4, 0)})
                    }
                }
            ),
        }
    )
    state = State(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    ours = shown(manifest)
    for reader in (Reader(page(state, DriftWindow(hostile).measure())), Reader(page(state, None))):
        assert set(reader.elements) <= {*ours.elements, "select", "option", "b"}
        assert reader.elements.count("script") <= 1
        assert not [name for name, _ in reader.attributes if name.startswith("on")]
        assert HOSTILE[:50] in reader.text


def test_no_script_or_style_is_inline_and_nothing_has_another_host(trained: Path) -> None:
    reader = shown(manifest_of(trained, "customers"), LEAST_ROWS)
    assert not [name for name, _ in reader.attributes if name == "style" or name.startswith("on")]
    links = [value or "" for name, value in reader.attributes if name in {"href", "src"}]
    assert links
    assert not [link for link in links if ":" in link or link.startswith("/")]  # so it works below a path, too


def test_before_a_version_is_there_the_page_says_what_is_waited_for() -> None:
    reader = Reader(page(State("iris", "v2", None, "fetching", "fetching iris v2"), None))
    assert "Waiting for version v2 of iris: fetching iris v2." in reader.text
    assert ("http-equiv", "refresh") in reader.attributes
    assert "script" not in reader.elements


def test_an_alias_that_names_nothing_yet_is_waited_for() -> None:
    reader = Reader(page(State("iris", None, "champion", "finding", "starting"), None))
    assert "Waiting for the version that champion names of iris: starting." in reader.text

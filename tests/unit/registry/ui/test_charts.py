"""What is drawn, and that no number from outside keeps a page from being shown."""

from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from mlplat.registry.bodies import Version
from mlplat.registry.ui import charts

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def version(index: int, **metrics: float) -> Version:
    at = NOW + timedelta(days=index)
    return Version(
        model="m", version=f"v{index}", created_at=at, published_at=at, by=None, task="regression", recipe="r", params={},
        runtime="onnx", rows=1, metrics=metrics, tags={}, aliases=[], bytes=1,
    )  # fmt: skip


def titles(chart: str) -> list[str | None]:
    return [title.text for title in ET.fromstring(chart).iter("title")]


def test_metrics_go_from_the_oldest_version_to_the_newest() -> None:
    drawn = dict(charts.courses([version(3, a=0.5), version(1, a=0.25, b=1.0), version(2, a=0.75)]))
    assert titles(drawn["a"]) == ["v1: 0.25", "v2: 0.75", "v3: 0.5"]
    assert list(drawn) == ["a"]  # of b there is one value


def test_the_metrics_that_most_versions_have_go_first_and_only_some_are_drawn() -> None:
    every = [version(index, **{f"m{number:02}": 1.0 for number in range(index, 30)}) for index in range(20)]
    assert charts.metric_names(every)[:1] == ["m19"]
    assert len(charts.courses(every)) == charts.MOST_COURSES


@pytest.mark.parametrize("values", [(0.0, 0.0), (1e308, -1e308), (1.0, 1.0, 1.0), (-1.0, 5e-324)])
def test_any_numbers_are_drawn_within_the_frame(values: tuple[float, ...]) -> None:
    drawn = charts.courses([version(index, a=value) for index, value in enumerate(values)])
    for dot in ET.fromstring(drawn[0][1]).iter("circle"):
        assert 0 <= float(dot.attrib["cx"]) <= charts.WIDTH
        assert 0 <= float(dot.attrib["cy"]) <= charts.HEIGHT


def test_a_metric_is_drawn_against_another_one() -> None:
    bars = {bar.attrib["class"]: bar.attrib["width"] for bar in ET.fromstring(charts.against(1.0, 4.0)).iter("rect")}
    assert bars == {"live": "30", "base": "120"}
    for value, other in ((0.0, 0.0), (-1.0, None), (1e308, -1e308)):
        assert ET.fromstring(charts.against(value, other)).attrib["role"] == "img"


def test_what_training_recorded_is_drawn() -> None:
    found = charts.recorded(
        {"confusion": [[2, 1], [0, 3]], "calibration": [[0.5, 0.25, 4]], "residuals": [[-1.0, 0.0, 2], [0.0, 1.0, 3]]},
        ["a", True],
    )
    assert [drawing.title for drawing in found] == ["Confusion matrix", "Calibration", "Residuals"]
    assert all(drawing.chart for drawing in found)


def test_of_many_classes_those_are_listed_that_are_taken_for_others() -> None:
    matrix = [[10 * i + j for j in range(11)] for i in range(11)]
    (found,) = charts.recorded({"confusion": matrix}, [f"c{i}" for i in range(11)])
    assert found.title == "Most often taken for another of the 11 classes"
    assert found.rows[0] == ("c10", "c9", "109")
    assert len(found.rows) == 10


@pytest.mark.parametrize(
    "given",
    [
        {"confusion": [[1]]},
        {"confusion": [[1, 2, 3], [4, 5, 6]]},
        {"confusion": [[1, 2], [3]]},
        {"confusion": []},
        {"calibration": [[0.5, 0.5, 0]]},
        {"calibration": [[-1e308, 0.5, 1]]},
        {"calibration": [[0.5, 2.0, 1]]},
        {"calibration": [[0.5, 0.5, 1]] * 1000},
        {"residuals": [[1.0, 0.0, 1]]},
        {"residuals": [[-1e308, 1e308, 1]]},
        {"residuals": [[0.0, 1.0, -1]]},
        {"residuals": []},
        {"confusion": None, "calibration": None, "residuals": None},
        {},
    ],
)
def test_what_cannot_be_drawn_is_left_out(given: dict[str, Any]) -> None:
    assert charts.recorded(given, ["a", "b"]) == []
    assert charts.recorded(given, None) == []

"""Charts are well-formed SVG within their frame, and say in words what they show."""

import re
from xml.etree import ElementTree as ET

import pytest

from mlplat.web import svg
from mlplat.web.markup import Markup
from mlplat.web.svg import Bar

HOSTILE = "</title><script>alert(1)</script>"


def parsed(chart: Markup) -> ET.Element:
    root = ET.fromstring(chart)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for shape in root.iter("path"):
        found = re.match(r"M(-?[\d.]+) (-?[\d.]+)(?:h(-?[\d.]+)v(-?[\d.]+))?", shape.attrib["d"])
        assert found is not None
        x, y, wide, tall = (float(part or 0) for part in found.groups())
        assert -0.1 <= x <= x + wide <= width + 0.1
        assert -0.1 <= y <= y + tall <= height + 0.1
    return root


def titles(chart: Markup) -> list[str | None]:
    return [title.text for title in parsed(chart).iter("title")]


def texts(chart: Markup) -> list[str | None]:
    return [text.text for text in parsed(chart).iter("text")]


def test_a_histogram_shows_training_and_live_by_bin() -> None:
    chart = svg.columns([Bar("below 1", 0.25, 0.5), Bar("1 and more", 0.75, 0.5)], ["1"], "x")
    assert titles(chart) == ["below 1: training 25%, live 50%", "1 and more: training 75%, live 50%"]
    assert texts(chart) == ["1"]
    assert [shape.attrib["class"] for shape in parsed(chart).iter("path")].count("live") == 2


def test_without_live_rows_only_training_is_drawn() -> None:
    chart = svg.columns([Bar("a", 0.25), Bar("b", 0.75)], ["1"], "x")
    assert "live" not in {shape.attrib["class"] for shape in parsed(chart).iter("path")}
    assert titles(svg.rows([Bar("a", 1.0)], "x")) == ["a: training 100%"]


def test_edges_that_would_run_into_each_other_are_left_out() -> None:
    edges = [f"2024-01-{day:02}" for day in range(10, 19)]
    shown = texts(svg.columns([Bar(edge, 0.1) for edge in ["", *edges]], edges, "x"))
    assert 2 <= len(shown) < 5


def test_rows_are_named_and_have_their_share() -> None:
    assert texts(svg.rows([Bar("setosa", 0.25, 0.5), Bar("virginica", 0.75, 0.5)], "x")) == [
        "setosa",
        "50%",
        "virginica",
        "50%",
    ]


def test_empty_bins_can_be_drawn() -> None:
    parsed(svg.columns([Bar("a", 0.0, 0.0)], [], "x"))
    parsed(svg.rows([Bar("a", 0.0, 0.0)], "x"))
    parsed(svg.rows([], "x"))


def test_a_confusion_matrix_counts_by_true_and_predicted_class() -> None:
    chart = svg.confusion([[9, 1], [0, 0]], ["no", "yes"])
    assert texts(chart) == ["predicted", "true", "no", "yes", "no", "9", "1", "yes", "0", "0"]
    assert "no predicted as yes: 1 of 10 rows, 10%" in titles(chart)


@pytest.mark.parametrize("classes", [1, 2, 10])
def test_a_confusion_matrix_of_any_size_fits(classes: int) -> None:
    parsed(svg.confusion([[5] * classes] * classes, [f"class {i}" for i in range(classes)]))


def test_calibration_has_a_dot_for_each_tenth() -> None:
    chart = svg.calibration([(0.55, 0.4, 10), (0.97, 1.0, 90)])
    assert titles(chart) == [
        "10 rows said to be right with 55%: 40% were",
        "90 rows said to be right with 97%: 100% were",
    ]
    assert len(list(parsed(chart).iter("circle"))) == 2


def test_a_model_that_is_always_sure_and_right_can_be_drawn() -> None:
    assert len(list(parsed(svg.calibration([(1.0, 1.0, 5)])).iter("circle"))) == 1


@pytest.mark.parametrize("bins", [[(-2.0, 0.0, 3), (0.0, 1.0, 1)], [(1.0, 2.0, 4)], [(0.0, 0.0, 0)]])
def test_residuals_are_drawn_from_the_least_to_the_largest(bins: list[tuple[float, float, int]]) -> None:
    assert len(titles(svg.residuals(bins))) == len(bins)


def test_zero_is_marked_among_residuals() -> None:
    assert texts(svg.residuals([(-2.0, 0.0, 3), (0.0, 1.0, 1)])) == ["-2", "1", "0", "predicted minus true"]


def test_a_share_is_a_bar() -> None:
    assert parsed(svg.share_bar(0.5)).attrib["aria-label"] == "50%"


@pytest.mark.parametrize(
    "chart",
    [
        svg.rows([Bar(HOSTILE, 1.0)], HOSTILE),
        svg.columns([Bar(HOSTILE, 1.0), Bar("b", 0.0)], [HOSTILE], HOSTILE),
        svg.confusion([[1]], [HOSTILE]),
    ],
)
def test_labels_stay_text(chart: Markup) -> None:
    assert not list(parsed(chart).iter("script"))

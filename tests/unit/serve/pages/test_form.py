"""The form has a field for each column, filled with the first golden sample."""

import re
from pathlib import Path
from typing import Any

import pytest

from mlplat.bundle.features import (
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    Features,
    NumericColumn,
    StringColumn,
)
from mlplat.bundle.golden import Golden
from mlplat.bundle.manifest import Manifest
from mlplat.serve.pages.form import MOST_FIELDS, MOST_OPTIONS, form
from mlplat.store import open_store


@pytest.fixture(scope="module")
def iris(trained: Path) -> Manifest:
    return open_store(str(trained)).manifest("iris", "v1")


def form_of(manifest: Manifest, *columns: tuple[Any, Any]) -> str:
    """The form of a model with these columns and values."""
    features = Features(columns=tuple(column for column, _ in columns), layout="columns")
    golden = Golden(rows=(tuple(value for _, value in columns),), values=(0.0,), tolerance=1e-5)
    return form(manifest.model_copy(update={"features": features, "golden": golden}))


def fields(html: str) -> list[str]:
    return re.findall(r"<(?:input|select)[^>]*>", html)


def test_numbers_are_typed(iris: Manifest) -> None:
    html = form(iris)
    assert 'data-form="row"' in html
    assert len(fields(html)) == 4
    assert html.count('type="number" step="any"') == 4
    assert form_of(iris, (NumericColumn(name="x"), 5.0)).count('value="5"') == 1
    assert 'value="' not in form_of(iris, (NumericColumn(name="x", fill=1.0), None))


def test_every_field_has_a_label(iris: Manifest) -> None:
    html = form(iris)
    assert re.findall(r'<label for="(\w+)"', html) == re.findall(r'<input id="(\w+)"', html)


def test_booleans_are_ticked_and_chosen_where_they_may_be_missing(iris: Manifest) -> None:
    assert "checked" in form_of(iris, (BooleanColumn(name="b"), True))
    assert "checked" not in form_of(iris, (BooleanColumn(name="b"), False)).replace("checkbox", "")
    optional = form_of(iris, (BooleanColumn(name="b", fill=0), True))
    assert re.findall(r'value="(\w*)"( selected)?', optional) == [("", ""), ("true", " selected"), ("false", "")]


def test_categories_are_chosen_and_typed_where_they_are_many(iris: Manifest) -> None:
    few = form_of(iris, (CategoryColumn(name="c", categories=("a", "b"), missing=True), "b"))
    assert re.findall(r'value="(\w*)"( selected)?', few) == [("", ""), ("a", ""), ("b", " selected")]
    many = CategoryColumn(name="c", categories=tuple(map(str, range(MOST_OPTIONS + 1))))
    assert 'type="text" value="7"' in form_of(iris, (many, "7"))


def test_a_category_that_training_did_not_know_can_be_chosen_again(iris: Manifest) -> None:
    html = form_of(iris, (CategoryColumn(name="c", categories=("a",)), "new"))
    assert re.findall(r'value="(\w*)"( selected)?', html) == [("new", " selected"), ("a", "")]


def test_the_empty_category_is_sent_as_text(iris: Manifest) -> None:
    html = form_of(iris, (CategoryColumn(name="c", categories=("", "a"), missing=True), ""))
    assert 'data-kind="string"' in html
    assert "(missing)" not in html


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("2024-01-10", 'type="date" value="2024-01-10"'),
        ("2024-01-10T00:00:00.000000000", 'type="date" value="2024-01-10"'),
        ("2024-01-10T08:30:00.000000", 'type="datetime-local" step="1" value="2024-01-10T08:30:00"'),
        (None, 'type="date" data-kind="text"'),
        ("someday", 'type="text" value="someday"'),
    ],
)
def test_dates_are_picked(iris: Manifest, value: str | None, field: str) -> None:
    assert field in form_of(iris, (DateColumn(name="d"), value))


def test_strings_are_typed(iris: Manifest) -> None:
    assert 'type="text" value="words" data-kind="string"' in form_of(iris, (StringColumn(name="s"), "words"))


def test_a_forecast_takes_a_series_and_a_horizon(trained: Path) -> None:
    html = form(open_store(str(trained)).manifest("forecast", "v1"))
    assert 'data-form="series"' in html
    assert '<textarea id="values"' in html
    assert 'id="horizon"' in html


def test_many_columns_are_written_as_json(iris: Manifest) -> None:
    html = form_of(iris, *((NumericColumn(name=f"x{i}"), float(i)) for i in range(MOST_FIELDS + 1)))
    assert 'data-form="json"' in html
    assert "&quot;x40&quot;: 40.0" in html


def test_names_and_values_stay_text(iris: Manifest) -> None:
    hostile = '"><script>alert(1)</script>'
    html = form_of(
        iris,
        (StringColumn(name=hostile), hostile),
        (CategoryColumn(name=hostile + "2", categories=(hostile,)), hostile),
    )
    assert "<script" not in html

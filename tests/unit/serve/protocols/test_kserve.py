"""KServe's V1 protocol: what is taken, that everything else is refused by name, and answers as bytes."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.bundle.features import (
    TENSOR,
    Features,
    NumericColumn,
    StringColumn,
    as_inputs,
)
from mlplat.bundle.manifest import Label, Task
from mlplat.bundle.prediction import Prediction
from mlplat.errors import RequestError
from mlplat.serve.protocols import KServe, Limits, Message, Question

from .manifests import FLOWER, MIXED, SERIES, manifest_of

ONE = Features(columns=(NumericColumn(name="x"),))
LIMITS = Limits(max_rows=5, max_horizon=10)
WIDE_LIMITS = Limits(max_rows=100, max_horizon=10)

ROWS = [[1, 2, 3], [4, 5, 6]]
NAMED = [{"stem": 3, "sepal": 1, "petal": 2}, {"sepal": 4, "petal": 5, "stem": 6}]


def decode(
    body: bytes, features: Features = FLOWER, task: Task = "classification", limits: Limits = LIMITS
) -> Question:
    return KServe(manifest_of(features, task), limits).decode(Message(body))


def ask(body: Any, features: Features = FLOWER, task: Task = "classification", limits: Limits = LIMITS) -> Question:
    return decode(json.dumps(body).encode(), features, task, limits)


def refusal(body: Any, features: Features = FLOWER, task: Task = "classification") -> RequestError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RequestError) as caught:
        decode(raw, features, task)
    return caught.value


def tensor(question: Question) -> list[list[float]]:
    rows: list[list[float]] = as_inputs(question.inputs)[TENSOR].tolist()
    assert len(rows) == question.rows
    return rows


class TestInstances:
    def test_by_position(self) -> None:
        assert tensor(ask({"instances": ROWS})) == ROWS

    def test_by_name_in_any_order(self) -> None:
        assert tensor(ask({"instances": NAMED})) == ROWS

    def test_under_inputs_they_are_the_same(self) -> None:
        assert tensor(ask({"inputs": ROWS})) == ROWS
        assert tensor(ask({"inputs": NAMED})) == ROWS

    def test_bare_values_are_rows_of_a_model_of_one_column(self) -> None:
        assert tensor(ask({"instances": [1, 2.5]}, ONE)) == [[1], [2.5]]
        assert tensor(ask({"instances": [[1], [2.5]]}, ONE)) == [[1], [2.5]]

    def test_bare_values_are_no_row_of_a_model_of_several(self) -> None:
        error = refusal({"instances": [1, 2, 3]})
        assert error.status == 422
        assert "'instances': found a list of values, expected a list of rows of 3 values: 'sepal'" in error.message
        assert error.hint == 'Send one row as "instances": [[...]].'

    @pytest.mark.parametrize(
        "instances",
        [
            [{"sepal": [1], "petal": [2], "stem": [3]}, {"sepal": [4], "petal": [5], "stem": [6]}],
            [{"sepal": {"0": 1}, "petal": {"0": 2}, "stem": {"0": 3}}, NAMED[1]],
            [NAMED],
            [[NAMED[0]], [NAMED[1]]],
        ],
    )
    def test_as_kserves_scikit_learn_server_makes_data_frames_of(self, instances: Any) -> None:
        assert tensor(ask({"instances": instances})) == ROWS

    def test_other_keys_are_passed_over_as_kserve_does(self) -> None:
        assert tensor(ask({"instances": ROWS, "id": "7"})) == ROWS

    def test_a_mixed_row_is_encoded_by_its_kinds(self) -> None:
        row = {"age": None, "member": True, "since": "1970-01-02T12:00:00Z", "plan": "pro"}
        assert tensor(ask({"instances": [row]}, MIXED)) == [[40, 1, 1.5, 1]]
        assert tensor(ask({"instances": [[None, True, "1970-01-02T12:00:00Z", "gold"]]}, MIXED)) == [[40, 1, 1.5, -1]]

    def test_columns_that_are_inputs_of_their_own(self) -> None:
        features = Features(columns=(NumericColumn(name="a"), StringColumn(name="b")), layout="columns")
        inputs = as_inputs(ask({"instances": [[1, "x"]]}, features).inputs)
        assert (inputs["a"].tolist(), inputs["b"].tolist()) == ([[1]], [["x"]])
        numbers = Features(columns=(NumericColumn(name="a"), NumericColumn(name="b")), layout="columns")
        inputs = as_inputs(ask({"instances": [[1, 2]]}, numbers).inputs)
        assert (inputs["a"].tolist(), inputs["b"].tolist()) == ([[1]], [[2]])


class TestColumns:
    def test_by_name(self) -> None:
        assert tensor(ask({"inputs": {"stem": [3, 6], "sepal": [1, 4], "petal": [2, 5]}})) == ROWS

    def test_single_values_are_one_row(self) -> None:
        assert tensor(ask({"inputs": NAMED[0]})) == ROWS[:1]

    @pytest.mark.parametrize("rows", [1, 100])
    def test_few_and_many_of_every_kind(self, rows: int) -> None:
        columns: dict[str, list[Any]] = {
            "age": [None],
            "member": [True],
            "since": ["1970-01-02T12:00:00Z"],
            "plan": [None],
        }
        inputs = {name: values * rows for name, values in columns.items()}
        assert tensor(ask({"inputs": inputs}, MIXED, limits=WIDE_LIMITS)) == [[40, 1, 1.5, 2]] * rows

    @pytest.mark.parametrize(
        ("inputs", "words"),
        [
            ({}, "'inputs': missing columns 'sepal', 'petal', 'stem'"),
            ({"sepal": [1], "petal": [2]}, "'inputs': missing columns 'stem'; expected 'sepal', 'petal', 'stem'"),
            ({"sepal": [1], "petal": [2], "stem": [3], "leaf": [4]}, "'inputs': unknown columns 'leaf'"),
            (
                {"sepal": [1], "petal": [2, 3], "stem": [3]},
                "column 'petal': found 2 values, expected 1 as column 'sepal'",
            ),
            ({"sepal": [1], "petal": 2, "stem": [3]}, "column 'petal': found 2, expected a list"),
            ({"sepal": 1, "petal": [2], "stem": [3]}, "column 'sepal': found 1, expected a list"),
            ({"sepal": [], "petal": [], "stem": []}, "column 'sepal': found [], expected a list"),
            ({"sepal": [1, 2], "petal": [2, None], "stem": [3, 4]}, "row 1, column 'petal': found a missing value"),
            ({"sepal": [[1]], "petal": [2], "stem": [3]}, "row 0, column 'sepal': found [1], expected a number"),
            ({"sepal": [0] * 6, "petal": [0] * 6, "stem": [0] * 6}, "Found 6 rows, expected at most 5"),
        ],
    )
    def test_what_is_wrong_is_named(self, inputs: Any, words: str) -> None:
        error = refusal({"inputs": inputs})
        assert error.status == 422
        assert words in error.message


class TestSignatures:
    @pytest.mark.parametrize("name", [None, "", "serving_default", "predict"])
    def test_of_labels(self, name: Any) -> None:
        assert ask({"instances": ROWS, "signature_name": name}).form is False

    def test_of_probabilities(self) -> None:
        assert ask({"instances": ROWS, "signature_name": "predict_proba"}).form is True
        assert ask({"instances": ROWS, "parameters": {"return_probabilities": True}}).form is True
        assert ask({"instances": ROWS, "parameters": {"return_probabilities": False}}).form is False

    @pytest.mark.parametrize("name", ["classify", 5, ["predict"], {}, True, "p" * 100_000])
    def test_an_unknown_one_is_a_400_that_names_those_there_are(self, name: Any) -> None:
        error = refusal({"instances": ROWS, "signature_name": name})
        assert error.status == 400
        assert "'serving_default', 'predict', 'predict_proba'" in error.message
        assert len(error.message) < 200

    def test_a_regression_has_none_of_probabilities(self) -> None:
        error = refusal({"instances": ROWS, "signature_name": "predict_proba"}, task="regression")
        assert error.message.endswith("expected one of 'serving_default', 'predict'.")
        error = refusal({"instances": ROWS, "parameters": {"return_probabilities": True}}, task="regression")
        assert "is no classification" in error.message


class TestParameters:
    def test_a_horizon_of_one_window(self) -> None:
        question = ask({"instances": [[1, 2, 3]], "parameters": {"horizon": 4}}, SERIES, "forecast")
        assert (question.horizon, tensor(question)) == (4, [[1, 2, 3]])

    def test_windows_without_a_horizon(self) -> None:
        assert tensor(ask({"instances": ROWS}, SERIES, "forecast")) == ROWS

    def test_unknown_ones_are_passed_over(self) -> None:
        assert ask({"instances": ROWS, "parameters": {"priority": 1}}).form is False

    @pytest.mark.parametrize("horizon", ["0", "-1", "11", "1.5", '"3"', "true", "[1]", "1" * 4000])
    def test_a_wrong_horizon_is_refused(self, horizon: str) -> None:
        body = f'{{"instances": [[1, 2, 3]], "parameters": {{"horizon": {horizon}}}}}'
        error = refusal(body.encode(), SERIES, "forecast")
        assert error.status == 422
        assert "expected an integer from 1 to 10" in error.message

    def test_a_horizon_is_of_one_row(self) -> None:
        error = refusal({"instances": ROWS, "parameters": {"horizon": 2}}, SERIES, "forecast")
        assert error.message == "Found 2 rows, expected 1 with a 'horizon'."

    def test_a_horizon_is_for_a_forecast(self) -> None:
        assert "forecasts no series" in refusal({"instances": ROWS, "parameters": {"horizon": 2}}).message

    @pytest.mark.parametrize("parameters", [5, [], "a", True])
    def test_they_are_an_object(self, parameters: Any) -> None:
        assert "'parameters': found" in refusal({"instances": ROWS, "parameters": parameters}).message

    @pytest.mark.parametrize("flag", [1, "true", [], {}])
    def test_a_flag_is_true_or_false(self, flag: Any) -> None:
        error = refusal({"instances": ROWS, "parameters": {"return_probabilities": flag}})
        assert "'return_probabilities': found" in error.message


class TestRefusals:
    @pytest.mark.parametrize(("text", "found"), [("1e999", "inf"), ("-1e400", "-inf"), ("1e39", "1e+39")])
    def test_a_number_that_is_too_large_is_named_with_its_place(self, text: str, found: str) -> None:
        named = f'{{"sepal": 1, "petal": {text}, "stem": 3}}'
        for rows in (f"[1, 2, 3], [1, {text}, 3]", f'{{"stem": 3, "sepal": 1, "petal": 2}}, {named}'):
            error = refusal(f'{{"instances": [{rows}]}}'.encode())
            reason = f"found {found}, expected a finite number of at most 3.403e+38."
            assert error.message == f"row 1, column 'petal': {reason}"

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"\xff", b'{"\xff": 1}', b'{"instances": [["\xff"]]}', b"[" * 100_000, b'{"instances": [[NaN]]}'],
    )
    def test_what_is_not_json_is_a_400(self, body: bytes) -> None:
        assert refusal(body).status == 400

    @pytest.mark.parametrize("body", [[], [[1, 2, 3]], 1, "a", None, True])
    def test_what_is_not_an_object_is_a_400(self, body: Any) -> None:
        error = refusal(body)
        assert error.status == 400
        assert 'expected an object such as {"instances": [[...3 values...]]}' in error.message

    @pytest.mark.parametrize(
        "body",
        [{}, {"instances": ROWS, "inputs": ROWS}, {"instances": ROWS, "inputs": None}, {"instance": ROWS}],
    )
    def test_exactly_one_of_both_is_there(self, body: Any) -> None:
        error = refusal(body)
        assert error.status == 400
        assert "of 'instances' and 'inputs', expected one of them" in error.message

    @pytest.mark.parametrize("instances", [5, "a", None, True, {}])
    def test_what_are_no_rows(self, instances: Any) -> None:
        assert "expected a list of rows" in refusal({"instances": instances}).message

    def test_no_rows(self) -> None:
        assert refusal({"instances": []}).code == "empty"
        assert refusal({"inputs": []}).code == "empty"

    @pytest.mark.parametrize("row", [[], [1, 2], [1, 2, 3, 4]])
    def test_a_row_of_the_wrong_length(self, row: list[int]) -> None:
        error = refusal({"instances": [[1, 2, 3], row]})
        assert f"row 1: found {len(row)} values, expected 3: 'sepal', 'petal', 'stem'" in error.message

    @pytest.mark.parametrize("odd", [4, "a", None, NAMED[0]])
    def test_rows_of_different_forms(self, odd: Any) -> None:
        assert "row 1: found" in refusal({"instances": [[1, 2, 3], odd]}).message
        assert "row 2: found" in refusal({"instances": [odd, odd, [1, 2, 3]]}).message

    def test_a_wrong_value(self) -> None:
        error = refusal({"instances": [[1, 2, 3], [1, 2, "wide"]]})
        assert (error.status, error.message) == (422, "row 1, column 'stem': found \"wide\", expected a number.")

    def test_more_rows_than_the_limit(self) -> None:
        assert ask({"instances": [[1, 2, 3]] * 5}).rows == 5
        for rows in ([[1, 2, 3]] * 6, [NAMED[0]] * 6, [[NAMED[0]] * 6]):
            assert refusal({"instances": rows}).code == "too_many_rows"

    def test_long_names_and_values_do_not_flood_the_message(self) -> None:
        long = "k" * 1_000_000
        for body in (
            {long: 1},
            {"instances": [{long: 1}]},
            {"instances": [long]},
            {"instances": [[long, 2, 3]]},
            {"inputs": {long: 1}},
            {"instances": ROWS, "parameters": {"horizon": long}},
        ):
            assert len(refusal(body).message) < 400

    @pytest.mark.parametrize("depth", range(1, 1200, 97))
    def test_a_nested_value_of_any_depth(self, depth: int) -> None:
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            nested = f"{opening * depth}1{closing * depth}"
            for form in ('{"instances": %s}', '{"instances": [[%s, 2, 3]]}', '{"inputs": {"sepal": %s}}'):
                assert refusal((form % nested).encode()).status in {400, 422}


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner))
rows = st.lists(scalars, min_size=4, max_size=4)
named = st.fixed_dictionaries(dict.fromkeys(MIXED.names, values))
messages = st.fixed_dictionaries(
    {},
    optional={
        "instances": values | st.lists(rows, max_size=6) | st.lists(named, max_size=6) | st.lists(st.lists(named)),
        "inputs": values | named | st.lists(rows, max_size=6),
        "signature_name": values | st.sampled_from(["predict", "predict_proba"]),
        "parameters": values | st.fixed_dictionaries({}, optional={"horizon": values, "return_probabilities": values}),
    },
)


@given(body=st.one_of(st.binary(max_size=60), messages.map(lambda value: json.dumps(value).encode())))
def test_any_body_is_encoded_to_finite_numbers_or_refused_with_a_sentence(body: bytes) -> None:
    for features, task in ((MIXED, "classification"), (SERIES, "forecast"), (ONE, "regression")):
        try:
            question = decode(body, features, task)  # type: ignore[arg-type]
        except RequestError as error:
            assert 400 <= error.status < 500
            assert json.loads(KServe.error(error).body) == {"error": str(error)}
        else:
            inputs = as_inputs(question.inputs)
            assert inputs[TENSOR].dtype == np.float32
            assert inputs[TENSOR].shape == (question.rows, len(features.columns))
            assert np.isfinite(inputs[TENSOR]).all()


@given(
    table=st.lists(
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
        min_size=1,
        max_size=5,
    )
)
def test_every_form_gives_the_same_numbers(table: list[list[float]]) -> None:
    expected = np.array(table, np.float32).tolist()
    assert tensor(ask({"instances": table})) == expected
    assert tensor(ask({"instances": [dict(zip(FLOWER.names, row, strict=True)) for row in table]})) == expected
    columns = dict(zip(FLOWER.names, map(list, zip(*table, strict=True)), strict=True))
    assert tensor(ask({"inputs": columns})) == expected


def encode(
    prediction: Prediction,
    first: int = 0,
    rows: int | None = None,
    *,
    form: bool = False,
    horizon: int | None = None,
    classes: tuple[Label, ...] = ("a", "b"),
) -> Any:
    task: Task = "regression" if prediction.probabilities is None else "classification"
    question = Question({}, len(prediction) if rows is None else rows, form, horizon)
    return json.loads(KServe(manifest_of(FLOWER, task, classes), LIMITS).encode(question, prediction, first).body)


class TestAnswers:
    CLASSIFIED = Prediction(np.array([1, 0, 1]), np.array([[0.25, 0.75], [0.5, 0.5], [0, 1]], np.float32))

    def test_labels(self) -> None:
        assert encode(self.CLASSIFIED) == {"predictions": ["b", "a", "b"]}

    def test_of_ones_own_rows_out_of_a_run(self) -> None:
        assert encode(self.CLASSIFIED, 1, 2) == {"predictions": ["a", "b"]}
        assert encode(self.CLASSIFIED, 1, 1) == {"predictions": ["a"]}
        assert encode(self.CLASSIFIED, 1, 1, form=True) == {"predictions": [[0.5, 0.5]]}

    @pytest.mark.parametrize("classes", [(True, False), (1, 2), (0.5, 1.5), ("%b", 'a"\n\u2028')])
    def test_labels_are_of_any_kind(self, classes: tuple[Label, ...]) -> None:
        assert encode(self.CLASSIFIED, classes=classes) == {"predictions": [classes[1], classes[0], classes[1]]}
        assert encode(self.CLASSIFIED, 0, 1, classes=classes) == {"predictions": [classes[1]]}

    def test_probabilities_in_the_order_of_the_classes(self) -> None:
        assert encode(self.CLASSIFIED, form=True) == {"predictions": [[0.25, 0.75], [0.5, 0.5], [0.0, 1.0]]}

    def test_numbers(self) -> None:
        numbers = Prediction(np.array([1.5, 0.1, -2], np.float32))
        assert encode(numbers) == {"predictions": [1.5, 0.1, -2.0]}
        assert encode(numbers, 1, 1) == {"predictions": [0.1]}

    def test_the_steps_of_a_forecast_are_the_prediction_of_its_window(self) -> None:
        assert encode(Prediction(np.array([1.5, 2.5], np.float32)), rows=1, horizon=2) == {"predictions": [[1.5, 2.5]]}

"""`/predict`: what is taken, that everything else is refused by name, and answers as bytes."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.bundle.answers import label_text
from mlplat.bundle.features import (
    TENSOR,
    BooleanColumn,
    Features,
    NumericColumn,
    as_inputs,
)
from mlplat.bundle.manifest import Manifest, Task
from mlplat.bundle.prediction import Prediction
from mlplat.errors import RequestError
from mlplat.serve.protocols import Limits, Message, Plain, Question
from mlplat.serve.protocols.plain import MANY, MANY_FULL, ONE, ONE_BARE

from .manifests import FLOWER, MIXED, SERIES, manifest_of

LIMITS = Limits(max_rows=5, max_horizon=10)


def decode(body: bytes, features: Features = FLOWER, task: Task = "classification") -> Question:
    return Plain(manifest_of(features, task), LIMITS).decode(Message(body))


def ask(body: Any, features: Features = FLOWER, task: Task = "classification") -> Question:
    return decode(json.dumps(body).encode(), features, task)


def refusal(body: Any, features: Features = FLOWER, task: Task = "classification") -> RequestError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RequestError) as caught:
        decode(raw, features, task)
    return caught.value


def tensor(question: Question) -> list[list[float]]:
    rows: list[list[float]] = as_inputs(question.inputs)[TENSOR].tolist()
    return rows


class TestForms:
    def test_one_row_by_position(self) -> None:
        question = ask({"features": [1, 2.5, 3]})
        assert question.form == ONE
        assert tensor(question) == [[1, 2.5, 3]]

    def test_rows_by_position_give_probabilities_only_if_asked(self) -> None:
        question = ask({"features": [[1, 2, 3], [4, 5, 6]]})
        assert question.form == MANY
        assert tensor(question) == [[1, 2, 3], [4, 5, 6]]
        assert ask({"features": [[1, 2, 3]], "return_probabilities": True}).form == MANY_FULL

    def test_one_row_in_a_list_is_answered_as_a_list(self) -> None:
        assert ask({"features": [[1, 2, 3]]}).form == MANY

    def test_a_row_by_name_in_any_order(self) -> None:
        question = ask({"stem": 3, "sepal": 1, "petal": 2})
        assert question.form == ONE
        assert tensor(question) == [[1, 2, 3]]

    def test_a_row_by_name_may_ask_for_no_probabilities(self) -> None:
        question = ask({"stem": 3, "sepal": 1, "petal": 2, "return_probabilities": False})
        assert question.form == ONE_BARE

    def test_rows_by_name_under_features(self) -> None:
        rows = [{"stem": 3, "sepal": 1, "petal": 2}, {"sepal": 4, "petal": 5, "stem": 6}]
        assert tensor(ask({"features": rows})) == [[1, 2, 3], [4, 5, 6]]
        assert ask({"features": rows[0]}).form == ONE

    def test_a_column_called_features_can_be_named(self) -> None:
        odd = Features(columns=(NumericColumn(name="features"), NumericColumn(name="b")))
        assert tensor(ask({"features": 1, "b": 2}, odd)) == [[1, 2]]

    def test_a_column_called_return_probabilities_is_a_value(self) -> None:
        odd = Features(columns=(BooleanColumn(name="return_probabilities"),))
        question = ask({"return_probabilities": False}, odd)
        assert question.form == ONE
        assert tensor(question) == [[0]]

    def test_a_mixed_row_is_encoded_by_its_kinds(self) -> None:
        row = {"age": None, "member": True, "since": "1970-01-02T12:00:00Z", "plan": "pro"}
        assert tensor(ask(row, MIXED)) == [[40, 1, 1.5, 1]]

    def test_an_unknown_category_and_a_missing_one_have_codes_of_their_own(self) -> None:
        rows = [[1, False, "1970-01-01", "gold"], [1, False, "1970-01-01", None]]
        assert [row[3] for row in tensor(ask({"features": rows}, MIXED))] == [-1, 2]


class TestSeries:
    def test_the_last_values_count(self) -> None:
        question = ask({"values": [9, 9, 1, 2, 3]}, SERIES, task="forecast")
        assert tensor(question) == [[1, 2, 3]]
        assert question.horizon is None

    def test_a_horizon_is_kept(self) -> None:
        question = ask({"values": [1, 2, 3], "horizon": 4}, SERIES, task="forecast")
        assert (question.horizon, tensor(question)) == (4, [[1, 2, 3]])

    @pytest.mark.parametrize("horizon", [0, -1, 11, 1.5, "3", True, [1]])
    def test_a_wrong_horizon_is_refused(self, horizon: Any) -> None:
        error = refusal({"values": [1, 2, 3], "horizon": horizon}, SERIES, task="forecast")
        assert "'horizon'" in error.message
        assert "from 1 to 10" in error.message

    def test_too_few_values_name_the_window(self) -> None:
        assert "found 2 numbers, expected at least 3" in refusal({"values": [1, 2]}, SERIES, task="forecast").message

    @pytest.mark.parametrize("value", [None, "1", True, [1], 2**53 + 2])
    def test_a_wrong_value_names_its_place(self, value: Any) -> None:
        error = refusal({"values": [0, 1, value, 3]}, SERIES, task="forecast")
        assert "item 2" in error.message

    def test_values_must_be_a_list(self) -> None:
        assert "expected a list of numbers" in refusal({"values": 5}, SERIES, task="forecast").message

    def test_a_value_beyond_float32_is_refused(self) -> None:
        assert "finite" in refusal({"values": [1, 2, 1e39], "horizon": 2}, SERIES, task="forecast").message

    def test_an_unknown_key_is_named(self) -> None:
        assert "'horizont'" in refusal({"values": [1, 2, 3], "horizont": 1}, SERIES, task="forecast").message


class TestRefusals:
    @pytest.mark.parametrize(
        "body", [b"", b"{", b"{'a': 1}", b"\xff", b'"\xff"', b'{"\xff": 1}', b"NaN", b"[" * 100_000, b"{} x"]
    )
    def test_what_is_not_json_is_a_400(self, body: bytes) -> None:
        error = refusal(body)
        assert (error.status, error.code) == (400, "not_json")

    @pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
    def test_nan_and_infinity_are_not_json(self, text: str) -> None:
        assert refusal(b'{"features": [1, 2, %s]}' % text.encode()).status == 400

    @pytest.mark.parametrize("body", [[], [[1, 2, 3]], 1, "a", None, True])
    def test_what_is_not_an_object_is_a_400(self, body: Any) -> None:
        error = refusal(body)
        assert (error.status, error.code) == (400, "not_an_object")

    @pytest.mark.parametrize(
        ("text", "found"),
        [("1e999", "inf"), ("-1e400", "-inf"), ("1e39", "1e+39"), ("1" + "0" * 500_000 + ".5", "inf")],
    )
    def test_a_number_that_is_too_large_is_named_with_its_place(self, text: str, found: str) -> None:
        reason = f"found {found}, expected a finite number of at most 3.403e+38."
        assert refusal(f'{{"features": [1, 2, {text}]}}'.encode()).message == f"row 0, column 'stem': {reason}"
        rows = ",".join(["[1, 2, 3]"] * 3)
        body = f'{{"features": [{rows}, [1, {text}, 3]]}}'.encode()
        assert refusal(body).message == f"row 3, column 'petal': {reason}"
        body = f'{{"stem": 1, "petal": 2, "sepal": {text}}}'.encode()
        assert refusal(body).message == f"row 0, column 'sepal': {reason}"
        series = refusal(f'{{"values": [1, {text}, 3]}}'.encode(), SERIES, task="forecast")
        assert series.message == f"row 0, column 'lag_2': {reason}"

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b'{"features": [1e999, NaN]}', 400),
            (b'{"features": [1e999, 2', 400),
            (b'{"features": [1e999, "\\ud800"]}', 400),
            (b'{"features": [1e999, "\xff"]}', 400),
            (b'{"features": [1e999, ' + b"[" * 100_000, 400),
            (b'{"horizon": 1e999, "values": [1, 2, 3]}', 422),
            (b'{"features": [1, 2, 3], "return_probabilities": 1e999}', 422),
            (b'{"features": [1, 2, 1' + b"0" * 5000 + b"]}", 422),
        ],
    )
    def test_what_else_is_wrong_beside_a_number_that_is_too_large_is_refused(self, body: bytes, status: int) -> None:
        assert refusal(body).status == status

    @pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 10**30])
    def test_an_integer_beyond_2_53_is_refused(self, value: int) -> None:
        error = refusal({"features": [[1, 2, 3], [1, value, 3]]})
        assert "row 1, column 'petal'" in error.message
        assert "2^53" in error.message

    @pytest.mark.parametrize("value", [2**53, -(2**53)])
    def test_an_integer_of_2_53_is_taken(self, value: int) -> None:
        assert tensor(ask({"features": [1, value, 3]}))[0][1] == float(value)

    @pytest.mark.parametrize(
        ("value", "found"),
        [("wide", '"wide"'), (True, "true"), ([1], "[1]"), ({"a": 1}, "{'a': 1}"), (None, "a missing value")],
    )
    def test_a_wrong_type_names_row_column_found_and_expected(self, value: Any, found: str) -> None:
        error = refusal({"features": [[1, 2, 3], [1, 2, value]]})
        assert error.status == 422
        assert error.message.startswith(f"row 1, column 'stem': found {found}, expected a number")

    def test_a_list_or_object_in_the_only_row_names_its_column(self) -> None:
        assert refusal({"features": [1, [2], 3]}).message.startswith("row 0, column 'petal': found [2], expected")

    @pytest.mark.parametrize("depth", range(1, 1000, 37))
    def test_a_nested_value_of_any_depth_is_refused_with_a_sentence(self, depth: int) -> None:
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            body = f'{{"features": [[{opening * depth}1{closing * depth}, 2, 3]]}}'
            assert refusal(body.encode()).status in {400, 422}

    def test_a_body_of_many_keys_is_refused_in_time_for_the_next_request(self) -> None:
        """Each key is looked at once, however many columns there are; a million times a thousand took minutes."""
        wide = Features(columns=tuple(NumericColumn(name=f"c{i}") for i in range(1000)))
        body = json.dumps({f"k{i}": 1 for i in range(200_000)}).encode()
        with pytest.raises(RequestError) as caught:
            decode(body, wide)
        assert caught.value.code == "missing_columns"

    def test_all_missing_columns_are_named(self) -> None:
        error = refusal({"petal": 1})
        assert error.code == "missing_columns"
        assert "'sepal', 'stem'" in error.message

    def test_an_extra_column_is_named(self) -> None:
        error = refusal({"features": [{"sepal": 1, "petal": 2, "stem": 3, "leaf": 4}]})
        assert error.code == "unknown_columns"
        assert "row 0" in error.message
        assert "'leaf'" in error.message

    def test_a_body_of_no_known_form_says_what_is_expected(self) -> None:
        assert "'sepal', 'petal', 'stem'" in refusal({"data": [1, 2, 3]}).message
        assert refusal({}).code == "missing_columns"

    @pytest.mark.parametrize("row", [[], [1, 2], [1, 2, 3, 4]])
    def test_a_row_of_the_wrong_length_says_both_lengths(self, row: list[int]) -> None:
        error = refusal({"features": [[1, 2, 3], row]})
        assert error.code == "wrong_length"
        assert f"row 1: found {len(row)} values, expected 3: 'sepal', 'petal', 'stem'" in error.message

    def test_no_rows_are_refused(self) -> None:
        assert refusal({"features": []}).code == "empty"

    @pytest.mark.parametrize("features", [5, "a", None, True])
    def test_features_that_are_no_rows_are_refused(self, features: Any) -> None:
        assert refusal({"features": features}).code == "invalid_rows"

    @pytest.mark.parametrize("rows", [[[1, 2, 3], 4], [1, [2, 3]], [{"sepal": 1}, [1, 2, 3]]])
    def test_rows_of_different_forms_are_refused(self, rows: list[Any]) -> None:
        assert "row 1" in refusal({"features": rows}).message

    def test_more_rows_than_the_limit_are_refused(self) -> None:
        assert ask({"features": [[1, 2, 3]] * 5}).rows == 5
        assert refusal({"features": [[1, 2, 3]] * 6}).code == "too_many_rows"
        assert refusal({"features": [{"sepal": 1, "petal": 2, "stem": 3}] * 6}).code == "too_many_rows"

    def test_an_unknown_key_beside_features_is_named(self) -> None:
        assert "'return_probability'" in refusal({"features": [1, 2, 3], "return_probability": True}).message

    @pytest.mark.parametrize("flag", [1, "true", None])
    def test_the_flag_must_be_a_boolean(self, flag: Any) -> None:
        assert "'return_probabilities'" in refusal({"features": [1, 2, 3], "return_probabilities": flag}).message

    def test_many_problems_are_shown_in_row_order_and_counted(self) -> None:
        message = refusal({"features": [[1, 2, "x"], ["a", 2, 3], [1, "b", "c"]]}).message
        assert message.index("row 0") < message.index("row 1") < message.index("row 2")
        assert message.endswith("and 1 more.")

    def test_long_names_and_values_do_not_flood_the_message(self) -> None:
        assert len(refusal({"k" * 100_000: 1}).message) < 1000
        assert (
            len(refusal({"features": [{f"c{i}": 1 for i in range(10_000)} | dict.fromkeys(FLOWER.names, 1)]}).message)
            < 1000
        )
        assert len(refusal({"features": ["v" * 100_000, 2, 3]}).message) < 1000

    @pytest.mark.parametrize("value", ["yesterday", "2026-13-01", 5, True])
    def test_a_wrong_date_is_refused(self, value: Any) -> None:
        assert "column 'since'" in refusal({"features": [1, True, value, "pro"]}, MIXED).message

    @pytest.mark.parametrize("value", [2, "true", 0.5])
    def test_a_wrong_boolean_is_refused(self, value: Any) -> None:
        assert "true or false" in refusal({"features": [1, value, "2026-01-01", "pro"]}, MIXED).message


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner))
rows = st.lists(scalars, min_size=4, max_size=4)
bodies = st.one_of(
    values,
    st.fixed_dictionaries({"features": values}),
    st.fixed_dictionaries({"features": st.lists(rows, max_size=6)}),
    st.fixed_dictionaries(dict.fromkeys(MIXED.names, scalars)),
    st.fixed_dictionaries({"values": values}, optional={"horizon": scalars}),
)


@given(body=st.one_of(st.binary(max_size=60), bodies.map(lambda value: json.dumps(value).encode())))
def test_any_body_is_encoded_to_finite_numbers_or_refused_with_a_sentence(body: bytes) -> None:
    for features, task in ((MIXED, "classification"), (SERIES, "forecast")):
        try:
            inputs = as_inputs(decode(body, features, task).inputs)  # type: ignore[arg-type]
        except RequestError as error:
            assert 400 <= error.status < 500
            assert error.message
        else:
            assert inputs[TENSOR].dtype == np.float32
            assert np.isfinite(inputs[TENSOR]).all()


@given(
    table=st.lists(
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
        min_size=1,
        max_size=5,
    )
)
def test_rows_by_position_and_by_name_give_the_same_numbers(table: list[list[float]]) -> None:
    by_position = tensor(ask({"features": table}))
    by_name = tensor(ask({"features": [dict(zip(FLOWER.names, row, strict=True)) for row in table]}))
    assert by_position == by_name
    assert all(math.isclose(a, b) for x, y in zip(by_position, table, strict=True) for a, b in zip(x, y, strict=True))


def encode(manifest: Manifest, prediction: Prediction, form: int, *, horizon: int | None = None) -> dict[str, Any]:
    question = Question({}, len(prediction), form, horizon)
    answer: dict[str, Any] = json.loads(Plain(manifest, LIMITS).encode(question, prediction, 0).body)
    return answer


class TestAnswers:
    THREE = manifest_of(FLOWER, classes=("setosa", "versicolor", "virginica"))

    def test_a_label_that_ties_keeps_the_confidence_of_what_was_said(self) -> None:
        prediction = Prediction(np.asarray([1]), np.asarray([[0.5, 0.5, 0.0]], dtype=np.float32))
        answer = encode(self.THREE, prediction, ONE)
        assert (answer["prediction"], answer["confidence"]) == ("versicolor", 0.5)

    def test_probabilities_are_left_out_if_not_wanted(self) -> None:
        prediction = Prediction(np.asarray([0]), np.asarray([[1.0, 0.0, 0.0]], dtype=np.float32))
        for form in (ONE_BARE, MANY):
            assert "probabilities" not in encode(self.THREE, prediction, form)
        for form in (ONE, MANY_FULL):
            assert "probabilities" in encode(self.THREE, prediction, form)

    def test_a_request_gets_the_rows_of_its_own_from_a_run_it_shared(self) -> None:
        shares = np.asarray([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.25, 0.5, 0.25]], dtype=np.float32)
        prediction = Prediction(np.asarray([0, 1, 2, 1]), shares)
        plain = Plain(self.THREE, LIMITS)
        one = json.loads(plain.encode(Question({}, 1, ONE), prediction, 3).body)
        assert one["probabilities"] == {"setosa": 0.25, "versicolor": 0.5, "virginica": 0.25}
        two = json.loads(plain.encode(Question({}, 2, MANY), prediction, 1).body)
        assert two["predictions"] == ["versicolor", "virginica"]

    @pytest.mark.parametrize(("labels", "texts"), [((True, False), ["true", "false"]), ((0, 1), ["0", "1"])])
    def test_labels_keep_their_type_and_are_text_only_as_keys(
        self, labels: tuple[bool | int, ...], texts: list[str]
    ) -> None:
        prediction = Prediction(np.asarray([1]), np.asarray([[0.25, 0.75]], dtype=np.float32))
        answer = encode(manifest_of(FLOWER, classes=labels), prediction, ONE)
        assert answer["prediction"] is labels[1] or answer["prediction"] == labels[1]
        assert list(answer["probabilities"]) == texts == [label_text(label) for label in labels]

    @given(st.lists(st.text(min_size=1), min_size=2, max_size=5, unique=True))
    def test_any_label_reads_back_as_it_was(self, labels: list[str]) -> None:
        prediction = Prediction(np.asarray([1]), np.full((1, len(labels)), 0.5, dtype=np.float32))
        for form in (ONE, MANY_FULL):
            answer = encode(manifest_of(FLOWER, classes=tuple(labels)), prediction, form)
            given = answer["probabilities"] if form == ONE else answer["probabilities"][0]
            assert list(given) == labels
            assert labels[1] == (answer["prediction"] if form == ONE else answer["predictions"][0])

    def test_regression_values_are_numbers(self) -> None:
        series = manifest_of(SERIES, "forecast")
        two = Prediction(np.asarray([1.5, 2.5], dtype=np.float32))
        assert encode(series, two, MANY)["predictions"] == [1.5, 2.5]
        assert encode(series, two.rows(0, 1), ONE)["prediction"] == 1.5
        answer = encode(series, two, ONE, horizon=2)
        assert (answer["prediction"], answer["predictions"]) == (1.5, [1.5, 2.5])

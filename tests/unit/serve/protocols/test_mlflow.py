"""MLflow's `/invocations`: what is taken, that everything else is refused by name, and answers as bytes."""

import contextlib
import gc
import io
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.bundle.features import (
    TENSOR,
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    Features,
    NumericColumn,
    as_inputs,
)
from mlplat.bundle.manifest import Task
from mlplat.bundle.prediction import Prediction
from mlplat.errors import OverloadedError, RequestError
from mlplat.serve.protocols import Limits, Message, MLflow, Question
from mlplat.serve.protocols.mlflow import _as_json

from .manifests import FLOWER, SERIES, manifest_of

ONE = Features(columns=(NumericColumn(name="x", fill=7),))
MIXED = Features(
    columns=(
        NumericColumn(name="age", fill=40.0),
        BooleanColumn(name="member"),
        DateColumn(name="since", fill=0.5),
        CategoryColumn(name="plan", categories=("basic", "pro"), missing=True),
    )
)
LIMITS = Limits(max_rows=5, max_horizon=10)

ROWS = [[1, 2, 3], [4, 5, 6]]
NAMED = [{"stem": 3, "sepal": 1, "petal": 2}, {"sepal": 4, "petal": 5, "stem": 6}]
NAMES = list(FLOWER.names)
FRAME = pd.DataFrame(
    {
        "age": [25.0, None],
        "member": [True, False],
        "since": pd.Series(["1970-01-02T12:00", None], dtype="datetime64[ns]"),
        "plan": ["pro", None],
        "more": ["x", "y"],
    }
)
ENCODED = [[25, 1, 1.5, 1], [40, 0, 0.5, 2]]


def decode(
    body: bytes,
    features: Features = FLOWER,
    task: Task = "classification",
    *,
    media_type: bytes = b"application/json",
    content_type: bytes = b"",
) -> Question:
    headers = {b"content-type": content_type or media_type}
    return MLflow(manifest_of(features, task), LIMITS).decode(Message(body, media_type, headers))


def ask(body: Any, features: Features = FLOWER, task: Task = "classification") -> Question:
    return decode(json.dumps(body).encode(), features, task)


def refusal(body: Any, features: Features = FLOWER, task: Task = "classification") -> RequestError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RequestError) as caught:
        decode(raw, features, task)
    assert MLflow.statuses.get(caught.value.status, caught.value.status) == 400
    return caught.value


def read(text: str | bytes, features: Features = FLOWER, content_type: bytes = b"text/csv") -> Question:
    body = text if isinstance(text, bytes) else text.encode()
    return decode(body, features, media_type=b"text/csv", content_type=content_type)


def csv_refusal(text: str | bytes, features: Features = FLOWER) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read(text, features)
    assert MLflow.statuses.get(caught.value.status, caught.value.status) == 400
    return caught.value


def tensor(question: Question) -> list[list[float]]:
    rows: list[list[float]] = as_inputs(question.inputs)[TENSOR].tolist()
    assert len(rows) == question.rows
    return rows


class TestFrames:
    @pytest.mark.parametrize("index", [None, [0, 1], ["a", [{}]]])
    def test_split(self, index: Any) -> None:
        split = {"columns": NAMES, "data": ROWS} | ({} if index is None else {"index": index})
        assert tensor(ask({"dataframe_split": split})) == ROWS

    def test_split_in_another_order_with_more_columns(self) -> None:
        split = {"columns": ["more", *reversed(NAMES)], "data": [["x", 3, 2, 1], [None, 6, 5, 4]]}
        assert tensor(ask({"dataframe_split": split})) == ROWS

    @pytest.mark.parametrize("names", [{}, {"columns": None}, {"columns": [0, 1, 2]}])
    def test_split_without_names_is_by_position(self, names: dict[str, Any]) -> None:
        assert tensor(ask({"dataframe_split": names | {"data": ROWS}})) == ROWS

    def test_records_in_any_order_with_more_columns(self) -> None:
        assert tensor(ask({"dataframe_records": [NAMED[0] | {"more": "x"}, NAMED[1]]})) == ROWS

    def test_of_pandas_with_missing_values(self) -> None:
        text = json.dumps({"dataframe_split": FRAME.to_dict(orient="split")}, default=lambda date: date.isoformat())
        assert "NaN" in text
        assert '"NaT"' in text
        assert tensor(decode(text.encode(), MIXED)) == ENCODED
        text = json.dumps({"dataframe_records": FRAME.to_dict(orient="records")}, default=lambda date: date.isoformat())
        assert tensor(decode(text.encode(), MIXED)) == ENCODED

    @pytest.mark.parametrize(
        ("split", "words"),
        [
            (5, "'dataframe_split': found 5, expected an object of 'columns' and 'data'"),
            ([[1, 2, 3]], "expected an object of 'columns' and 'data'"),
            ({"columns": NAMES}, "'dataframe_split': found 'columns', expected an object of 'columns' and 'data'"),
            ({"columns": NAMES, "data": ROWS, "dtype": 1}, "'dtype'"),
            ({"columns": NAMES[:2], "data": [[1, 2]]}, "'dataframe_split': missing columns 'stem'; expected 'sepal'"),
            ({"columns": [*NAMES, "stem"], "data": [[1, 2, 3, 4]]}, "'columns': found 'stem' more than once"),
            ({"columns": "abc", "data": ROWS}, "'columns': found \"abc\", expected a list of names"),
            ({"columns": [1, 2, 3], "data": ROWS}, "expected a list of names"),
            ({"columns": [["sepal"], {}, None], "data": ROWS}, "expected a list of names"),
            ({"columns": NAMES, "data": []}, "'data': found [], expected a list of rows"),
            ({"columns": NAMES, "data": {}}, "'data': found {}, expected a list of rows"),
            ({"data": {}}, "'data': found {}, expected a list of rows"),
            (
                {"columns": NAMES, "data": [[1, 2, 3], [1, 2]]},
                "row 1: found 2 values, expected a list of 3 as 'columns'",
            ),
            ({"columns": NAMES, "data": [[1, 2, 3], 4]}, "row 1: found 4, expected a list of 3"),
            ({"columns": NAMES, "data": [[1, 2, 3], [1, None, 3]]}, "row 1, column 'petal': found a missing value"),
            ({"columns": NAMES, "data": [[1, 2, 3]] * 6}, "Found 6 rows, expected at most 5"),
        ],
    )
    def test_what_is_wrong_with_a_split_one_is_named(self, split: Any, words: str) -> None:
        assert words in refusal({"dataframe_split": split}).message

    def test_a_record_without_a_column_is_named(self) -> None:
        error = refusal({"dataframe_records": [NAMED[0], {"sepal": 1, "stem": 2, "more": 3}]})
        assert error.message.startswith("row 1: missing columns 'petal'; expected 'sepal', 'petal', 'stem'")


class TestTensors:
    @pytest.mark.parametrize("key", ["instances", "inputs"])
    @pytest.mark.parametrize(
        "value",
        [ROWS, NAMED, {"stem": [3, 6], "sepal": [1, 4], "petal": [2, 5], "more": [0, 0]}],
        ids=["position", "name", "columns"],
    )
    def test_rows_or_columns_under_either_key(self, key: str, value: Any) -> None:
        assert tensor(ask({key: value})) == ROWS

    def test_single_values_by_name_are_one_row(self) -> None:
        assert tensor(ask({"inputs": NAMED[0]})) == ROWS[:1]

    def test_bare_values_are_rows_of_a_model_of_one_column(self) -> None:
        assert tensor(ask({"inputs": [1, None, 3]}, ONE)) == [[1], [7], [3]]
        assert "expected a list of rows of 3 values" in refusal({"inputs": [1, 2, 3]}).message

    def test_columns_with_missing_values(self) -> None:
        columns = {"age": [25, None], "member": [True, False], "since": ["1970-01-02T12:00", "NaT"]}
        assert tensor(ask({"inputs": columns | {"plan": ["pro", None]}}, MIXED)) == ENCODED

    def test_a_category_may_be_called_nat(self) -> None:
        assert tensor(ask({"inputs": [[1, True, "NaT", "NaT"]]}, MIXED)) == [[1, 1, 0.5, -1]]


class TestNaN:
    def test_it_is_a_missing_value(self) -> None:
        assert tensor(decode(b'{"inputs": [[NaN, true, "NaT", "pro"]]}', MIXED)) == [[40, 1, 0.5, 1]]
        assert "found a missing value" in refusal(b'{"inputs": [[1, 2, NaN]]}').message

    def test_within_a_string_it_is_text(self) -> None:
        features = Features(
            columns=(CategoryColumn(name="NaN", categories=('"NaN', "\\")), NumericColumn(name="x", fill=7))
        )
        assert tensor(decode(rb'{"inputs": {"NaN": ["\"NaN", "\\"], "x": [NaN, 1]}}', features)) == [[0, 7], [1, 1]]

    @pytest.mark.parametrize("text", ["+Infinity", "-NaN", "NaNa", "nan", "inf"])
    def test_nothing_else_beyond_json_is_taken(self, text: str) -> None:
        assert refusal(f'{{"inputs": [[1, 2, {text}]]}}'.encode()).code == "not_json"

    @pytest.mark.parametrize("text", ["Infinity", "-Infinity", "1e999", "1e39"])
    def test_a_number_that_is_too_large_is_named_with_its_place(self, text: str) -> None:
        bodies = [
            f'{{"inputs": [[1, 2, 3], [1, {text}, 3]]}}',
            f'{{"inputs": {{"sepal": [1, 1], "petal": [2, {text}], "stem": [3, 3]}}}}',
            f'{{"dataframe_split": {{"columns": ["sepal", "petal", "stem"], "data": [[1, 2, 3], [1, {text}, 3]]}}}}',
        ]
        for body in bodies:
            error = refusal(body.encode())
            assert error.message.startswith("row 1, column 'petal': found ")
            assert error.message.endswith(", expected a finite number of at most 3.403e+38.")

    def test_an_endless_string_of_quotes_takes_no_longer_than_another(self) -> None:
        assert refusal(b'{"inputs": [NaN, "' + rb"\"" * 1_000_000).code == "not_json"


WORDS = ["NaN", "Infinity", "-", "N", "I", '"', "\\", " ", ",", "[", "é"]
cells = (
    st.none()
    | st.sampled_from([math.nan, math.inf, -math.inf])
    | st.lists(st.sampled_from(WORDS), max_size=8).map("".join)
)


@given(row=st.lists(cells, max_size=8), escaped=st.booleans())
def test_nan_is_null_and_infinity_a_large_number_wherever_they_stand_and_text_stays(
    row: list[Any], escaped: bool
) -> None:
    body = json.dumps(row, ensure_ascii=escaped).encode()
    assert json.loads(_as_json(body)) == [None if value != value else value for value in row]  # noqa: PLR0124


class TestParams:
    def test_probabilities(self) -> None:
        assert ask({"inputs": ROWS, "params": {"return_probabilities": True}}).form is True
        assert ask({"inputs": ROWS, "params": None}).form is False
        assert (
            "is no classification"
            in refusal({"inputs": ROWS, "params": {"return_probabilities": True}}, task="regression").message
        )

    def test_a_horizon(self) -> None:
        question = ask({"inputs": [[1, 2, 3]], "params": {"horizon": 4}}, SERIES, "forecast")
        assert (question.horizon, tensor(question)) == (4, [[1, 2, 3]])
        assert "expected 1 with" in refusal({"inputs": ROWS, "params": {"horizon": 4}}, SERIES, "forecast").message

    def test_unknown_ones_are_passed_over_as_mlflow_does(self) -> None:
        assert ask({"inputs": ROWS, "params": {"temperature": 1}}).form is False

    @pytest.mark.parametrize("params", [5, [], "a", True])
    def test_they_are_an_object(self, params: Any) -> None:
        assert "'params': found" in refusal({"inputs": ROWS, "params": params}).message


class TestCsv:
    def test_a_header_and_rows(self) -> None:
        assert tensor(read("sepal,petal,stem\n1,2,3\n4,5,6\n")) == ROWS

    def test_in_another_order_with_more_columns(self) -> None:
        assert tensor(read("more,stem,petal,sepal\nx,3,2,1\n,6,5,4")) == ROWS

    @pytest.mark.parametrize("index", [True, False])
    def test_of_pandas_with_missing_values(self, index: bool) -> None:
        text = io.StringIO()
        FRAME.to_csv(text, index=index)
        assert tensor(read(text.getvalue(), MIXED)) == ENCODED

    def test_with_a_byte_order_mark_and_windows_line_ends_and_blank_lines(self) -> None:
        assert tensor(read(b"\xef\xbb\xbf\r\n\r\nsepal,petal,stem\r\n1,2,3\r\n\r\n4,5,6\r\n\r\n")) == ROWS

    def test_quoted_cells(self) -> None:
        features = Features(columns=(CategoryColumn(name="a,b", categories=('x\n"y"',)), NumericColumn(name="n")))
        assert tensor(read('"a,b",n\n"x\n""y""",1\n', features)) == [[0, 1]]

    @pytest.mark.parametrize("blank", ['""', "nan"])
    def test_one_column_with_a_missing_value(self, blank: str) -> None:
        assert tensor(read(f"x\n1\n{blank}\n", ONE)) == [[1], [7]]

    def test_cells_are_as_batch_scoring_takes_them(self) -> None:
        text = "age,member,since,plan\n 1e1 , TRUE ,1970-01-01,basic\n+.5,0,1970-01-02,gold\n,1,,\n"
        assert tensor(read(text, MIXED)) == [[10, 1, 0, 0], [0.5, 0, 1, -1], [40, 1, 0.5, 2]]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "The body is empty, expected a header and rows."),
            ("\n\n", "The body is empty, expected a header and rows."),
            ("sepal,petal,stem\n", "Found a header and no rows, expected at least one row."),
            (
                "1,2,3\n4,5,6\n",
                "header: missing columns 'sepal', 'petal', 'stem'; found '1', '2', '3', expected 'sepal'",
            ),
            ("sepal,petal,stem,petal\n1,2,3,4\n", "header: found the columns 'petal' more than once, expected once."),
            ("sepal,petal,stem\n1,2,3\n\n1,2\n", "row 1: found 2 cells, expected 3 as the header has."),
            ("sepal,petal,stem\n1,2,3\n1,2,wide\n", "row 1, column 'stem': found \"wide\", expected a number."),
            ("sepal,petal,stem\n1,,3\n", "row 0, column 'petal': found a missing value, expected a number"),
            ("sepal,petal,stem\n1,2,inf\n", "row 0, column 'stem': found inf, expected a finite number"),
            ("sepal,petal,stem\n" + "1,2,3\n" * 6, "Found more than 5 rows, expected at most so many a request."),
            ('sepal,petal,stem\n1,2,"3', "The body is not CSV: unexpected end of data, at line 2."),
            ('sepal,petal,stem\n1,2,"3"x\n', "The body is not CSV: ',' expected after '\"', at line 2."),
            (b"\xff\xfes\x00", "The body is not UTF-8: invalid start byte, after line 0."),
            ("," * 100_000 + "\n", "line 1: found more than 100000 cells, expected at most so many in a row."),
            ("sepal,petal,stem\n" + "12," * 100_000, "line 2: found more than 100000 cells, expected at most so many"),
            ('sepal,petal,stem\n"' + "," * 100_000 + '"', "line 2: found more than 100000 cells"),
            ("sepal,petal,stem\n" + ("1," * 60_000 + '"\n",') * 2, "line 3: found more than 100000 cells"),
            ("\n" * 100_001, "Found more than 100000 blank lines, expected at most so many a request."),
            ("sepal,petal,stem\n1,2,3\n" + "\r\n" * 100_001, "Found more than 100000 blank lines"),
        ],
    )
    def test_what_is_wrong_is_named(self, text: str | bytes, words: str) -> None:
        assert words in csv_refusal(text).message

    def test_cells_that_the_model_does_not_have_may_be_many_in_each_row(self) -> None:
        more = ",x" * 60_000
        assert tensor(read(f"sepal,petal,stem{more}\n1,2,3{more}\n4,5,6{more}\n")) == ROWS

    def test_lines_may_end_as_on_any_system(self) -> None:
        for end in ("\n", "\r", "\r\n"):
            text = end.join(["sepal,petal,stem,note", *[f'1,2,3,"{"é" * 5000}{end}"'] * 5])
            assert read(text).rows == 5

    def test_what_a_refused_body_took_is_free_at_once(self) -> None:
        body = b"sepal,petal,stem\n1,2\n3,4"
        gc.disable()
        try:
            with contextlib.suppress(RequestError):
                decode(body, media_type=b"text/csv")
            held = [item for item in gc.get_objects() if isinstance(item, io.BytesIO)]
            assert not [item for item in held if not item.closed and item.getvalue() == body]
        finally:
            gc.enable()

    def test_five_rows_are_not_too_many(self) -> None:
        assert read("sepal,petal,stem\n" + "1,2,3\n" * 5).rows == 5

    @pytest.mark.parametrize("charset", [b"utf-8", b'"UTF-8"', b"us-ascii"])
    def test_utf_8_by_name(self, charset: bytes) -> None:
        assert read("x\n1\n", ONE, b"text/csv; header=present; charset=" + charset).rows == 1

    def test_another_charset_is_a_415(self) -> None:
        with pytest.raises(RequestError, match='Found the charset "latin-1", expected UTF-8') as caught:
            read("x\n1\n", ONE, b"text/csv;charset=latin-1")
        assert caught.value.status == 415


class TestRefusals:
    @pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"\xff": 1}', b'{"inputs": [["\xff"]]}', b"[" * 100_000])
    def test_what_is_not_json(self, body: bytes) -> None:
        assert refusal(body).code == "not_json"

    @pytest.mark.parametrize("body", [[], ROWS, 1, "a", None, True])
    def test_what_is_not_an_object(self, body: Any) -> None:
        assert 'expected an object such as {"inputs": [[...3 values...]]}' in refusal(body).message

    @pytest.mark.parametrize(
        ("body", "found"),
        [
            ({}, "Found no keys"),
            ({"data": ROWS, "columns": NAMES}, "Found 'data', 'columns'"),
            ({"inputs": ROWS, "dataframe_records": NAMED}, "Found 'dataframe_records', 'inputs'"),
            ({"inputs": ROWS, "instances": ROWS}, "Found 'instances', 'inputs'"),
            ({"inputs": ROWS, "instances": None}, "Found 'instances', 'inputs'"),
        ],
    )
    def test_exactly_one_key_has_the_data(self, body: Any, found: str) -> None:
        message = refusal(body).message
        assert message.startswith(found)
        assert "expected exactly one of dataframe_split, dataframe_records, instances, inputs" in message

    def test_long_names_and_values_do_not_flood_the_message(self) -> None:
        long = "k" * 1_000_000
        for body in (
            {long: 1},
            {"dataframe_split": {long: 1}},
            {"dataframe_split": {"columns": [long], "data": [[1]]}},
            {"dataframe_records": [{long: 1}]},
            {"inputs": [[long, 2, 3]]},
            {"inputs": ROWS, "params": {"return_probabilities": long}},
        ):
            assert len(refusal(body).message) < 400
        assert len(csv_refusal(",".join(["k" * 100_000] * 100)).message) < 2000

    @pytest.mark.parametrize("depth", range(1, 1200, 97))
    def test_a_nested_value_of_any_depth(self, depth: int) -> None:
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            nested = f"{opening * depth}1{closing * depth}"
            for form in ('{"inputs": %s}', '{"dataframe_records": [%s]}', '{"dataframe_split": {"data": %s}}'):
                refusal((form % nested).encode())


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("NaT"))
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner))
rows = st.lists(scalars, min_size=4, max_size=4)
tables = st.lists(rows, max_size=6)
named = st.fixed_dictionaries(dict.fromkeys(MIXED.names, values))
splits = st.fixed_dictionaries(
    {"data": values | tables}, optional={"columns": values | st.permutations(MIXED.names), "index": values}
)
messages = st.one_of(
    st.fixed_dictionaries({"dataframe_split": values | splits}, optional={"params": values}),
    st.fixed_dictionaries({"dataframe_records": values | st.lists(named)}, optional={"params": values}),
    st.fixed_dictionaries({"inputs": values | tables | named | st.lists(named)}, optional={"instances": values}),
    st.fixed_dictionaries({"instances": values | tables}),
)


def check_any(body: bytes, media_type: bytes) -> None:
    for features, task in ((MIXED, "classification"), (SERIES, "forecast"), (ONE, "regression")):
        try:
            question = decode(body, features, task, media_type=media_type)  # type: ignore[arg-type]
        except RequestError as error:
            assert error.status in {400, 422}
            assert json.loads(MLflow.error(error).body) == {"error_code": "BAD_REQUEST", "message": str(error)}
        else:
            inputs = as_inputs(question.inputs)
            assert inputs[TENSOR].dtype == np.float32
            assert inputs[TENSOR].shape == (question.rows, len(features.columns))
            assert np.isfinite(inputs[TENSOR]).all()


@given(body=st.one_of(st.binary(max_size=60), messages.map(lambda value: json.dumps(value).encode())))
def test_any_body_is_encoded_to_finite_numbers_or_refused_with_a_sentence(body: bytes) -> None:
    check_any(body, b"application/json")


lines = st.lists(st.text('ab",\n\r\0 19.eé-', max_size=12), max_size=6)


@given(header=st.sampled_from([*FLOWER.names, "x", "lag_3,lag_2,lag_1", "age,member,since,plan", '"']), rest=lines)
def test_any_csv_is_encoded_to_finite_numbers_or_refused_with_a_sentence(header: str, rest: list[str]) -> None:
    check_any("\n".join([header, *rest]).encode(), b"text/csv")


@given(
    table=st.lists(
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
        min_size=1,
        max_size=5,
    )
)
def test_every_form_gives_the_same_numbers(table: list[list[float]]) -> None:
    expected = np.array(table, np.float32).tolist()
    frame = pd.DataFrame(table, columns=NAMES)
    assert tensor(ask({"dataframe_split": frame.to_dict(orient="split")})) == expected
    assert tensor(ask({"dataframe_records": frame.to_dict(orient="records")})) == expected
    assert tensor(ask({"inputs": frame.to_dict(orient="list")})) == expected
    assert tensor(ask({"instances": table})) == expected
    assert tensor(read(frame.to_csv(index=False))) == expected


class TestAnswers:
    def test_labels_and_probabilities(self) -> None:
        protocol = MLflow(manifest_of(FLOWER), LIMITS)
        prediction = Prediction(np.array([1, 0]), np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))
        assert json.loads(protocol.encode(Question({}, 2, form=False), prediction, 0).body) == {
            "predictions": ["b", "a"]
        }
        assert json.loads(protocol.encode(Question({}, 1, form=True), prediction, 1).body) == {
            "predictions": [[0.5, 0.5]]
        }

    @pytest.mark.parametrize(
        ("status", "code"),
        [(400, "BAD_REQUEST"), (413, "BAD_REQUEST"), (415, "BAD_REQUEST"), (401, "UNAUTHENTICATED")],
    )
    def test_errors_have_mlflows_words(self, status: int, code: str) -> None:
        answer = MLflow.error(RequestError("No.", status=status, hint="Try."))
        assert json.loads(answer.body) == {"error_code": code, "message": "No. Try."}

    def test_a_server_that_is_busy_is_unavailable_for_now(self) -> None:
        assert json.loads(MLflow.error(OverloadedError("Busy.")).body)["error_code"] == "TEMPORARILY_UNAVAILABLE"

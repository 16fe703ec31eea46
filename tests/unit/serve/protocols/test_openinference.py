"""`/v2`: what is taken as JSON and as bytes, that everything else is refused by name, and answers in both."""

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.bundle.features import (
    TENSOR,
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    Features,
    Inputs,
    NumericColumn,
    StringColumn,
    as_inputs,
)
from mlplat.bundle.manifest import Manifest, Task
from mlplat.bundle.prediction import Prediction
from mlplat.errors import MlplatError, RequestError
from mlplat.serve.protocols import Limits, Message, OpenInference, Plain, Question, shape_of
from mlplat.serve.protocols.framing import HEADER_LENGTH
from mlplat.serve.protocols.outputs import label_datatype
from mlplat.serve.protocols.tensors import DATATYPES, DTYPES, packed

from .manifests import FLOWER, MIXED, SERIES, manifest_of

NOTES = Features(columns=(NumericColumn(name="age"), StringColumn(name="note", missing=True)), layout="columns")
LIMITS = Limits(max_rows=50, max_horizon=10)


def protocol(features: Features = FLOWER, task: Task = "classification") -> OpenInference:
    return OpenInference(manifest_of(features, task), LIMITS)


def tensor(*rows: list[Any], name: str = TENSOR, datatype: str = "FP32") -> dict[str, Any]:
    return {"name": name, "shape": [len(rows), len(rows[0])], "datatype": datatype, "data": list(rows)}


def column(name: str, datatype: str, *values: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(values)], "datatype": datatype, "data": list(values)}


def binary(name: str, datatype: str, shape: list[int], data: bytes) -> tuple[dict[str, Any], bytes]:
    return {"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": len(data)}}, data


def request(inputs: list[Any], rest: bytes = b"", **more: Any) -> Message:
    """A request in JSON, or with what follows the JSON if there is something."""
    head = json.dumps({"inputs": inputs} | more).encode()
    headers = {HEADER_LENGTH: str(len(head)).encode()} if rest else {}
    return Message(head + rest, headers=headers)


def ask(
    *inputs: Any, features: Features = FLOWER, task: Task = "classification", rest: bytes = b"", **more: Any
) -> Question:
    return protocol(features, task).decode(request(list(inputs), rest, **more))


def refusal(*inputs: Any, **more: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        ask(*inputs, **more)
    return caught.value


def inputs_of(question: Question) -> Inputs:
    inputs = as_inputs(question.inputs)
    assert all(len(values) == question.rows for values in inputs.values())
    return inputs


def matrix(question: Question) -> list[list[float]]:
    values = inputs_of(question)[TENSOR]
    assert values.dtype == np.float32
    rows: list[list[float]] = values.tolist()
    return rows


class TestForms:
    def test_one_tensor_of_rows(self) -> None:
        assert matrix(ask(tensor([1, 2.5, 3], [4, 5, 6]))) == [[1, 2.5, 3], [4, 5, 6]]

    def test_its_data_may_be_flat(self) -> None:
        assert matrix(ask(tensor([1, 2, 3], [4, 5, 6]) | {"data": [1, 2, 3, 4, 5, 6]})) == [[1, 2, 3], [4, 5, 6]]

    @pytest.mark.parametrize("shape", [[6, 3], [1, 6], [3, 2], [2, 4], [6, 1], [-2, -3], [-6, 3]])
    def test_data_of_another_shape_is_refused(self, shape: list[int]) -> None:
        assert refusal(tensor([1, 2, 3]) | {"shape": shape, "data": [1, 2, 3, 4, 5, 6]}).status == 422

    def test_one_input_per_column_in_any_order(self) -> None:
        stem, petal = column("stem", "FP64", 3, 6), column("petal", "INT8", 2, 5)
        sepal = {"name": "sepal", "shape": [2, 1], "datatype": "UINT16", "data": [[1], [4]]}
        assert matrix(ask(stem, sepal, petal)) == [[1, 2, 3], [4, 5, 6]]

    def test_many_rows_are_read_as_few_are(self) -> None:
        rows = [[float(i), i + 0.5, -i] for i in range(LIMITS.max_rows)]
        assert matrix(ask(tensor(*rows))) == rows
        columns = [
            column(name, "FP64", *values) for name, values in zip(FLOWER.names, zip(*rows, strict=True), strict=True)
        ]
        assert matrix(ask(*columns)) == rows

    def test_the_only_column_may_be_named_as_the_tensor(self) -> None:
        features = Features(columns=(NumericColumn(name="input"),))
        assert matrix(ask(column("input", "FP32", 1, 2), features=features)) == [[1], [2]]
        assert matrix(ask(tensor([1], [2]), features=features)) == [[1], [2]]

    def test_strings_of_the_estimators_own(self) -> None:
        question = ask(column("age", "INT32", 5), column("note", "BYTES", None), features=NOTES)
        assert {name: values.tolist() for name, values in inputs_of(question).items()} == {
            "age": [[5.0]],
            "note": [[""]],
        }

    def test_strings_in_one_tensor(self) -> None:
        features = Features(columns=(CategoryColumn(name="a", categories=("x",)), DateColumn(name="b")))
        question = ask(tensor(["x", "1970-01-03"], datatype="BYTES"), features=features)
        assert matrix(question) == [[0, 2]]

    @pytest.mark.parametrize("rows", [1, 40])
    def test_columns_of_all_kinds_with_missing_values(self, rows: int) -> None:
        question = ask(
            column("age", "FP32", *[None] * rows),
            column("member", "BOOL", *[True] * rows),
            column("since", "BYTES", *["1970-01-02"] * rows),
            column("plan", "BYTES", *[None, *["gold"] * (rows - 1)]),
            features=MIXED,
        )
        assert matrix(question) == [[40, 1, 1, 2], *[[40, 1, 1, -1]] * (rows - 1)]

    def test_booleans_may_be_0_and_1(self) -> None:
        features = Features(columns=(BooleanColumn(name="a"), BooleanColumn(name="b")))
        assert matrix(ask(tensor([0, 1], datatype="UINT8"), features=features)) == [[0, 1]]
        assert matrix(ask(tensor([False, True], datatype="BOOL"), features=features)) == [[0, 1]]

    @pytest.mark.parametrize(
        ("inputs", "text"),
        [
            ([], "Missing inputs 'sepal', 'petal', 'stem'"),
            ([column("sepal", "FP32", 1)], "Missing inputs 'petal', 'stem'"),
            ([tensor([1, 2, 3], name="x")], "Unknown inputs 'x'. Expected 'inputs' to be one tensor 'input' of the shape"),
            ([column(name, "FP32", 1) for name in ("sepal", "petal", "stem", "age")], "Unknown inputs 'age'"),
            ([tensor([1, 2, 3]), tensor([1, 2, 3])], "The input 'input' is given twice."),
            ([column("sepal", "FP32", 1)] * 2, "The input 'sepal' is given twice."),
            ([column("sepal", "FP32", 1), column("petal", "FP32", 1, 2), column("stem", "FP32", 1)],
             "input 'petal': found 2 rows, expected 1 as in 'sepal'."),
        ],
    )  # fmt: skip
    def test_other_inputs_are_refused_by_name(self, inputs: list[Any], text: str) -> None:
        error = refusal(*inputs)
        assert error.status == 422
        assert text in str(error)

    @pytest.mark.parametrize(
        "shape",
        [[], [3], [1, 2], [1, 4], [3, 1], [1, 3, 1], [0, 3], [-1, 3], [-1, -3], [2**70, 3], [1, 2**70], [1] * 10_000],
    )
    def test_other_shapes_are_refused(self, shape: list[int]) -> None:
        error = refusal(tensor([1, 2, 3]) | {"shape": shape})
        assert error.status == 422
        assert len(str(error)) < 300

    @pytest.mark.parametrize("shape", [["1", 3], [1.0, 3], [True, 3], None, "[1,3]", {"0": 1}, [None, 3]])
    def test_a_shape_is_integers(self, shape: Any) -> None:
        assert "$.inputs[0].shape" in str(refusal(tensor([1, 2, 3]) | {"shape": shape}))

    def test_too_many_rows_are_refused_before_their_values_are_looked_at(self) -> None:
        error = refusal(tensor([1, 2, 3]) | {"shape": [2**62, 3]})
        assert error.code == "too_many_rows"

    def test_datatypes_of_others_are_refused(self) -> None:
        for datatype in ("BF16", "fp32", "", "X" * 10_000):
            error = refusal(tensor([1, 2, 3], datatype=datatype))
            assert "expected one of BOOL, INT8" in str(error)
            assert len(str(error)) < 300


class TestValues:
    """The same as on /predict."""

    def test_row_column_found_and_expected_are_named(self) -> None:
        assert str(refusal(tensor([1, 2, 3], [4, "x", 6]))) == (
            "row 1, column 'petal': found \"x\", expected a number (FP32)."
        )
        assert str(refusal(tensor([1, 2, 3], [4, 300, 6], datatype="UINT8"))) == (
            "row 1, column 'petal': found 300, expected an integer from 0 to 255 (UINT8)."
        )

    @pytest.mark.parametrize("rows", [1, 40])
    def test_a_missing_value_is_refused_where_training_saw_none(self, rows: int) -> None:
        many = [[1, 2, 3]] * (rows - 1)
        expected = f"row {rows - 1}, column 'petal': found a missing value, expected a number (training saw no missing"
        assert expected in str(refusal(tensor(*many, [1, None, 3])))
        values = np.array([*many, [1, math.nan, 3]], np.float32)
        data, rest = binary(TENSOR, "FP32", [rows, 3], values.tobytes())
        assert expected in str(refusal(data, rest=rest))

    @pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
    def test_nan_is_filled_where_training_saw_missing_values(self, datatype: str) -> None:
        features = Features(columns=(NumericColumn(name="a", fill=7.0), NumericColumn(name="b")))
        data, rest = binary(TENSOR, datatype, [1, 2], np.array([math.nan, 2], DTYPES[datatype]).tobytes())
        assert matrix(ask(data, rest=rest, features=features)) == [[7, 2]]

    @pytest.mark.parametrize("rows", [1, 40])
    @pytest.mark.parametrize(("datatype", "value"), [("FP32", math.inf), ("FP16", -math.inf), ("FP64", 1e39)])
    def test_what_is_no_finite_float32_is_refused(self, datatype: str, value: float, rows: int) -> None:
        values = np.array([*[[1, 2, 3]] * (rows - 1), [1, 2, value]], DTYPES[datatype])
        data, rest = binary(TENSOR, datatype, [rows, 3], values.tobytes())
        text = str(refusal(data, rest=rest))
        assert f"row {rows - 1}, column 'stem': found " in text
        assert "expected a finite number of at most" in text

    @pytest.mark.parametrize("rows", [1, 40])
    def test_integers_that_a_double_does_not_hold_are_refused(self, rows: int) -> None:
        for datatype in ("INT64", "UINT64", "FP64"):
            text = str(refusal(tensor(*[[1, 2, 3]] * (rows - 1), [1, 2**53 + 1, 3], datatype=datatype)))
            assert (
                f"row {rows - 1}, column 'petal': found 9007199254740993, expected an integer of at most 2^53" in text
            )
        values = np.array([*[[1, 2, 3]] * (rows - 1), [1, 2**53 + 1, 3]], "<i8")
        data, rest = binary(TENSOR, "INT64", [rows, 3], values.tobytes())
        assert "expected an integer of at most 2^53" in str(refusal(data, rest=rest))

    @given(
        st.lists(
            st.lists(st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
            min_size=1,
            max_size=40,
        )
    )  # fmt: skip
    def test_numbers_become_the_same_inputs(self, rows: list[list[float]]) -> None:
        plain = Plain(manifest_of(FLOWER), LIMITS)
        try:
            expected = matrix(plain.decode(Message(json.dumps({"features": rows}).encode())))
        except RequestError as error:
            assert str(refusal(tensor(*rows, datatype="FP64"))) == str(error)
        else:
            assert matrix(ask(tensor(*rows, datatype="FP32"))) == expected
            assert matrix(ask(tensor(*rows, datatype="FP64"))) == expected


class TestBinary:
    @pytest.mark.parametrize("datatype", [datatype for datatype in DTYPES if datatype != "BOOL"])
    def test_a_tensor_of_every_datatype(self, datatype: str) -> None:
        values = np.array([[1, 2, 3], [4, 5, 6]], DTYPES[datatype])
        data, rest = binary(TENSOR, datatype, [2, 3], values.tobytes())
        assert matrix(ask(data, rest=rest)) == [[1, 2, 3], [4, 5, 6]]

    @pytest.mark.parametrize("rows", [1, 40])
    def test_an_input_per_column_of_every_kind(self, rows: int) -> None:
        pairs = [
            binary("plan", "BYTES", [rows, 1], packed(b"pro") * rows),
            binary("age", "FP16", [rows], struct.pack("<e", 1.5) * rows),
            binary("since", "BYTES", [rows], packed(b"1970-01-02") * rows),
            binary("member", "BOOL", [rows], b"\1" * rows),
        ]
        inputs, rest = [tensor for tensor, _ in pairs], b"".join(data for _, data in pairs)
        assert matrix(ask(*inputs, rest=rest, features=MIXED)) == [[1.5, 1, 1, 1]] * rows

    def test_some_inputs_may_be_json(self) -> None:
        sepal, first = binary("sepal", "FP32", [1], struct.pack("<f", 1))
        stem, last = binary("stem", "FP64", [1], struct.pack("<d", 3))
        assert matrix(ask(sepal, column("petal", "FP32", 2), stem, rest=first + last)) == [[1, 2, 3]]

    def test_the_empty_string_is_an_unknown_category_not_a_missing_one(self) -> None:
        features = Features(columns=(CategoryColumn(name="plan", categories=("a",), missing=True),))
        data, rest = binary("plan", "BYTES", [1], packed(b""))
        assert matrix(ask(data, rest=rest, features=features)) == [[-1]]

    def test_a_header_without_binary_data_is_the_length_of_the_body(self) -> None:
        plain = request([tensor([1, 2, 3])])
        headers = {HEADER_LENGTH: b"%d" % len(plain.body)}
        assert matrix(protocol().decode(Message(plain.body, headers=headers))) == [[1, 2, 3]]

    @pytest.mark.parametrize(
        "length", [b"-1", b"+1", b"1.5", b"", b" 1", b"0x10", b"1" * 5000, b"10000", "\u0661".encode()]
    )
    def test_another_length_of_the_header_is_refused(self, length: bytes) -> None:
        with pytest.raises(RequestError, match="Inference-Header-Content-Length: found") as caught:
            protocol().decode(Message(request([tensor([1, 2, 3])]).body, headers={HEADER_LENGTH: length}))
        assert caught.value.status == 400
        assert len(str(caught.value)) < 200

    def test_a_header_that_cuts_the_json_is_refused(self) -> None:
        for length in (b"0", b"10"):
            with pytest.raises(RequestError, match="not JSON") as caught:
                protocol().decode(Message(request([tensor([1, 2, 3])]).body, headers={HEADER_LENGTH: length}))
            assert caught.value.status == 400

    @pytest.mark.parametrize("size", [-1, 13, 2**70, True, 12.0, "12", [12], {}])
    def test_another_size_is_refused(self, size: Any) -> None:
        data, rest = binary(TENSOR, "FP32", [1, 3], bytes(12))
        error = refusal(data | {"parameters": {"binary_data_size": size}}, rest=rest)
        assert error.status == 400
        assert "'binary_data_size', expected an integer from 0 to 12" in str(error)

    def test_the_sizes_add_up_to_the_body(self) -> None:
        data, rest = binary(TENSOR, "FP32", [1, 3], bytes(12))
        error = refusal(data, rest=rest + b"x")
        assert (error.status, str(error)) == (
            400,
            "Found 13 bytes after the JSON, expected 12 as the inputs' 'binary_data_size' add up to.",
        )
        assert refusal(data, rest=rest[1:]).status == 400

    def test_the_bytes_are_as_many_as_the_shape_takes(self) -> None:
        data, rest = binary(TENSOR, "FP32", [1, 3], bytes(16))
        assert str(refusal(data, rest=rest)) == "input 'input': found 16 bytes, expected 12 for 3 values of FP32."

    def test_the_header_is_needed(self) -> None:
        error = refusal(binary(TENSOR, "FP32", [1, 3], b"")[0])
        assert error.status == 400
        assert "without the header Inference-Header-Content-Length" in str(error)

    def test_data_comes_once(self) -> None:
        data, rest = binary(TENSOR, "FP32", [1, 3], bytes(12))
        assert "both 'data' and 'binary_data_size'" in str(refusal(data | {"data": [1, 2, 3]}, rest=rest))
        assert "neither 'data' nor" in str(refusal({"name": TENSOR, "shape": [1, 3], "datatype": "FP32"}))

    def test_shared_memory_is_refused(self) -> None:
        error = refusal(tensor([1, 2, 3]) | {"parameters": {"shared_memory_region": "r"}})
        assert "shared memory, which this server does not have" in str(error)


class TestMessages:
    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"{", 400),
            (b"\xff", 400),
            (b'{"inputs": [], "id": "\xff"}', 400),
            (b'{"inputs": [{"name": "x", "shape": [], "datatype": "", "data": ' + b"[" * 100_000, 400),
            (b'{"id": ' + b"[" * 100_000, 422),
            (b"[]", 422),
            (b"{}", 422),
            (b'{"inputs": {}}', 422),
            (b'{"inputs": [1]}', 422),
            (b'{"inputs": [], "id": 1}', 422),
            (b'{"inputs": [], "outputs": ["predict"]}', 422),
            (b'{"inputs": [], "parameters": []}', 422),
            (b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1e999]}]}', 422),
        ],
    )
    def test_what_is_no_request_is_refused(self, body: bytes, status: int) -> None:
        with pytest.raises(RequestError) as caught:
            protocol().decode(Message(body))
        assert caught.value.status == status
        assert len(str(caught.value)) < 600

    @pytest.mark.parametrize(("text", "found"), [("1e999", "inf"), ("-1e400", "-inf"), ("1e39", "1e+39")])
    @pytest.mark.parametrize(
        ("datatype", "expected"),
        [
            ("FP64", "a finite number of at most 3.403e+38"),
            ("FP32", "a finite number of at most 3.403e+38"),
            ("FP16", "a number of at most 65504 (FP16)"),
            ("INT64", "an integer from -9223372036854775808 to 9223372036854775807 (INT64)"),
        ],
    )
    def test_a_number_that_is_too_large_is_named_with_its_place(
        self, text: str, found: str, datatype: str, expected: str
    ) -> None:
        reason = f"found {found}, expected {expected}"
        for data in (f"[[1, 2, 3], [1, {text}, 3]]", f"[1, 2, 3, 1, {text}, 3]"):
            body = f'{{"inputs": [{{"name": "input", "shape": [2, 3], "datatype": "{datatype}", "data": {data}}}]}}'
            with pytest.raises(RequestError) as caught:
                protocol().decode(Message(body.encode()))
            assert caught.value.message == f"row 1, column 'petal': {reason}."

    def test_nan_is_no_json_and_what_is_one_is_said(self) -> None:
        with pytest.raises(RequestError, match="NaN is no JSON: send null for a missing value, or binary data"):
            protocol().decode(request([tensor([1, math.nan, 3])]))

    def test_unknown_parameters_and_keys_are_ignored(self) -> None:
        body = tensor([1, 2, 3]) | {"parameters": {"content_type": "np"}, "more": 1}
        assert ask(body, parameters={"sequence_id": 5, "timeout": None}, model_name="x").rows == 1

    def test_a_million_inputs_are_refused_in_a_short_sentence(self) -> None:
        error = refusal(*[{"name": str(i), "shape": [], "datatype": "", "data": []} for i in range(50_000)])
        assert len(str(error)) < 1000

    def test_a_horizon_is_for_one_row(self) -> None:
        row = tensor([1, 2, 3])
        question = ask(row, features=SERIES, task="forecast", parameters={"horizon": 4})
        assert (question.rows, question.horizon) == (1, 4)
        assert ask(row, features=SERIES, task="forecast").horizon is None
        two = tensor([1, 2, 3], [2, 3, 4])
        assert ask(two, features=SERIES, task="forecast").rows == 2
        error = refusal(two, features=SERIES, task="forecast", parameters={"horizon": 4})
        assert str(error) == "Found 2 rows, expected 1 with a 'horizon'."
        for horizon in (0, 11, 1.5, True, "3"):
            assert "'horizon': found" in str(
                refusal(row, features=SERIES, task="forecast", parameters={"horizon": horizon})
            )


VALUES = Prediction(np.array([7, 1, 0, 1]), np.array([[0, 0], [0.25, 0.75], [0.5, 0.5], [math.nan, 1]], np.float32))
"""Of a run whose first row is another request's."""


def answer(*, manifest: Manifest | None = None, prediction: Prediction = VALUES, **more: Any) -> Any:
    """The JSON of the answer to the three last rows, and what follows it."""
    speaker = OpenInference(manifest or manifest_of(FLOWER, classes=("no", 'ja "1"')), LIMITS)
    question = speaker.decode(request([tensor([1, 2, 3], [1, 2, 3], [1, 2, 3])], **more))
    given = speaker.encode(question, prediction, 1)
    headers = dict(line.split(b": ") for line in given.headers.split(b"\r\n") if line)
    end = int(headers.pop(HEADER_LENGTH, len(given.body)))
    assert not headers
    assert given.media_type == (b"application/json" if end == len(given.body) else b"application/octet-stream")
    return json.loads(given.body[:end]), given.body[end:]


LABELS = {"name": "predict", "datatype": "BYTES", "shape": [3]}
PROBABILITIES = {"name": "predict_proba", "datatype": "FP32", "shape": [3, 2]}


class TestOutputs:
    def test_all_of_them_unless_some_are_asked_for(self) -> None:
        head, rest = answer()
        assert rest == b""
        assert head == {
            "model_name": "made-up",
            "model_version": "v1",
            "outputs": [
                LABELS | {"data": ['ja "1"', "no", 'ja "1"']},
                PROBABILITIES | {"data": [0.25, 0.75, 0.5, 0.5, None, 1]},
            ],
        }
        assert answer(outputs=[])[0] == head

    def test_those_that_are_asked_for_in_that_order(self) -> None:
        head, _ = answer(outputs=[{"name": "predict_proba"}])
        assert [output["name"] for output in head["outputs"]] == ["predict_proba"]
        head, _ = answer(outputs=[{"name": "predict_proba"}, {"name": "predict"}])
        assert [output["name"] for output in head["outputs"]] == ["predict_proba", "predict"]

    def test_bytes_if_that_is_asked_for(self) -> None:
        head, rest = answer(parameters={"binary_data_output": True})
        labels = packed(b'ja "1"') + packed(b"no") + packed(b'ja "1"')
        assert head["outputs"] == [
            LABELS | {"parameters": {"binary_data_size": len(labels)}},
            PROBABILITIES | {"parameters": {"binary_data_size": 24}},
        ]
        assert rest == labels + struct.pack("<6f", 0.25, 0.75, 0.5, 0.5, math.nan, 1)

    def test_bytes_and_json_for_each_output(self) -> None:
        head, rest = answer(
            outputs=[{"name": "predict"}, {"name": "predict_proba", "parameters": {"binary_data": True}}]
        )
        assert "data" in head["outputs"][0]
        assert (len(rest), head["outputs"][1]["parameters"]) == (24, {"binary_data_size": 24})
        again = answer(
            outputs=[{"name": "predict", "parameters": {"binary_data": False}}, {"name": "predict_proba"}],
            parameters={"binary_data_output": True},
        )
        assert again == (head, rest)

    @pytest.mark.parametrize("ident", ["", "42", 'a "quoted" \u2028 one', "\0"])
    def test_the_id_comes_back(self, ident: str) -> None:
        assert answer(id=ident)[0]["id"] == ident
        assert "id" not in answer(id=None)[0]

    @pytest.mark.parametrize(
        ("outputs", "text"),
        [
            ([{"name": "x" * 10_000}], "expected 'predict', 'predict_proba'"),
            ([{"name": "predict"}] * 2, "The output 'predict' is asked for twice."),
            (
                [{"name": "predict", "parameters": {"binary_data": 1}}],
                "'binary_data': found 1, expected true or false.",
            ),
            (
                [{"name": "predict_proba", "parameters": {"classification": 2}}],
                "'classification', which this server does",
            ),
            ([{"name": "predict", "parameters": {"shared_memory_region": "r"}}], "shared memory"),
        ],
    )
    def test_others_are_refused(self, outputs: list[Any], text: str) -> None:
        error = refusal(tensor([1, 2, 3]), outputs=outputs)
        assert error.status == 422
        assert text in str(error)
        assert len(str(error)) < 300

    def test_a_regression_has_no_probabilities(self) -> None:
        manifest = manifest_of(FLOWER, "regression")
        prediction = Prediction(np.array([9, 1.5, 0.1, math.nan], np.float32))
        head, _ = answer(manifest=manifest, prediction=prediction)
        assert head["outputs"] == [{"name": "predict", "datatype": "FP32", "shape": [3], "data": [1.5, 0.1, None]}]
        head, rest = answer(manifest=manifest, prediction=prediction, parameters={"binary_data_output": True})
        assert rest == struct.pack("<3f", 1.5, 0.1, math.nan)
        assert "Unknown output 'predict_proba'" in str(
            refusal(tensor([1, 2, 3]), task="regression", outputs=[{"name": "predict_proba"}])
        )

    def test_a_horizon_is_answered_by_as_many_values(self) -> None:
        speaker = protocol(SERIES, "forecast")
        question = speaker.decode(request([tensor([1, 2, 3])], parameters={"horizon": 2}))
        given = json.loads(speaker.encode(question, Prediction(np.array([1.5, 2.5], np.float32)), 0).body)
        assert given["outputs"] == [{"name": "predict", "datatype": "FP32", "shape": [2], "data": [1.5, 2.5]}]

    @pytest.mark.parametrize(
        ("classes", "datatype", "labels", "data"),
        [
            ((False, True), "BOOL", [True, False, True], b"\1\0\1"),
            ((3, -1), "INT64", [-1, 3, -1], struct.pack("<3q", -1, 3, -1)),
            ((0.5, 2.0), "FP64", [2.0, 0.5, 2.0], struct.pack("<3d", 2, 0.5, 2)),
            ((1, 2**70), "BYTES", [str(2**70), "1", str(2**70)], None),
            ((True, 5), "BYTES", ["5", "true", "5"], packed(b"5") + packed(b"true") + packed(b"5")),
            (("", "\0"), "BYTES", ["\0", "", "\0"], packed(b"\0") + packed(b"") + packed(b"\0")),
        ],
    )
    def test_classes_keep_their_type(self, classes: Any, datatype: str, labels: Any, data: bytes | None) -> None:
        assert label_datatype(classes) == datatype
        manifest = manifest_of(FLOWER, classes=classes)
        outputs = [{"name": "predict"}]
        head, _ = answer(manifest=manifest, outputs=outputs)
        assert head["outputs"] == [{"name": "predict", "datatype": datatype, "shape": [3], "data": labels}]
        _, rest = answer(manifest=manifest, outputs=outputs, parameters={"binary_data_output": True})
        assert data is None or rest == data

    def test_errors_have_the_shape_of_the_protocol_below_its_path_only(self) -> None:
        error = MlplatError("No.", hint="Or yes.")
        assert json.loads(OpenInference.error(error).body) == {"error": "No. Or yes."}
        assert shape_of("/v2") is shape_of("/v2/models/x") is OpenInference
        assert shape_of("/v20") is shape_of("/predict") is shape_of("") is Plain


# Requests that are nearly right

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(DATATYPES)
JSONS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8
)  # fmt: skip
NAMES = st.sampled_from(["name", "shape", "datatype", "data", "parameters", "binary_data_size", "outputs", "id"])


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """The value with a few of its parts replaced, left out or doubled."""
    if draw(st.integers(0, 12)) == 0:
        return draw(JSONS)
    if isinstance(value, dict):
        kept = {key: draw(mutated(part)) for key, part in value.items() if draw(st.integers(0, 20))}
        return kept | (draw(st.dictionaries(NAMES, JSONS, max_size=1)) if draw(st.booleans()) else {})
    if isinstance(value, list):
        parts = [draw(mutated(part)) for part in value if draw(st.integers(0, 20))]
        return parts + parts[:1] if draw(st.integers(0, 20)) == 0 else parts
    return value


RIGHT: list[tuple[Features, list[Any], bytes]] = [
    (FLOWER, [tensor([1, 2.5, 3], [4, 5, 6])], b""),
    (FLOWER, [column("sepal", "FP16", 1), column("petal", "INT64", 2), column("stem", "UINT8", 3)], b""),
    (FLOWER, [binary(TENSOR, "FP32", [2, 3], bytes(24))[0]], bytes(24)),
    (MIXED, [
        binary("age", "FP64", [1], bytes(8))[0],
        binary("member", "BOOL", [1, 1], b"\1")[0],
        column("since", "BYTES", "2024-01-05"),
        binary("plan", "BYTES", [1], packed(b"pro"))[0],
    ], bytes(8) + b"\1" + packed(b"pro")),
    (NOTES, [column("age", "INT32", 5), binary("note", "BYTES", [1], packed(b"x"))[0]], packed(b"x")),
]  # fmt: skip


@given(st.data())
def test_any_request_is_answered_or_refused(data: st.DataObject) -> None:
    features, inputs, rest = data.draw(st.sampled_from(RIGHT))
    more = {
        "id": "1",
        "outputs": [{"name": "predict", "parameters": {"binary_data": True}}],
        "parameters": {"horizon": 2},
    }
    message = data.draw(mutated({"inputs": inputs} | more))
    rest = data.draw(st.just(rest) | st.binary(max_size=40) | st.just(rest[:-1]) | st.just(rest + b"\0"))
    head = json.dumps(message).encode()
    length = data.draw(st.just(len(head)) | st.integers(-2, len(head) + 50))
    headers = data.draw(st.just({HEADER_LENGTH: str(length).encode()}) | st.just({}))
    task: Task = data.draw(st.sampled_from(["classification", "forecast"]))
    speaker = protocol(features, task)
    try:
        question = speaker.decode(Message(head + rest, headers=headers))
    except RequestError as error:
        assert error.status in {400, 422}
        assert OpenInference.error(error).body
        return
    rows = question.rows if question.horizon is None else question.horizon
    assert inputs_of(question)
    if task == "forecast":
        prediction = Prediction(np.zeros(rows, np.float32))
    else:
        prediction = Prediction(np.zeros(rows, np.int64), np.zeros((rows, 2), np.float32))
    assert speaker.encode(question, prediction, 0).body

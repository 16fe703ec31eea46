"""Tensors of V2: values as JSON and as bytes, to and from numpy."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mlplat.errors import RequestError
from mlplat.serve.protocols.tensors import DTYPES, flattened, from_bytes, from_json, packed, to_bytes

NUMERIC = [datatype for datatype in DTYPES if datatype != "BOOL"]
INTEGERS = [datatype for datatype in NUMERIC if "INT" in datatype]
FLOATS = ["FP16", "FP32", "FP64"]


def where(index: int) -> str:
    return f"value {index}"


def of_json(datatype: str, *values: Any) -> Any:
    return from_json(datatype, list(values), where)


def of_bytes(datatype: str, data: bytes, count: int) -> Any:
    return from_bytes(datatype, memoryview(data), count, "input 'x'", where)


def refusal(call: Any, *arguments: Any) -> str:
    with pytest.raises(RequestError) as caught:
        call(*arguments)
    assert caught.value.status == 422
    return str(caught.value)


class TestShapes:
    def test_flat_and_nested_data_are_the_same(self) -> None:
        assert flattened([1, 2, 3, 4], [2, 2], "x") == [1, 2, 3, 4]
        assert flattened([[1, 2], [3, 4]], [2, 2], "x") == [1, 2, 3, 4]
        assert flattened([[1], [2]], [2, 1], "x") == [1, 2]
        assert flattened([1, 2], [2], "x") == [1, 2]

    @pytest.mark.parametrize(
        ("data", "shape", "text"),
        [
            ([1, 2, 3], [2, 2], "x: found 3 values, expected 4 as its shape [2, 2] says."),
            ([], [1, 2], "x: found 0 values, expected 2 as its shape [1, 2] says."),
            ([[1, 2]], [2, 2], "x: found 1 rows, expected 2 as its shape [2, 2] says."),
            ([[1, 2], [3]], [2, 2], "x, row 1: found 1 values, expected a list of 2 values as its shape [2, 2] says."),
            ([[1, 2], 3], [2, 2], "x, row 1: found 3, expected a list of 2 values as its shape [2, 2] says."),
            ([1], [2], "x: found 1 values, expected 2 as its shape [2] says."),
        ],
    )
    def test_another_count_is_refused(self, data: list[Any], shape: list[int], text: str) -> None:
        assert refusal(flattened, data, shape, "x") == text


class TestJson:
    @pytest.mark.parametrize("datatype", INTEGERS)
    def test_integers_have_their_datatype_and_its_range(self, datatype: str) -> None:
        low, high = int(np.iinfo(DTYPES[datatype]).min), int(np.iinfo(DTYPES[datatype]).max)
        values = of_json(datatype, low, 0, high)
        assert values.dtype == DTYPES[datatype]
        assert values.tolist() == [low, 0, high]
        expected = f"expected an integer from {low} to {high} ({datatype})."
        assert refusal(of_json, datatype, 0, high + 1) == f"value 1: found {high + 1}, {expected}"
        assert refusal(of_json, datatype, low - 1) == f"value 0: found {low - 1}, {expected}"
        assert refusal(of_json, datatype, 1.0) == f"value 0: found 1.0, {expected}"

    @pytest.mark.parametrize("datatype", FLOATS)
    def test_numbers_come_with_point_and_without(self, datatype: str) -> None:
        assert of_json(datatype, 1.5, 2, -0.25).tolist() == [1.5, 2.0, -0.25]

    def test_numbers_of_fp16_are_rounded_to_it_and_have_its_range(self) -> None:
        assert of_json("FP16", 0.1).tolist() == [float(np.float16(0.1))]
        assert refusal(of_json, "FP16", 1.0, 65520.0) == (
            "value 1: found 65520.0, expected a number of at most 65504 (FP16)."
        )

    def test_null_is_a_missing_value(self) -> None:
        assert np.isnan(of_json("FP32", 1, None)).tolist() == [False, True]
        assert of_json("INT8", 1, None) == [1, None]
        assert of_json("BOOL", True, None) == [True, None]
        assert of_json("BYTES", "a", None) == ["a", None]

    def test_integers_that_a_double_does_not_hold_are_kept_so_that_the_features_refuse_them(self) -> None:
        assert of_json("FP64", 2**53, 2**53 + 1) == [2**53, 2**53 + 1]

    @pytest.mark.parametrize("value", ["5.1", True, [1], {"a": 1}])
    @pytest.mark.parametrize("datatype", NUMERIC)
    def test_nothing_else_is_taken_for_a_number(self, datatype: str, value: Any) -> None:
        assert refusal(of_json, datatype, 1, value).startswith("value 1: found ")

    @pytest.mark.parametrize("value", [0, 1, 1.0, "true", [True]])
    def test_nothing_else_is_taken_for_a_boolean(self, value: Any) -> None:
        assert "expected true or false (BOOL)" in refusal(of_json, "BOOL", True, value)

    @pytest.mark.parametrize("value", [0, 1.5, True, ["a"]])
    def test_nothing_else_is_taken_for_a_string(self, value: Any) -> None:
        assert "expected a string (BYTES)" in refusal(of_json, "BYTES", "a", value)


class TestBytes:
    @pytest.mark.parametrize("datatype", DTYPES)
    def test_an_array_goes_there_and_back(self, datatype: str) -> None:
        values = np.array([0, 1, 1, 0, 1], DTYPES[datatype])
        found = of_bytes(datatype, to_bytes(datatype, values), 5)
        assert found.dtype == DTYPES[datatype]
        assert found.tolist() == values.tolist()

    def test_the_order_of_bytes_is_little_endian(self) -> None:
        assert of_bytes("INT32", b"\1\0\0\0\0\0\0\x80", 2).tolist() == [1, -(2**31)]
        assert to_bytes("FP32", np.array([1.0], ">f4")) == struct.pack("<f", 1.0)

    def test_rows_go_row_by_row_whatever_their_layout_in_memory(self) -> None:
        values = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
        assert to_bytes("FP32", values) == struct.pack("<6f", *range(6))

    def test_the_values_are_aligned_wherever_they_came(self) -> None:
        data = b"?" + struct.pack("<2d", 1.5, 2.5)
        values = from_bytes("FP64", memoryview(data)[1:], 2, "x", where)
        assert isinstance(values, np.ndarray)
        assert values.flags.aligned
        assert values.flags.writeable

    @pytest.mark.parametrize("datatype", DTYPES)
    def test_another_number_of_bytes_is_refused(self, datatype: str) -> None:
        size = DTYPES[datatype].itemsize
        for data in (b"", bytes(2 * size - 1), bytes(2 * size + 1)):
            assert refusal(of_bytes, datatype, data, 2) == (
                f"input 'x': found {len(data)} bytes, expected {2 * size} for 2 values of {datatype}."
            )

    def test_a_boolean_is_0_or_1(self) -> None:
        assert refusal(of_bytes, "BOOL", b"\0\1\2", 3) == "value 2: found the byte 2, expected 0 or 1 (BOOL)."

    @given(arrays.arrays(np.float32, st.integers(0, 20)))
    def test_numbers_keep_their_bits(self, values: Any) -> None:
        data = to_bytes("FP32", values)
        assert of_bytes("FP32", data, len(values)).tobytes() == data


class TestStrings:
    @given(st.lists(st.text(), max_size=20))
    def test_strings_go_there_and_back(self, texts: list[str]) -> None:
        assert of_bytes("BYTES", b"".join(packed(text.encode()) for text in texts), len(texts)) == texts

    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (b"", "input 'x': found 0 values in its 0 bytes, expected 2 values of BYTES."),
            (b"\1\0\0\0a\1\0\0", "input 'x': found 1 values in its 8 bytes, expected 2 values of BYTES."),
            (b"\1\0\0\0a\2\0\0\0b", "value 1: found the length 2, expected at most 1, the bytes that are left."),
            (
                b"\xff\xff\xff\xffab",
                "value 0: found the length 4294967295, expected at most 2, the bytes that are left.",
            ),
            (b"\1\0\0\0a\1\0\0\0\xff", "value 1: found bytes that are no UTF-8, expected a string (BYTES)."),
            (b"\1\0\0\0a\1\0\0\0bc", "input 'x': found 1 bytes after its 2 values, expected none."),
        ],
    )
    def test_broken_strings_are_refused(self, data: bytes, text: str) -> None:
        assert refusal(of_bytes, "BYTES", data, 2) == text

    @given(st.binary(max_size=40), st.integers(0, 8))
    def test_any_bytes_are_strings_or_refused(self, data: bytes, count: int) -> None:
        try:
            values = of_bytes("BYTES", data, count)
        except RequestError:
            return
        assert len(values) == count
        assert b"".join(packed(value.encode()) for value in values) == data

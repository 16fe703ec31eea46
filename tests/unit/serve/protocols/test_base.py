"""What all wire protocols share."""

import numpy as np
import pytest

from mlplat.bundle.prediction import Prediction
from mlplat.errors import RequestError
from mlplat.serve.protocols import PROTOCOLS, MLflow, OpenInference, Plain, Protocol, Question
from mlplat.serve.protocols.base import refuse_undefined


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("media_type", [b"", b"application/json", b"application/vnd.x+json"])
def test_json_by_any_name_and_what_nobody_named_is_taken(protocol: type[Protocol], media_type: bytes) -> None:
    assert protocol.takes(media_type)


@pytest.mark.parametrize(
    ("media_type", "takers"),
    [
        (b"text/csv", {MLflow}),
        (b"application/octet-stream", {OpenInference}),
        (b"text/plain", set()),
        (b"text/x+json", set()),
        (b"application/jsonx", set()),
    ],
)
def test_other_types_are_taken_by_who_knows_them(media_type: bytes, takers: set[type[Protocol]]) -> None:
    assert {protocol for protocol in PROTOCOLS if protocol.takes(media_type)} == takers


UNDEFINED = Prediction(np.zeros(5, np.float32), undefined=np.array([True, False, False, True, False]))
"""Of a run of several requests: the first and the fourth row have no number."""


@pytest.mark.parametrize(("first", "rows", "row"), [(0, 1, 0), (0, 5, 0), (1, 3, 2), (2, 3, 1), (3, 1, 0)])
def test_the_row_is_named_as_the_request_counts_it(first: int, rows: int, row: int) -> None:
    with pytest.raises(RequestError, match=f"^row {row}: the model has no number for these values") as caught:
        refuse_undefined(Question({}, rows), UNDEFINED, first)
    assert (caught.value.status, caught.value.code) == (422, "out_of_range")


@pytest.mark.parametrize(("first", "rows"), [(1, 2), (1, 1), (4, 1)])
def test_what_is_wrong_with_the_rows_of_others_is_not_said(first: int, rows: int) -> None:
    refuse_undefined(Question({}, rows), UNDEFINED, first)


def test_of_a_forecast_any_step_counts_and_the_row_is_the_only_one() -> None:
    with pytest.raises(RequestError, match=r"^row 0: "):
        refuse_undefined(Question({}, 1, horizon=4), UNDEFINED, 1)


def test_shapes_of_errors_are_those_of_the_clients() -> None:
    error = RequestError("no.", code="x")
    assert {protocol.error(error).body for protocol in PROTOCOLS if protocol not in {Plain, MLflow}} == {
        b'{"error":"no."}'
    }
    assert Plain.error(error).body == b'{"error":"no.","code":"x"}'
    assert MLflow.error(error).body == b'{"error_code":"BAD_REQUEST","message":"no."}'

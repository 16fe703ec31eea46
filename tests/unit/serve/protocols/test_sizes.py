"""What a large body may hold: no more than a request has, told before anything is made of it."""

import pytest

from mlplat.errors import RequestError
from mlplat.serve.protocols import KServe, Limits, Message, MLflow, OpenInference, Plain, Protocol
from mlplat.serve.protocols.framing import HEADER_LENGTH
from mlplat.serve.protocols.sizes import check_size

from .manifests import FLOWER, MIXED, manifest_of

CSV = b"text/csv"


def protocol(kind: type[Protocol]) -> Protocol:
    return kind(manifest_of(FLOWER), Limits())


def refusal(kind: type[Protocol], message: Message) -> str:
    with pytest.raises(RequestError) as caught:
        protocol(kind).check(message)
    assert (caught.value.status, caught.value.code) == (422, "too_many_rows")
    return caught.value.message


def tensor(data: bytes) -> bytes:
    return b'{"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":[' + data + b"]}]}"


def test_what_a_request_of_so_many_rows_may_hold() -> None:
    row = b"[1,2,3,4],"
    check_size(row * 10_000, 10_000, 4)
    check_size(b"1," * 900_000, 10, 4)
    with pytest.raises(RequestError, match="lists and objects"):
        check_size(b"[]," * 80_001, 10_000, 4)
    with pytest.raises(RequestError, match="values"):
        check_size(b"1," * 1_000_001, 10_000, 4)
    check_size(b"1," * 2_000_000, 10_000, 200)


@pytest.mark.parametrize("member", ['"%x":1', '"%x" :1', '"%x" :\n"a"'])
def test_keys_are_fewer_than_values_for_each_takes_more_memory(member: str) -> None:
    def body(count: int) -> bytes:
        return ",".join([member % number for number in range(count)]).encode()

    check_size(body(250_000), 10_000, 4)
    with pytest.raises(RequestError, match="Found 250001 keys, expected at most 250000 in a request of 10000 rows"):
        check_size(body(250_001), 10_000, 4)
    check_size(body(500_000), 10_000, 50)


def test_rows_by_name_with_more_columns_and_texts_and_dates_are_no_such() -> None:
    row = b'{"since":"1970-01-02T12:00:00+01:00","plan":"a: b: c: d: e: f: g: h: i: j: k: l: m: n: o: p","said":"\\"x\\""},'
    check_size(row * 10_000, 10_000, 3)
    check_size((b"{" + b",".join([b'"column":1'] * 24) + b"},") * 10_000, 10_000, 4)


@pytest.mark.parametrize("kind", [Plain, KServe, MLflow, OpenInference])
@pytest.mark.parametrize("item", [b"[]", b"{}", b"[{}]"])
def test_json_of_any_protocol_is_checked(kind: type[Protocol], item: bytes) -> None:
    assert "lists and objects" in refusal(kind, Message(tensor(b",".join([item] * 80_001))))


@pytest.mark.parametrize("item", [b"[]", b"[{}]"])
def test_so_is_the_json_that_bytes_may_follow(item: bytes) -> None:
    body = tensor(b",".join([item] * 80_001))
    for rest in (b"", b"\0" * 40):
        headers = {HEADER_LENGTH: b"%d" % len(body)}
        assert "lists and objects" in refusal(OpenInference, Message(body + rest, headers=headers))


def test_the_bytes_that_follow_may_be_any() -> None:
    head = b'{"inputs":[{"name":"input","shape":[9000,3],"datatype":"FP32","parameters":{"binary_data_size":108000}}]}'
    message = Message(head + b"[[[[" * 27_000, headers={HEADER_LENGTH: b"%d" % len(head)})
    protocol(OpenInference).check(message)
    assert protocol(OpenInference).decode(message).rows == 9000


def test_a_length_that_cannot_be_is_refused() -> None:
    with pytest.raises(RequestError) as caught:
        protocol(OpenInference).check(Message(b"[]" * 90_000, headers={HEADER_LENGTH: b"180001"}))
    assert caught.value.code == "invalid_header_length"


@pytest.mark.parametrize("piece", [b"NaN", b'"NaN', b"Infinity", b'"Infinity"', b"NaN,Infinity,"])
def test_nan_of_mlflow_is_no_more_than_values(piece: bytes) -> None:
    most = 250_000 // (piece.count(b"N") // 2 + piece.count(b"I"))
    protocol(MLflow).check(Message(piece * most))
    assert "NaN and Infinity, expected at most 250000" in refusal(MLflow, Message(piece * (most + 1)))


def test_rows_of_nan_are_taken() -> None:
    message = Message(b'{"inputs":[' + b",".join([b"[NaN,1,NaN]"] * 10_000) + b"]}")
    protocol(MLflow).check(message)
    with pytest.raises(RequestError, match="row 0, column 'sepal': found a missing value"):
        protocol(MLflow).decode(message)


def test_brackets_and_nan_in_csv_are_text() -> None:
    protocol(MLflow).check(Message(b"a\n" + b"[{NaN:" * 300_000, CSV))


@pytest.mark.parametrize("kind", [Plain, KServe, OpenInference, MLflow])
def test_what_takes_long_is_large(kind: type[Protocol]) -> None:
    assert not protocol(kind).is_large(Message(b" " * 128 * 1024))
    assert protocol(kind).is_large(Message(b" " * (128 * 1024 + 1)))


@pytest.mark.parametrize("kind", [Plain, KServe, OpenInference, MLflow])
def test_what_is_more_than_numbers_takes_longer(kind: type[Protocol]) -> None:
    made = kind(manifest_of(MIXED), Limits())
    assert not made.is_large(Message(b" " * 16 * 1024))
    assert made.is_large(Message(b" " * (16 * 1024 + 1)))


def test_csv_takes_longer() -> None:
    assert not protocol(MLflow).is_large(Message(b" " * 8 * 1024, CSV))
    assert protocol(MLflow).is_large(Message(b" " * (8 * 1024 + 1), CSV))

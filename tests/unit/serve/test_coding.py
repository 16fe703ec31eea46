"""Compressed bodies: inflated within a bound, or refused."""

import gzip
import json
import sys
import zlib
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.errors import RequestError
from mlplat.serve.coding import CODINGS, MOST_MEMBERS, inflate

from .conftest import Running

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.compress,
    b"x-gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"zstd": zstd.compress,
}

each = pytest.mark.parametrize("coding", COMPRESS)


def test_every_coding_is_tested() -> None:
    assert COMPRESS.keys() == CODINGS.keys()


@each
def test_a_body_of_one_part_or_of_several_comes_back(coding: bytes) -> None:
    parts = [b"a" * 1000, b"", b"b"]
    body = b"".join(map(COMPRESS[coding], parts))
    assert inflate(body, coding, 1001) == b"".join(parts)
    assert inflate(bytearray(COMPRESS[coding](b"a")), coding, 1) == b"a"


@each
def test_a_larger_one_is_a_413_and_is_not_inflated_further(coding: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        inflate(COMPRESS[coding](bytes(50_000_000)), coding, 1000)
    assert caught.value.status == 413


@each
def test_a_body_of_very_many_parts_is_refused(coding: bytes) -> None:
    with pytest.raises(RequestError, match="parts"):
        inflate(COMPRESS[coding](b"") * (MOST_MEMBERS + 1), coding, 1000)


@each
@given(data=st.data())
def test_a_broken_one_is_a_400(coding: bytes, data: st.DataObject) -> None:
    whole = COMPRESS[coding](b"some text " * 20)
    broken = data.draw(st.binary(max_size=50) | st.integers(0, len(whole) - 1).map(lambda end: whole[:end]))
    try:
        assert len(inflate(broken, coding, 1000)) <= 1000
    except RequestError as error:
        assert error.status in {400, 413}


@each
def test_what_is_empty_or_followed_by_something_else_is_a_400(coding: bytes) -> None:
    for body in (b"", COMPRESS[coding](b"a") + b"and more", COMPRESS[coding](b"a") + bytes(512)):
        with pytest.raises(RequestError, match=f"cannot be inflated as {coding.decode()}") as caught:
            inflate(body, coding, 1000)
        assert caught.value.status == 400


@each
def test_a_body_of_just_the_size_is_not_larger(coding: bytes) -> None:
    assert inflate(COMPRESS[coding](bytes(1000)), coding, 1000) == bytes(1000)
    with pytest.raises(RequestError, match="larger than 999 bytes"):
        inflate(COMPRESS[coding](bytes(1000)), coding, 999)


def test_zstd_may_not_want_more_than_8_mib_to_be_remembered() -> None:
    for window, taken in ((23, True), (24, False)):
        compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: window})
        body = compressor.compress(b"a") + compressor.flush()  # a compressor that does not know the size in advance
        if taken:
            assert inflate(body, b"zstd", 1000) == b"a"
            continue
        with pytest.raises(RequestError) as caught:
            inflate(body, b"zstd", 1000)
        assert (caught.value.status, caught.value.hint) == (400, "Compress it with a window of at most 8 MiB.")


ASKED = {
    "/predict": {"features": [5.1, 3.5, 1.4, 0.2]},
    "/v1/models/iris:predict": {"instances": [[5.1, 3.5, 1.4, 0.2]]},
    "/v2/models/iris/infer": {
        "inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}]
    },
    "/invocations": {"dataframe_split": {"data": [[5.1, 3.5, 1.4, 0.2]]}},
}


@each
@pytest.mark.parametrize("path", ASKED)
class TestServed:
    def test_every_protocol_takes_it(self, iris: Running, path: str, coding: bytes) -> None:
        plain = iris.client.post(path, json=ASKED[path])
        body = COMPRESS[coding](json.dumps(ASKED[path]).encode())
        answer = send(iris, path, body, coding)
        assert (plain.status_code, answer.status_code) == (200, 200)
        sealed = {"timestamp": ""}
        assert answer.json() | sealed == plain.json() | sealed

    def test_every_protocol_refuses_a_bomb_in_its_own_shape(self, iris: Running, path: str, coding: bytes) -> None:
        answer = send(iris, path, COMPRESS[coding](bytes(10_000_000)), coding)
        assert answer.status_code == 413
        assert "larger than 100000 bytes once it is inflated" in answer.json()[words(path)]

    def test_every_protocol_refuses_what_is_broken_in_its_own_shape(
        self, iris: Running, path: str, coding: bytes
    ) -> None:
        answer = send(iris, path, json.dumps(ASKED[path]).encode(), coding)
        assert answer.status_code == 400
        assert f"cannot be inflated as {coding.decode()}" in answer.json()[words(path)]


def send(running: Running, path: str, body: bytes, coding: bytes) -> httpx.Response:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding.decode()}
    return running.client.post(path, content=body, headers=headers)


def words(path: str) -> str:
    """The key of an error's text."""
    return "message" if path == "/invocations" else "error"


def test_csv_may_be_compressed_too(iris: Running) -> None:
    body = gzip.compress(b"sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n")
    headers = {"Content-Type": "text/csv", "Content-Encoding": "gzip"}
    answer = iris.client.post("/invocations", content=body, headers=headers)
    assert answer.json() == {"predictions": ["setosa"]}

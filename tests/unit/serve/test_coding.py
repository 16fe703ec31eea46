"""Compressed bodies: inflated within a bound, or refused."""

import gzip
import sys
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.errors import RequestError
from mlplat.serve.coding import CODINGS, MOST_MEMBERS, inflate

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

"""Byte streams for Arrow: every byte once, in order, and no read ends within a line end."""

import io
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mlplat.objects.streams import Counted, Unsplit

SIZES = st.lists(st.integers(2, 7), min_size=1, max_size=5)


@given(text=st.text("\r\nab", max_size=60), sizes=SIZES)
def test_no_read_ends_between_a_carriage_return_and_its_line_feed(text: str, sizes: list[int]) -> None:
    data = text.encode()
    stream = Unsplit(io.BytesIO(data))
    pieces: list[bytes] = []
    while piece := stream.read(sizes[len(pieces) % len(sizes)]):
        assert len(piece) <= sizes[len(pieces) % len(sizes)]
        pieces.append(piece)
    assert b"".join(pieces) == data
    assert stream.position == len(data)
    assert not any(piece.endswith(b"\r") and after.startswith(b"\n") for piece, after in pairwise(pieces))


def test_it_knows_how_far_it_was_read_and_leaves_the_stream_open() -> None:
    inner = io.BytesIO(b"12345")
    stream = Counted(inner)
    assert (stream.read(2), stream.position, stream.read(), stream.position) == (b"12", 2, b"345", 5)
    stream.close()
    assert stream.closed
    assert not inner.closed

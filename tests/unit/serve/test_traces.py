"""W3C Trace Context."""

import pytest

from mlplat.serve.traces import trace_fields

TRACE, SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"


@pytest.mark.parametrize("tail", [b"-01", b"-00"])
def test_a_trace_is_named(tail: bytes) -> None:
    fields = trace_fields({b"traceparent": b"00-" + TRACE + b"-" + SPAN + tail})
    assert fields == {"trace_id": TRACE.decode(), "parent_span_id": SPAN.decode()}


def test_what_a_later_version_adds_is_ignored() -> None:
    assert trace_fields({b"traceparent": b"01-" + TRACE + b"-" + SPAN + b"-01-more"})


@pytest.mark.parametrize(
    "given",
    [
        None,
        b"",
        b"00",
        b"ff-" + TRACE + b"-" + SPAN + b"-01",
        b"00-" + b"0" * 32 + b"-" + SPAN + b"-01",
        b"00-" + TRACE + b"-" + b"0" * 16 + b"-01",
        b"00-" + TRACE.upper() + b"-" + SPAN + b"-01",
        b"00-" + TRACE + b"-" + SPAN + b"-01\nforged",
    ],
)
def test_what_is_none_is_none(given: bytes | None) -> None:
    assert trace_fields({} if given is None else {b"traceparent": given}) == {}

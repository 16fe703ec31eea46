"""Long transfers say how far they are, short ones nothing."""

import pytest
import structlog

from mlplat.store import meter
from mlplat.store.meter import metered


def test_the_blocks_are_the_same_and_a_short_transfer_says_nothing() -> None:
    with structlog.testing.capture_logs() as lines:
        assert list(metered([b"ab", b"", b"c"], "uploading", total=3)) == [b"ab", b"", b"c"]
    assert lines == []


def test_a_long_one_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "EVERY_SECONDS", 0.0)
    with structlog.testing.capture_logs() as lines:
        list(metered([b"ab", b"cdef"], "downloading", total=8, start=2))
    assert [(line["event"], line["bytes"], line["of"], line["percent"]) for line in lines] == [
        ("downloading", 4, 8, 50),
        ("downloading", 8, 8, 100),
    ]

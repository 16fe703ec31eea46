"""What a request's line and headers say, and which are remembered."""

import pytest

from mlplat.serve.heads import MOST_HEAD_BYTES, MOST_HEADS, Head, Heads
from mlplat.serve.protocols import Plain
from mlplat.serve.targets import Probe, Target

PREDICT, HEALTH = Target(Plain), Target(probe=Probe.HEALTH)


def head(
    headers: dict[bytes, bytes], *, target: Target | None = PREDICT, method: bytes = b"POST", interim: bool = True
) -> Head:
    return Head(target, method, b"/path", headers, keep_alive=True, interim=interim)


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ({}, 0),
        ({b"content-length": b"30"}, 30),
        ({b"content-length": b"0030"}, 30),
        ({b"content-length": b"9" * 20}, 10**20 - 1),
        ({b"transfer-encoding": b"chunked"}, -1),
    ],
)
def test_the_length_of_the_body_is_what_the_head_says(headers: dict[bytes, bytes], length: int) -> None:
    assert head(headers).length == length


@pytest.mark.parametrize(
    ("value", "media_type"),
    [
        (b"application/json", b"application/json"),
        (b"Application/JSON; charset=utf-8", b"application/json"),
        (b" application/json ;a=b", b"application/json"),
        (b"", b""),
        (b";", b""),
    ],
)
def test_the_media_type_is_without_parameters(value: bytes, media_type: bytes) -> None:
    assert head({b"content-type": value}).media_type == media_type


@pytest.mark.parametrize(
    ("value", "coding"), [(b"gzip", b"gzip"), (b" GZIP ", b"gzip"), (b"identity", None), (b"Identity", None)]
)
def test_identity_is_no_coding(value: bytes, coding: bytes | None) -> None:
    found = head({b"content-encoding": value})
    assert (found.coding, found.refusal) == (coding, None)


@pytest.mark.parametrize(
    ("value", "interim", "expects"),
    [
        (b"100-continue", True, True),
        (b"100-Continue", True, True),
        (b"100-continue", False, False),
        (b"200-ok", True, False),
        (b"", True, False),
    ],
)
def test_only_a_client_that_would_understand_it_waits_to_be_told(value: bytes, interim: bool, expects: bool) -> None:
    assert head({b"expect": value}, interim=interim).expects is expects


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({b"content-type": b"text/html"}, 415),
        ({b"content-type": b"\xff"}, 415),
        ({b"content-encoding": b"br"}, 415),
        ({b"content-encoding": b"gzip, gzip"}, 415),
        ({b"x-request-timeout": b"0"}, 400),
        ({b"x-request-timeout": b"\xff"}, 400),
    ],
)
def test_what_no_body_could_make_right_is_refused_by_the_head(headers: dict[bytes, bytes], status: int) -> None:
    refusal = head(headers).refusal
    assert refusal is not None
    assert refusal.status == status
    assert head(headers, target=HEALTH, method=b"GET").refusal is None


@pytest.mark.parametrize(("target", "allowed"), [(PREDICT, {b"POST"}), (HEALTH, {b"GET", b"HEAD"})])
def test_methods_are_those_of_the_target(target: Target, allowed: set[bytes]) -> None:
    for method in (b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS"):
        refusal = head({}, target=target, method=method).refusal
        assert (refusal is None) == (method in allowed)
        assert refusal is None or refusal.status == 405


class TestHeads:
    def test_a_head_is_found_by_its_very_bytes(self) -> None:
        heads, found = Heads(), head({})
        heads.remember(b"POST / HTTP/1.1\r\n\r\n", found)
        assert heads.find(b"POST / HTTP/1.1\r\n\r\n") is found
        assert heads.find(b"POST / HTTP/1.1\r\n\r") is None

    def test_what_is_refused_anyway_or_comes_seldom_is_not_remembered(self) -> None:
        heads = Heads()
        heads.remember(b"GET / HTTP/1.1\r\n\r\n", head({}, target=HEALTH, method=b"GET"))
        heads.remember(b"POST /1", head({b"content-type": b"text/html"}))
        heads.remember(b"POST /2".ljust(MOST_HEAD_BYTES + 1), head({}))
        for raw in (b"GET / HTTP/1.1\r\n\r\n", b"POST /1", b"POST /2".ljust(MOST_HEAD_BYTES + 1)):
            assert heads.find(raw) is None

    def test_there_are_never_more_than_so_many(self) -> None:
        heads, found = Heads(), head({})
        for i in range(3 * MOST_HEADS):
            heads.remember(b"POST /%d" % i, found)
        assert sum(heads.find(b"POST /%d" % i) is found for i in range(3 * MOST_HEADS)) <= MOST_HEADS
        assert heads.find(b"POST /%d" % (3 * MOST_HEADS - 1)) is found

"""What a request's line and headers say, and which are remembered."""

import pytest

from mlplat.serve.heads import MOST_HEAD_BYTES, MOST_HEADS, Head, Heads, without_length
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


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nA: b\r\n\r\n", (b"\r\nContent-Length: \r\n", 5)),
        (b"POST / HTTP/1.1\r\ncontent-length: 0123\r\n\r\n", (b"\r\ncontent-length: \r\n", 123)),
        (b"POST / HTTP/1.1\r\nX-Content-Length: 1\r\nContent-Length: 2\r\n\r\n", (b"X-Content-Length: 1\r\n", 2)),
        (b"POST / HTTP/1.1\r\nContent-Length:5\r\n\r\n", (b"Content-Length:5", -1)),
        (b"POST / HTTP/1.1\r\nContent-Length:  5\r\n\r\n", (b"Content-Length:  5", -1)),
        (b"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", (b": +5", -1)),
        (b"POST / HTTP/1.1\r\nContent-Length: \r\n\r\n", (b"Content-Length: \r\n", -1)),
        (b"POST / HTTP/1.1\r\nContent-Length: 1234567890123456\r\n\r\n", (b": 1234567890123456", -1)),
        (b"POST / HTTP/1.1\r\nContent-Length: 5", (b"Content-Length: ", -1)),
        (b"POST / HTTP/1.1\r\nA: b\r\n\r\n", (b"A: b", -1)),
        (b"", (b"", -1)),
    ],
)
def test_the_length_is_told_from_the_rest_of_a_head(raw: bytes, found: tuple[bytes, int]) -> None:
    rest, length = without_length(raw)
    assert found[0] in rest
    assert length == found[1]
    assert (rest == raw) == (length < 0)


def bytes_of(path: str, length: int | str = 5) -> bytes:
    return f"POST {path} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode()


def head_of(length: int) -> Head:
    return head({b"content-length": b"%d" % length})


class TestHeads:
    def test_one_that_has_come_twice_is_found_with_any_length(self) -> None:
        heads, found = Heads(), head_of(6)
        heads.learn(bytes_of("/", 5), head_of(5))
        assert heads.find_alike(bytes_of("/", 5)) is None
        heads.learn(bytes_of("/", 6), found)
        for length in (5, 6, 7_000):
            assert heads.find(bytes_of("/", length)) is None
            alike = heads.find_alike(bytes_of("/", length))
            assert alike is not None
            assert (alike.length, alike.headers) == (length, found.headers)
            assert heads.find(bytes_of("/", length)) is alike
        for none in (bytes_of("/", 5)[:-1], bytes_of("/", ""), bytes_of("/", "x")):
            assert heads.find_alike(none) is None
        assert found.length == 6

    def test_what_is_refused_anyway_or_comes_seldom_is_not_remembered(self) -> None:
        heads = Heads()
        large = b"POST / HTTP/1.1\r\nA: %b\r\nContent-Length: 5\r\n\r\n" % (b"b" * MOST_HEAD_BYTES)
        other = b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"
        for _ in range(3):
            heads.learn(other, head({}, target=HEALTH, method=b"GET"))
            heads.learn(bytes_of("/1"), head({b"content-type": b"text/html"}))
            heads.learn(bytes_of("/2", "+5"), head_of(5))
            heads.learn(large, head_of(5))
        for raw in (other, bytes_of("/1"), bytes_of("/2", "+5"), large):
            assert heads.find_alike(raw) is None

    def test_there_are_never_more_than_so_many(self) -> None:
        heads, found = Heads(), head_of(5)
        for i in range(3 * MOST_HEADS):
            heads.learn(bytes_of(f"/{i}"), found)
            heads.learn(bytes_of(f"/{i}"), found)
            heads.learn(bytes_of(f"/once/{i}"), found)
            heads.find_alike(bytes_of(f"/{3 * MOST_HEADS - 1}", i))
        last = bytes_of(f"/{3 * MOST_HEADS - 1}")
        assert heads.find_alike(last) is not None
        for length in range(3 * MOST_HEADS):
            heads.find_alike(bytes_of(f"/{3 * MOST_HEADS - 1}", length))
        assert len(heads._known) == len(heads._alike) == len(heads._met) == MOST_HEADS
        assert heads.find(bytes_of(f"/{3 * MOST_HEADS - 1}", 3 * MOST_HEADS - 1)) is not None

"""The key that a request brings, in each way that clients send it."""

from base64 import b64encode

import pytest

from mlplat.web.apikeys import SECURITY, sent_key, unauthorized


def basic(text: str) -> bytes:
    return b"Basic " + b64encode(text.encode())


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, None),
        ({b"x-api-key": b" secret "}, "secret"),
        ({b"x-api-key": b""}, ""),
        ({b"x-api-key": b"this", b"authorization": b"Bearer other"}, "this"),
        ({b"authorization": b"Bearer secret"}, "secret"),
        ({b"authorization": b"bEARER  secret "}, "secret"),
        ({b"authorization": b"Bearer"}, ""),
        ({b"authorization": b"secret"}, None),
        ({b"authorization": b"Digest secret"}, None),
        ({b"authorization": basic(":secret")}, "secret"),
        ({b"authorization": basic("ann:with:colons")}, "with:colons"),
        ({b"authorization": basic("no colon")}, ""),
        ({b"authorization": b"Basic not base64!"}, None),
        ({b"x-api-key": b"\xff\xfe"}, "\udcff\udcfe"),  # no text, and so no key of anyone
        ({b"authorization": b"Basic " + b64encode(b"ann:\xff")}, "\udcff"),
    ],
)
def test_a_key_is_found_where_it_was_sent(headers: dict[bytes, bytes], key: str | None) -> None:
    assert sent_key(headers) == key


def test_who_has_no_right_key_hears_how_to_send_it() -> None:
    error = unauthorized()
    assert (error.status, error.code) == (401, "unauthorized")
    for words in ("X-API-Key: KEY", "Authorization: Bearer KEY"):
        assert words in str(error)


def test_each_way_is_in_the_document() -> None:
    assert [(way["type"], way.get("scheme", way.get("name"))) for way in SECURITY.values()] == [
        ("apiKey", "X-API-Key"),
        ("http", "bearer"),
        ("http", "basic"),
    ]

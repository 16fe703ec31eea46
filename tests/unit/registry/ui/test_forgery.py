"""Forms of our own pages are told from others."""

import pytest

from mlplat.errors import RequestError
from mlplat.registry.ui import forgery


def allowed(**headers: str) -> bool:
    try:
        forgery.require_origin({name.replace("_", "-").encode(): value.encode() for name, value in headers.items()})
    except RequestError as error:
        assert error.status == 403
        return False
    return True


def test_the_browser_says_where_a_form_comes_from() -> None:
    assert allowed(host="a:8080", origin="http://a:8080")
    assert allowed(host="A:8080", origin="HTTP://a:8080")
    assert allowed(
        host="inner", origin="https://outer", sec_fetch_site="same-origin"
    )  # behind a proxy that changes Host
    assert allowed(host="a", sec_fetch_site="none")
    for headers in (
        {"host": "a:8080"},
        {"host": "a:8080", "origin": "http://a:9090"},
        {"host": "a", "origin": "null"},
        {"host": "", "origin": "http://"},
        {"origin": ""},
        {"host": "a", "origin": "http://a.evil.example"},
        {"host": "a", "origin": "http://a", "sec_fetch_site": "cross-site"},
        {"host": "a", "origin": "http://a", "sec_fetch_site": "same-site"},
        {"host": "a", "origin": "http://a", "sec_fetch_site": ""},
    ):
        assert not allowed(**headers), headers


def test_a_token_is_that_of_one_secret_and_does_not_tell_it() -> None:
    token = forgery.token("secret")
    forgery.require_token("secret", token)
    assert "secret" not in token
    for wrong in ("", token[:-1], token.upper(), forgery.token("other"), "é", "\udc80"):
        with pytest.raises(RequestError):
            forgery.require_token("secret", wrong)

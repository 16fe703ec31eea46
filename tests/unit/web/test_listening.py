"""Where a server listens, and how that is said."""

import socket

import pytest

from mlplat.errors import MlplatError
from mlplat.web.listening import listen, shown


def test_a_client_reaches_it_at_the_port_that_it_got() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()[:2]) as client:
        assert client.getpeername() == listener.getsockname()


def test_an_address_of_version_6_is_listened_on() -> None:
    try:
        listener = listen("::1", 0)
    except MlplatError as error:  # a machine without it says so
        assert "Cannot listen on ::1:0" in str(error)
    else:
        with listener:
            assert listener.family == socket.AF_INET6


def test_a_port_that_is_taken_and_an_address_of_another_machine_are_refused() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MlplatError, match=rf"Cannot listen on 127\.0\.0\.1:{port}: .*in use.*another --port"):
            listen("127.0.0.1", port)
    with pytest.raises(MlplatError, match=r"Cannot listen on 192\.0\.2\.1:0"):  # for documents only (RFC 5737)
        listen("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "127.0.0.1"),
        ("::1", "[::1]"),
        ("10.0.0.7", "10.0.0.7"),
        ("host.example", "host.example"),
    ],
)
def test_a_host_is_said_as_a_person_would_type_it(host: str, said: str) -> None:
    assert shown(host) == said

"""The connection, where it ends."""

import json
import socket

import pytest

from .conftest import FLOWER, Running, poll

QUESTION = json.dumps(FLOWER).encode()


def received(running: Running, data: bytes) -> bytes:
    """All that is answered until the server closes."""
    with running.raw(data) as connection:
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_what_follows_a_request_that_ended_the_connection_is_not_answered(iris: Running) -> None:
    """It was once: its answer could not be written any more, and the batcher answered nobody from then on."""
    refused = b"PUT /predict HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nxxxxx"
    question = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(QUESTION), QUESTION)
    answers = received(iris, refused + question)
    assert answers.startswith(b"HTTP/1.1 405 ")
    assert answers.count(b"HTTP/1.1") == 1
    assert iris.predict(FLOWER).status_code == 200


def test_a_client_that_leaves_within_a_request_is_no_failure_of_the_server(
    iris: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    before = iris.server.server_state.connections.copy()
    with iris.raw(b"POST /v2/repository/index HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{") as connection:
        poll(lambda: iris.server.server_state.connections - before, "the server has taken the connection")
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
    poll(lambda: not iris.server.server_state.tasks, "the request is over")
    assert "request_failed" not in capsys.readouterr().out

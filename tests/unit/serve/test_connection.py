"""The connection, where it ends."""

import json

from .conftest import FLOWER, Running

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

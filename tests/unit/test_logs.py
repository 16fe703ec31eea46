"""Logs: JSON lines where no person looks, coloured lines on a terminal."""

import fcntl
import io
import json
import logging
import os
import select
from collections.abc import Iterator

import pytest

from mlplat import logs


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    handlers = logging.root.handlers
    yield
    logging.root.handlers = handlers
    logs.configure()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_is_json_with_time_level_event_and_fields() -> None:
    out = io.StringIO()
    logs.configure(stream=out)
    logs.get().info("published", model="iris", version="v1")
    line = json.loads(out.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "event": "published", "model": "iris", "version": "v1"}


def test_on_a_terminal_a_line_is_for_people() -> None:
    out = Terminal()
    logs.configure(stream=out)
    logs.get().info("published", model="iris")
    assert "published" in out.getvalue()
    assert not out.getvalue().startswith("{")


def test_an_exception_is_one_line_of_json() -> None:
    out = io.StringIO()
    logs.configure(stream=out)
    logs.get().error("failed", exc_info=ValueError("bad"))
    assert "ValueError: bad" in json.loads(out.getvalue())["exception"]


def test_log_level_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    logs.configure(stream=out)
    logs.get().info("quiet")
    logs.get().error("loud")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["loud"]


def test_an_unknown_level_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="none of debug, info"):
        logs.configure("chatty")


def test_what_libraries_warn_of_is_passed_on() -> None:
    out = io.StringIO()
    logs.configure(stream=out)
    logging.getLogger("library").warning("careful with %s", "this")
    logging.getLogger("library").info("not this")
    line = json.loads(out.getvalue())
    assert (line["event"], line["logger"], line["message"]) == ("library_log", "library", "careful with this")


def test_a_pipe_that_nobody_empties_costs_lines_and_stops_nobody() -> None:
    reader, writer = os.pipe()
    try:
        stream = logs.Dropping(writer)
        for number in range(100_000):
            stream.write(f"line {number} of some length, so that the pipe is full soon\n")
        text = os.read(reader, 10_000_000).decode()
        assert text.startswith("line 0 of")
        assert text.endswith("\n")
        stream.write("again\n")
        assert os.read(reader, 100) == b"again\n"
    finally:
        os.close(reader)
        os.close(writer)


def test_a_line_that_was_cut_takes_no_other_with_it() -> None:
    reader, writer = os.pipe()
    try:
        size = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 2 * select.PIPE_BUF)
        stream, other = logs.Dropping(writer), logs.Dropping(writer)
        long, block = b"x" * (size + 1000) + b"\n", b"y" * (select.PIPE_BUF - 1) + b"\n"
        for writes in (stream.write, other.write, lambda text: other.offer(text.encode())):
            stream.write(long.decode())
            assert os.read(reader, 2 * size) == long[:size]
            writes("next\n")
            assert os.read(reader, size) == b"\nnext\n"
        stream.write(long.decode())
        os.read(reader, 2 * size)
        assert other.offer(block)  # the line end before it has no room in the same piece
        assert os.read(reader, 2 * size) == b"\n" + block
        stream.write("again\n")
        assert os.read(reader, 100) == b"again\n"
    finally:
        os.close(reader)
        os.close(writer)


def test_a_line_that_was_cut_is_ended_though_there_is_no_room_for_the_next() -> None:
    reader, writer = os.pipe()
    try:
        size = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 2 * select.PIPE_BUF)
        stream, block = logs.Dropping(writer), b"y" * (select.PIPE_BUF - 1) + b"\n"
        stream.write("x" * 2 * size)
        assert not stream.offer(block)
        assert len(os.read(reader, select.PIPE_BUF)) == select.PIPE_BUF
        assert not stream.offer(block)  # room for the line end only
        assert os.read(reader, 2 * size) == b"x" * (size - select.PIPE_BUF) + b"\n"
        assert stream.offer(block)
        assert os.read(reader, 2 * size) == block
    finally:
        os.close(reader)
        os.close(writer)


def test_a_pipe_whose_reader_is_gone_stops_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    logs.Dropping(writer).write("unheard\n")
    os.close(writer)

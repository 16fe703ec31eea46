import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mlplat import logs
from mlplat.batch import Share
from mlplat.batch.progress import bar, choose, lines


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_the_bar_and_a_file_the_log() -> None:
    assert choose(Terminal()) is bar
    assert choose(io.StringIO()) is lines


def test_a_log_line_says_how_many_rows_how_fast_and_how_long_still() -> None:
    stream = io.StringIO()
    logs.configure("info", stream=stream)
    with lines(1000, every=0) as advance:
        advance(50, 250)
        advance(50, 250)
    _, told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert told["event"] == "batch_progress"
    assert (told["rows"], told["percent"]) == (100, 50)
    assert told["rows_per_second"] > 0
    assert told["seconds_left"] >= 0


def test_log_lines_are_seldom() -> None:
    stream = io.StringIO()
    logs.configure("info", stream=stream)
    with lines(1000, every=3600) as advance:
        for _ in range(100):
            advance(1, 1)
    assert stream.getvalue() == ""


def test_the_bar_shows_rows_and_their_rate() -> None:
    stream = Terminal()
    with bar(1000, stream=stream) as advance:
        advance(1234, 1000)
    assert "1,234 rows" in stream.getvalue()
    assert "rows/s" in stream.getvalue()
    assert "100%" in stream.getvalue()


def test_a_log_line_says_which_model_and_version_scores(
    scored: Callable[..., Any], flowers: Callable[..., Path], tmp_path: Path
) -> None:
    stream = io.StringIO()
    logs.configure("info", stream=stream)
    scored(flowers(8), progress=partial(lines, every=0))
    scored(flowers(8), f"{tmp_path}/run/", share=Share(0, 1), progress=partial(lines, every=0))
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(told) >= 4
    assert {(line["event"], line["model"], line["version"]) for line in told} == {("batch_progress", "iris", "v1")}

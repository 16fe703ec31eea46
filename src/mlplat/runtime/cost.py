"""What a run of the model is expected to take: a start, and so much a row."""

import sys

DRAW = 0.1
"""How much of what a run took goes into the estimate of the next one."""

LONGEST = 10.0
"""How far one odd run, such as one while the machine slept, may be from the estimate at most and count."""


class Cost:
    """Seconds of a run as `pace * (start + row * rows)`; the pace is learnt from each run.

    Args:
        start: seconds of a run besides its rows.
        row: seconds of a row.
    """

    __slots__ = ("_pace", "_row", "_start")

    def __init__(self, start: float, row: float) -> None:
        self._start = max(start, 1e-9)
        self._row = max(row, 1e-9)
        self._pace = 1.0

    @classmethod
    def of(cls, seconds_of_one: float, rows: int, seconds_of_rows: float) -> "Cost":
        """From what a run of one row took, and one of `rows` rows."""
        row = max(0.0, (seconds_of_rows - seconds_of_one) / (rows - 1))
        return cls(seconds_of_one - row, row)

    def seconds(self, rows: int) -> float:
        """What a run of `rows` rows is expected to take; 0 for none."""
        return self._pace * (self._start + self._row * rows) if rows else 0.0

    def rows(self, seconds: float) -> int:
        """The rows of a run that is expected to take so long; at least one."""
        return max(1, int(min((seconds / self._pace - self._start) / self._row, sys.maxsize)))

    def learn(self, rows: int, seconds: float) -> None:
        """Take into account what a run took."""
        took = min(seconds / (self._start + self._row * rows), LONGEST * self._pace)
        self._pace += DRAW * (took - self._pace)

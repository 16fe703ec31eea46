"""What a run of the model is expected to take, by its rows: learnt from each run, for sizes of each order apart."""

import sys
from bisect import bisect_left, bisect_right

DRAW = 0.1
"""How much of what a run took goes into the estimate of the next one of its size."""

LONGEST = 10.0
"""So many times what was expected is the most that one odd run, such as one while the machine slept, counts for."""

FIRST_ROWS = 64
"""The larger of the two sizes that a cost begins with."""


class Cost:
    """Seconds of a run of so many rows: what runs of that size took, between them in proportion, beyond them as steep.

    A model may take long to start and next to nothing a row, or nothing to start and long a row, or something else again;
    so sizes are not told from each other by a formula. A size that was never met is taken to cost what the two largest
    ones that were say.

    Args:
        start: seconds of a run besides its rows, to begin with.
        row: seconds of a row, to begin with.
    """

    __slots__ = ("_known",)

    def __init__(self, start: float, row: float) -> None:
        sizes = [1.0, float(FIRST_ROWS)]
        seconds = [max(start + row, 1e-9), max(start + row * FIRST_ROWS, 1e-9)]
        self._known = sizes, seconds  # replaced as one and never changed: a thread learns while the event loop reads

    @classmethod
    def of(cls, seconds_of_one: float, rows: int, seconds_of_rows: float) -> "Cost":
        """From what a run of one row took, and one of `rows` rows."""
        row = max(0.0, (seconds_of_rows - seconds_of_one) / (rows - 1))
        return cls(max(0.0, seconds_of_one - row), row)

    def seconds(self, rows: int) -> float:
        """What a run of `rows` rows is expected to take; 0 for none."""
        if rows == 0:
            return 0.0
        sizes, seconds = self._known
        at = bisect_left(sizes, rows)
        if at == 0:
            return seconds[0]
        low = min(at - 1, len(sizes) - 2)
        slope = max(0.0, seconds[low + 1] - seconds[low]) / (sizes[low + 1] - sizes[low])
        return seconds[low] + slope * (rows - sizes[low])

    def rows(self, seconds: float) -> int:
        """The rows of a run that is expected to take no longer; at least one."""
        sizes, known = self._known
        at = bisect_right(known, seconds)
        if at == 0:
            return 1
        low = min(at - 1, len(known) - 2)
        slope = (known[low + 1] - known[low]) / (sizes[low + 1] - sizes[low])
        if slope <= 0.0:
            return sys.maxsize
        return max(1, int(min(sizes[at - 1] + (seconds - known[at - 1]) / slope, sys.maxsize)))

    def learn(self, rows: int, seconds: float) -> None:
        """Take into account what a run took."""
        sizes, known = self._known
        sizes, known = sizes.copy(), known.copy()
        order = rows.bit_length()
        at = bisect_left(sizes, rows)
        took = min(seconds, LONGEST * self.seconds(rows))
        for near in (at - 1, at):
            if 0 <= near < len(sizes) and round(sizes[near]).bit_length() == order:
                known[near] += DRAW * (took - known[near])
                sizes[near] += DRAW * (rows - sizes[near])
                break
        else:
            near = at
            sizes.insert(at, float(rows))
            known.insert(at, took)
        learnt = known[near]
        for smaller in range(near - 1, -1, -1):  # more rows never take less, so each run says something of other sizes
            if known[smaller] <= learnt:
                break
            known[smaller] = learnt
        for larger in range(near + 1, len(known)):
            if known[larger] >= learnt:
                break
            known[larger] = learnt
        self._known = sizes, known

"""CSV in the body of a request: a header, and a row a line, as pandas' `to_csv` writes them (RFC 4180, UTF-8)."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from mlplat.bundle.cells import parse_cell
from mlplat.bundle.features import Column, listed
from mlplat.errors import RequestError

MOST_CELLS = 100_000
"""So many cells a row may have in any case, for columns that the model does not have are passed over."""

MOST_BLANK = 100_000
"""So many lines may be blank."""


def read_csv(body: bytes | bytearray, columns: Sequence[Column], max_rows: int) -> list[list[Any]]:
    """The raw values of the columns, row by row; an empty cell is a missing one, other columns are passed over.

    Raises:
        RequestError: 400 if it is no CSV, 422 if a column is missing or twice there, a row is of another width than the
            header, or there are no rows or too many.
    """
    records = _records(body, max(MOST_CELLS, 2 * len(columns)))
    header = next(records, None)
    if header is None:
        raise RequestError("The body is empty, expected a header and rows.", code="empty")
    wanted = _places(header, columns)
    rows: list[list[Any]] = []
    for cells in records:
        if len(cells) != len(header):
            raise RequestError(
                f"row {len(rows)}: found {len(cells)} cells, expected {len(header)} as the header has.",
                code="wrong_length",
            )
        if len(rows) == max_rows:
            raise _too_many(f"{max_rows} rows")
        rows.append([parse_cell(column, cells[place] or None) for column, place in wanted])
    if not rows:
        raise RequestError("Found a header and no rows, expected at least one row.", code="empty")
    return rows


class _Lines:
    """The lines of a text in UTF-8, until a record, which may be of several of them, has too many cells.

    Args:
        body: the text.
        most_cells: that a record may have; a comma within quotes counts, too.
    """

    def __init__(self, body: bytes | bytearray, most_cells: int) -> None:
        self._text = io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline="")
        self._most_cells = most_cells
        self._commas = self.number = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._text:
            self.number += 1
            self._commas += line.count(",")
            if self._commas >= self._most_cells:
                raise RequestError(
                    f"line {self.number}: found more than {self._most_cells} cells, expected at most so many in a row.",
                    code="wrong_length",
                )
            yield line

    def begin(self) -> None:
        """Begin another record."""
        self._commas = 0


def _records(body: bytes | bytearray, most_cells: int) -> Iterator[list[str]]:
    """The records that are not blank, one by one, so that no others take memory."""
    lines, blank = _Lines(body, most_cells), 0
    try:
        for cells in csv.reader(lines, strict=True):
            lines.begin()
            if cells:
                yield cells
                continue
            blank += 1
            if blank > MOST_BLANK:
                raise _too_many(f"{MOST_BLANK} blank lines")
    except UnicodeDecodeError as error:
        raise RequestError(
            f"The body is not UTF-8: {error.reason}, after line {lines.number}.", status=400, code="not_csv"
        ) from error
    except csv.Error as error:
        raise RequestError(
            f"The body is not CSV: {error}, at line {lines.number}.", status=400, code="not_csv"
        ) from error


def _too_many(what: str) -> RequestError:
    return RequestError(
        f"Found more than {what}, expected at most so many a request.",
        code="too_many_rows",
        hint="Split the request, or use batch scoring.",
    )


def _places(header: list[str], columns: Sequence[Column]) -> list[tuple[Column, int]]:
    """Where each column is."""
    names = [column.name for column in columns]
    places = {name: place for place, name in enumerate(header)}
    missing = [name for name in names if name not in places]
    if missing:
        raise RequestError(
            f"header: missing columns {listed(missing)}; found {listed(header)}, expected {listed(names)}.",
            code="missing_columns",
        )
    known = set(names)
    twice = {name for place, name in enumerate(header) if name in known and places[name] != place}
    if twice:
        raise RequestError(
            f"header: found the columns {listed(sorted(twice))} more than once, expected once.", code="repeated_columns"
        )
    return [(column, places[column.name]) for column in columns]

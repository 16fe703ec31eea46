"""CSV in the body of a request: a header, and a row a line, as pandas' `to_csv` writes them (RFC 4180, UTF-8)."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from mlplat.bundle.cells import parse_cell
from mlplat.bundle.features import Column, listed
from mlplat.errors import RequestError


def read_csv(body: bytes | bytearray, columns: Sequence[Column], max_rows: int) -> list[list[Any]]:
    """The raw values of the columns, row by row; an empty cell is a missing one, other columns are passed over.

    Raises:
        RequestError: 400 if it is no CSV, 422 if a column is missing or twice there, a row is of another width than the
            header, or there are no rows or too many.
    """
    try:
        text = str(body, "utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"The body is not UTF-8: {error}.", status=400, code="not_csv") from error
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next((cells for cells in lines if cells), None)
        if header is None:
            raise RequestError("The body is empty, expected a header and rows.", code="empty")
        wanted = _places(header, columns)
        rows: list[list[Any]] = []
        for cells in lines:
            if not cells:
                continue  # a blank line
            if len(cells) != len(header):
                raise RequestError(
                    f"row {len(rows)}: found {len(cells)} cells, expected {len(header)} as the header has.",
                    code="wrong_length",
                )
            if len(rows) == max_rows:
                raise RequestError(
                    f"Found more than {max_rows} rows, expected at most so many a request.",
                    code="too_many_rows",
                    hint="Split the request, or use batch scoring.",
                )
            rows.append([parse_cell(column, cells[place] or None) for column, place in wanted])
    except csv.Error as error:
        raise RequestError(
            f"The body is not CSV: {error}, at line {lines.line_num}.", status=400, code="not_csv"
        ) from error
    if not rows:
        raise RequestError("Found a header and no rows, expected at least one row.", code="empty")
    return rows


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

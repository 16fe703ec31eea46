"""A table of raw columns: read from a CSV or Parquet file, and turned into a data set with a target."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from mlplat.bundle.features import describe, listed
from mlplat.errors import DataError, NotFoundError
from mlplat.objects import open_objects
from mlplat.recipes import csvtext
from mlplat.recipes.kinds import RawColumn, from_arrow, from_text

if TYPE_CHECKING:
    import pandas as pd

_PARQUET = b"PAR1"


@dataclass(frozen=True)
class Table:
    """Columns by name, as they are in a file, and where they come from.

    Attributes:
        uri: the file, as it is named in messages and in the manifest.
        sha256: over the bytes of the file.
        arrow: the columns; all strings if they come from CSV.
        csv: the bytes of a CSV file, None for other sources.
    """

    uri: str
    sha256: str
    arrow: pa.Table
    csv: bytes | None = None

    @classmethod
    def from_frame(cls, frame: "pd.DataFrame", uri: str) -> "Table":
        """A pandas DataFrame as a table; its index is left out."""
        data = frame.to_csv(index=False).encode()
        return cls(uri, hashlib.sha256(data).hexdigest(), pa.Table.from_pandas(frame, preserve_index=False))

    @property
    def names(self) -> list[str]:
        """The column names, in order."""
        return list(self.arrow.column_names)

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    def where(self, row: int) -> str:
        """How a message names data row `row` (from 0): the line of a CSV file, else the row counted from 1."""
        return f"row {row + 1}" if self.csv is None else f"line {csvtext.line_of(self.csv, row)}"

    def refuse(self, column: str, row: int, found: Any, expected: str, *, hint: str = "") -> DataError:
        """The error for one cell."""
        return DataError(
            f"{self.uri}, {self.where(row)}, column {column!r}: found {describe(found)}, expected {expected}.",
            hint=hint,
        )

    def column(self, name: str, *, category: bool = False) -> RawColumn:
        """The raw values of a column, with its kind inferred.

        Args:
            name: the column.
            category: take its cells as categories, though they may look like numbers.

        Raises:
            DataError: if it has no value at all, a cell unlike all others, or a type that no model takes.
        """
        found = self.inferred(name, category=category)
        if not category:
            self.check(name, found)
        return found

    def check(self, name: str, column: RawColumn) -> None:
        """Refuse a column with a cell that cannot be meant as it is."""
        if column.stray is not None:
            row, found, expected = column.stray
            missing = "A missing value is an empty cell; for" if isinstance(found, str) else "For"
            hint = f"{missing} names that look like numbers add --param categories={name}."
            raise self.refuse(name, row, found, expected, hint=hint if self.csv is not None else "")

    def inferred(self, name: str, *, category: bool = False) -> RawColumn:
        """As `column`, but a cell unlike all others is only told in the answer."""
        cells = self.arrow.column(name)
        if self.csv is not None:
            found = from_text(cells, kind="category" if category else None)
        else:
            typed = from_arrow(cells)
            if typed is None or (category and typed.kind != "category"):
                wanted = "strings" if category else "numbers, booleans, dates or strings"
                raise DataError(f"{self.uri}: column {name!r} holds {cells.type}, expected {wanted}.")
            found = typed
        if found.missing.all():
            raise DataError(
                f"{self.uri}: column {name!r} has no values at all, expected some.", hint="Leave it out of the file."
            )
        return found

    def require(self, names: Sequence[str]) -> None:
        """Refuse a table that lacks columns.

        Raises:
            DataError: naming all that are missing, and what is there.
        """
        absent = [name for name in names if name not in self.names]
        if absent:
            hint = "Separate the columns with commas." if len(self.names) == 1 and ";" in self.names[0] else ""
            raise DataError(
                f"{self.uri} lacks {_columns(absent)}; found {_columns(self.names)}.",
                hint=hint,
            )


def read_table(source: str | Path) -> Table:
    """Read a CSV (also gzip or Zstandard) or Parquet file.

    Args:
        source: a path, or a file://, s3://, gs:// or az:// URL.

    Raises:
        NotFoundError: if there is no such file.
        DataError: if it is not one of these formats; names the line and what was expected.
    """
    uri = str(source)
    data = _read(uri)
    digest = hashlib.sha256(data).hexdigest()
    if data.startswith(_PARQUET):
        return Table(uri, digest, _parse_parquet(data, uri))
    text = csvtext.decompress(data, uri)
    return Table(uri, digest, csvtext.parse(text, uri), csv=text)


def _read(uri: str) -> bytes:
    scheme = uri.partition("://")[0] if "://" in uri else ""
    if scheme not in {"", "file"}:
        parent, _, name = uri.rpartition("/")
        return open_objects(parent, create=False).get(name)
    path = Path(unquote(urlsplit(uri).path) if scheme else uri)
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {uri}.") from error
    except IsADirectoryError as error:
        raise DataError(f"{uri} is a directory, expected a CSV or Parquet file.") from error
    except OSError as error:
        raise DataError(f"{uri} cannot be read: {error.strerror or error}.") from error


def _parse_parquet(data: bytes, uri: str) -> pa.Table:
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(pa.BufferReader(data)).read()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{uri} is a damaged Parquet file: {error}.") from error
    csvtext.check_names(list(table.column_names), uri)
    if table.num_rows == 0 or table.num_columns == 0:
        raise DataError(f"{uri} has no rows, expected some.")
    return table


def _columns(names: Sequence[str]) -> str:
    return f"the column{'s' if len(names) > 1 else ''} {listed(names)}"

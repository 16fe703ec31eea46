"""How much JSON a request of so many rows may hold: what is told by its text, before anything is made of it.

Millions of small values take a hundred times the memory of their text, and hold the process for seconds.
"""

from mlplat.errors import RequestError

MOST_NESTED = 8
"""So many lists and objects for each row that may be asked."""

MOST_VALUES = 1_000_000
"""So many values in any case, for a series may be long, of which the last ones count."""

MOST_KEYS = 250_000
"""So many keys in any case, for rows by name may have more columns than the model; each takes as much as three values."""


def check_size(body: bytes | bytearray, rows: int, columns: int, end: int | None = None) -> None:
    """Refuse JSON of far more lists, values and keys than so many rows of so many columns have.

    Args:
        body: holds the JSON.
        rows: that a request may have.
        columns: of the model.
        end: where the JSON ends, if other bytes follow it.

    Raises:
        RequestError: 422.
    """
    lists = body.count(b"[", 0, end) + body.count(b"{", 0, end)
    check_count("lists and objects", lists, MOST_NESTED * rows, rows)
    check_count("values", body.count(b",", 0, end), most_values(rows, columns, MOST_VALUES), rows)
    keys = min(body.count(b":", 0, end), body.count(b'"', 0, end) // 2)  # a text has many of one of them at most
    check_count("keys", keys, most_values(rows, columns, MOST_KEYS), rows)


def most_values(rows: int, columns: int, least: int) -> int:
    """How many values a request of so many rows may have, `least` in any case."""
    return max(least, 2 * rows * (columns + 2))


def check_count(what: str, found: int, most: int, rows: int) -> None:
    """Refuse too many of something.

    Raises:
        RequestError: 422.
    """
    if found > most:
        raise RequestError(
            f"Found {found} {what}, expected at most {most} in a request of {rows} rows.",
            code="too_many_rows",
            hint="Split the request, or use batch scoring.",
        )

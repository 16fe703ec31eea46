"""Where a page of a list ends: the sort key of its last row, so that the next page is right whatever is added meanwhile."""

import base64
import binascii
from datetime import datetime
from typing import Any

import msgspec

from mlplat.errors import RequestError

LONGEST = 2048


def encode(sort: str, value: Any, last: int) -> str:
    """The cursor behind a row.

    Args:
        sort: by what the list is sorted; a cursor belongs to it.
        value: of the row, in the column that is sorted by.
        last: the id of the row, as the value need not be its alone.
    """
    return base64.urlsafe_b64encode(msgspec.json.encode([sort, value, last])).rstrip(b"=").decode()


def decode(cursor: str, sort: str, kind: type) -> tuple[Any, int]:
    """The value and the id in a cursor.

    Args:
        cursor: as `encode` made it.
        sort: by what the list is sorted now.
        kind: of the value: str, float, int or datetime.

    Raises:
        RequestError: if it is none, or of another sort.
    """
    if len(cursor) > LONGEST:
        raise _refused()
    try:
        data = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), b"-_", validate=True)
        said, value, last = msgspec.json.decode(data, type=tuple[str, Any, int])
        value = msgspec.convert(value, type=kind)
    except (ValueError, binascii.Error, msgspec.MsgspecError, RecursionError) as error:
        raise _refused() from error
    aware = not isinstance(value, datetime) or value.tzinfo is not None
    fits = not isinstance(value, int) or -(2**63) <= value < 2**63
    if said != sort or not aware or not fits or not 0 <= last < 2**63 or (isinstance(value, str) and "\0" in value):
        raise _refused()
    return value, last


def _refused() -> RequestError:
    return RequestError(
        "The cursor is none of this list.", code="bad_cursor", hint="Take it from `next`, with the same `sort`."
    )

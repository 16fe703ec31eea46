"""W3C Trace Context: which trace a request belongs to, for logs."""

import re
from collections.abc import Mapping

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


def trace_fields(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """The fields of a log line that say which trace a request belongs to; none without a valid `traceparent`.

    Source: https://www.w3.org/TR/trace-context/
    """
    given = headers.get(b"traceparent")
    found = None if given is None else _TRACEPARENT.fullmatch(given.strip())
    if found is None:
        return {}
    return {"trace_id": found[1].decode(), "parent_span_id": found[2].decode()}

"""Conditions and ranges of HTTP: ETags, and one range of bytes (RFC 9110, sections 13 and 14)."""

import re
from dataclasses import dataclass

TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
RANGE = re.compile(r"bytes=\s*([0-9]{0,19})\s*-\s*([0-9]{0,19})\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Span:
    """Some bytes of a file: from `start` up to but not including `end`."""

    start: int
    end: int


def tags(header: str) -> list[tuple[bool, str]] | None:
    """The ETags of a header, each with whether it is a strong one; None for `*`; none for what is no list of them."""
    if header.strip() == "*":
        return None
    found = []
    at = 0
    while at < len(header):
        tag = TAG.match(header, at)
        if tag is None:
            return []
        found.append((tag[1] is None, tag[2]))
        at = tag.end()
    return found


def matches(header: str | None, etag: str) -> bool:
    """Whether `If-None-Match` names what the client has already."""
    if header is None:
        return False
    named = tags(header)
    return named is None or any(tag == etag for _, tag in named)


def span(header: str | None, condition: str | None, etag: str, size: int) -> Span | None:
    """The part of a file that is asked for.

    Args:
        header: of `Range`.
        condition: of `If-Range`; the range counts only if it is the strong ETag of the file.
        etag: of the file.
        size: of the file.

    Returns:
        None for the whole file: without a range, or with one that this server need not understand, such as several. A
        span that is empty if the range is outside of the file.
    """
    found = None if header is None else RANGE.fullmatch(header)
    if found is None or (condition is not None and tags(condition) != [(True, etag)]):
        return None
    first, last = found.groups()
    if first:
        if last and int(last) < int(first):
            return None
        end = min(int(last) + 1, size) if last else size
        return Span(int(first), end) if int(first) < size else Span(0, 0)
    if not last:
        return None
    length = min(int(last), size)
    return Span(size - length, size)

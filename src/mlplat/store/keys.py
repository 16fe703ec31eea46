"""Where things are in the store (format 1)."""

import re

from mlplat.bundle import names

NUMBER = re.compile(r"[0-9]{8}\Z")


def file(model: str, sha256: str) -> str:
    """The key of a content-addressed file."""
    return f"{model}/files/{sha256}"


def manifest(model: str, version: str) -> str:
    """The key of a version's manifest."""
    return f"{model}/versions/{version}.json"


def move(model: str, alias: str, number: int) -> str:
    """The key of one move of an alias."""
    return f"{model}/aliases/{alias}/{number:08}.json"


def tombstone(model: str, version: str) -> str:
    """The key of the note that a version was deleted."""
    return f"{model}/tombstones/{version}.json"


def version_of(key: str) -> str | None:
    """The version whose manifest is at `key`; None for anything else that lies there."""
    name = key.rpartition("/")[2]
    version = name.removesuffix(".json")
    return version if name != version and names.is_valid(version) else None


def number_of(key: str) -> int | None:
    """The number of the move at `key`; None for anything else that lies there."""
    name = key.rpartition("/")[2]
    number = name.removesuffix(".json")
    return int(number) if name != number and NUMBER.match(number) else None


def natural(name: str) -> tuple[tuple[str, int], ...]:
    """A sort key that puts v2 before v10."""
    return tuple((text, int(digits or 0)) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", name))

"""The file formats that batch reads and writes, by the endings of names."""

from enum import StrEnum


class Format(StrEnum):
    """A file format; its value is the ending of a file's name, without the first dot."""

    CSV = "csv"
    CSV_GZIP = "csv.gz"
    CSV_ZSTD = "csv.zst"
    PARQUET = "parquet"

    @property
    def is_text(self) -> bool:
        """Whether its cells are text, without types."""
        return self is not Format.PARQUET

    @property
    def codec(self) -> str | None:
        """How Arrow names the compression of the whole file."""
        return {Format.CSV_GZIP: "gzip", Format.CSV_ZSTD: "zstd"}.get(self)


ENDINGS = ", ".join(f".{each.value}" for each in Format)


def format_of(name: str) -> Format | None:
    """The format that a file's name says; None if it says none."""
    lower = name.lower()
    return next((each for each in Format if lower.endswith(f".{each.value}")), None)


def stem_of(name: str) -> str:
    """A file's name without its format: `a/b.csv.gz` is `a/b`."""
    found = format_of(name)
    return name if found is None else name[: -len(found.value) - 1]

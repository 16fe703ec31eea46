"""What is to be scored: paths, folders, globs and URLs, as a list of files."""

import glob
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from mlplat.batch.formats import ENDINGS, Format, format_of
from mlplat.errors import DataError, NotFoundError, UsageError
from mlplat.objects import Objects, open_objects

SAMPLE = "sample"
"""The input that stands for the version's own held-out rows."""

REJECTS = ".rejects.csv"
"""The ending of a rejects file's name."""

_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Source:
    """One file to score.

    Attributes:
        name: how messages and rejects name it: as it was given.
        relative: its name below the folder, or the fixed part of the glob, that it was found by.
        size: in bytes.
        format: how to read it.
        matched: whether a folder or a glob found it, so that nobody named it.
    """

    name: str
    relative: str
    size: int
    format: Format
    location: str | Path = field(repr=False)
    matched: bool = False

    @property
    def identity(self) -> str:
        """What is the same for two names of one file."""
        return identify(self.location)

    def open(self) -> BinaryIO:
        """A seekable stream over its bytes.

        Raises:
            NotFoundError: if it is gone.
            DataError: if it cannot be read.
        """
        if isinstance(self.location, str):
            parent, _, name = self.location.rpartition("/")
            return open_objects(parent, create=False).open_reader(name)
        try:
            return self.location.open("rb")
        except FileNotFoundError as error:
            raise NotFoundError(f"There is no file {self.name}.") from error
        except OSError as error:
            raise DataError(f"{self.name} cannot be read: {error.strerror or error}.") from error


def identify(location: str | Path) -> str:
    """What is the same for two names of one file: its URL, without symbolic links and `..`."""
    return location if isinstance(location, str) else location.resolve().as_uri()


def as_path(spec: str) -> str:
    """A `file://` URL as the path that it stands for; anything else as it is."""
    return unquote(spec.removeprefix("file://").removeprefix("localhost")) if spec.startswith("file://") else spec


def expand(specs: Sequence[str]) -> list[Source]:
    """The files that `specs` name: in the order given, sorted within each, none twice.

    Args:
        specs: paths, folders (their files of a known format), globs (`**` for any depth), or URLs of these.

    Raises:
        NotFoundError: if one names no file.
        UsageError: if a file's name says no format, or a URL's scheme is unknown.
    """
    found: dict[str, Source] = {}
    for spec in specs:
        for source in _expand_one(spec):
            found.setdefault(source.identity, source)
    return list(found.values())


def sample(path: Path) -> list[Source]:
    """A version's held-out rows, kept at `path`."""
    return [Source(SAMPLE, "sample.parquet", path.stat().st_size, Format.PARQUET, path)]


def _expand_one(spec: str) -> list[Source]:
    if not spec:
        raise UsageError("The input is empty.", hint="Name a file, a folder, a glob, a URL, or 'sample'.")
    path = as_path(spec)
    return _expand_url(spec) if "://" in path else _expand_path(path)


def _expand_path(spec: str) -> list[Source]:
    path = Path(spec)
    if path.is_dir():
        inside = [each for each in sorted(path.rglob("*")) if _is_data(each.relative_to(path).as_posix())]
        files = [_local(each, each.relative_to(path).as_posix(), matched=True) for each in inside if each.is_file()]
        return _some(files, f"{spec} is a folder without a file that ends in {ENDINGS}.")
    if path.exists():
        return [_local(path, path.name)]
    if not _MAGIC.search(spec):
        raise NotFoundError(f"There is no file {spec}.", hint=_neighbours(path))
    fixed = _fixed_part(spec)
    matches = (Path(each) for each in sorted(glob.glob(spec, recursive=True)))  # noqa: PTH207 (keeps `./` and `..`)
    files = [_local(each, each.relative_to(fixed).as_posix(), matched=True) for each in matches if each.is_file()]
    return _some(files, f"No file matches {spec}.")


def _expand_url(spec: str) -> list[Source]:
    if not _MAGIC.search(spec):
        folder, _, name = spec.rstrip("/").rpartition("/")
        objects = open_objects(folder, create=False)
        size = objects.size(name)
        if size is not None:
            return [_remote(objects, name, size)]
        return _some(_below(spec.rstrip("/"), _is_data), f"There is no file {spec}, and none below it in {ENDINGS}.")
    folder = _fixed_part(spec)
    wanted = re.compile(_regex(spec[len(folder) + 1 :]), re.DOTALL)
    return _some(_below(folder, lambda key: bool(wanted.fullmatch(key))), f"No file matches {spec}.")


def _below(folder: str, wanted: Callable[[str], bool]) -> list[Source]:
    objects = open_objects(folder, create=False)
    return [_remote(objects, key, objects.size(key) or 0, matched=True) for key in objects.list("") if wanted(key)]


def _remote(objects: Objects, key: str, size: int, *, matched: bool = False) -> Source:
    url = f"{objects.url}/{key}"
    return Source(url, key, size, _format(url), url, matched)


def _fixed_part(spec: str) -> str:
    """The folder above the first part of `spec` that holds a wildcard."""
    match = _MAGIC.search(spec)
    head = spec[: match.start()] if match else spec
    folder = head.rpartition("/")[0]
    return folder or ("/" if head.startswith("/") else "")


def _regex(pattern: str) -> str:
    """A glob over keys as a regular expression: `*` and `?` stay within a part, `**` spans parts."""
    tokens = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(each) or _class_or_text(each) for each in tokens)


def _class_or_text(token: str) -> str:
    if token.startswith("[") and token.endswith("]"):
        inner = token[1:-1].replace("\\", "\\\\")
        return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
    return re.escape(token)


def _local(path: Path, relative: str, *, matched: bool = False) -> Source:
    return Source(str(path), relative, path.stat().st_size, _format(str(path)), path, matched)


def _format(name: str) -> Format:
    found = format_of(name)
    if found is None:
        raise UsageError(f"The name of the file {name} says no format.", hint=f"Let it end in one of {ENDINGS}.")
    return found


def _is_data(relative: str) -> bool:
    """Whether a file of a folder is data: not hidden, no bookkeeping, no rejects, of a known format."""
    parts = relative.split("/")
    return (
        not any(part[0] in "._" for part in parts)
        and not relative.endswith(REJECTS)
        and format_of(relative) is not None
    )


def _some(files: list[Source], otherwise: str) -> list[Source]:
    if not files:
        raise NotFoundError(otherwise, hint="Quote a glob, so that the shell passes it on.")
    return files


def _neighbours(path: Path) -> str:
    """What is there instead, for a person who mistyped."""

    def names() -> Iterator[str]:
        if path.parent.is_dir():
            yield from sorted(each.name for each in path.parent.iterdir() if format_of(each.name) is not None)

    found = list(names())[:5]
    return f"There are: {', '.join(found)}." if found else ""

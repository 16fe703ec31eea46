"""Where predictions go: one file, or one per input below a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlplat.batch.formats import ENDINGS, Format, format_of, stem_of
from mlplat.batch.inputs import REJECTS, Source
from mlplat.errors import UsageError
from mlplat.objects import Objects, open_objects


@dataclass(frozen=True, slots=True)
class Target:
    """A file to write: the object `key`, in a format, from some inputs."""

    objects: Objects
    key: str
    format: Format
    sources: tuple[Source, ...]

    @property
    def name(self) -> str:
        """Its URL."""
        return f"{self.objects.url}/{self.key}"

    @property
    def rejects_key(self) -> str:
        """The file of its rejected rows, next to it."""
        return stem_of(self.key) + REJECTS

    @property
    def rejects_name(self) -> str:
        """The URL of that file."""
        return f"{self.objects.url}/{self.rejects_key}"

    def exists(self) -> bool:
        """Whether it is there, so complete."""
        return self.objects.size(self.key) is not None


def fill(output: str, *, version: str, time: datetime) -> str:
    """An output's name with `{version}` and `{time}` (as 20260131T080000Z) filled in."""
    return output.replace("{version}", version).replace("{time}", time.strftime("%Y%m%dT%H%M%SZ"))


def is_folder(output: str) -> bool:
    """Whether an output is a folder: it ends with '/', or is one."""
    return output.endswith("/") or ("://" not in output and Path(output).is_dir())


def plan(output: str, sources: Sequence[Source]) -> list[Target]:
    """The files to write for `sources`: one for all of them, or one for each if the output is a folder.

    In a folder each keeps its name, and its format unless the folder's name says one.

    Raises:
        UsageError: if the name says no format, or a file would be written twice or over an input.
    """
    if is_folder(output):
        folder = output.rstrip("/") or "/"
        objects = open_objects(folder)
        kind = format_of(folder)
        targets = [
            Target(objects, f"{stem_of(source.relative)}.{kind or source.format}", kind or source.format, (source,))
            for source in sources
        ]
    else:
        found = require_format(output)
        parent, _, name = output.rpartition("/")
        root = "/" if output.startswith("/") else "."
        targets = [Target(open_objects(parent or root), name, found, tuple(sources))]
    _refuse_collisions(targets)
    return targets


def require_format(output: str) -> Format:
    """The format that an output's name says."""
    found = format_of(output.rstrip("/"))
    if found is None:
        raise UsageError(
            f"The name of the output {output} says no format.",
            hint=f"Let it end in one of {ENDINGS}, or in '/' for one file per input.",
        )
    return found


def one_kind(sources: Sequence[Source]) -> None:
    """Refuse to put CSV and Parquet into one output: only one of them has types."""
    if len({source.format.is_text for source in sources}) > 1:
        raise UsageError(
            "The inputs are CSV and Parquet, expected one of them for one output.",
            hint="Let the output end with '/' for one file per input.",
        )


def _refuse_collisions(targets: list[Target]) -> None:
    seen: dict[str, str] = {}
    for target in targets:
        names = ", ".join(source.name for source in target.sources)
        if target.name in seen:
            raise UsageError(f"{seen[target.name]} and {names} would both be written to {target.name}.")
        seen[target.name] = names
    for target in targets:
        for source in target.sources:
            if source.identity in seen:
                raise UsageError(f"The output {source.name} is an input.", hint="Write to another name or folder.")

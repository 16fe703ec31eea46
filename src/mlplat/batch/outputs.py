"""Where predictions go: one file, or one per input below a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlplat.batch.formats import ENDINGS, Format, format_of, stem_of
from mlplat.batch.inputs import REJECTS, Source, as_path, identify
from mlplat.errors import UsageError
from mlplat.objects import Objects, open_objects
from mlplat.objects.files import folder_of


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
        return self._url(self.key)

    @property
    def rejects_key(self) -> str:
        """The file of its rejected rows, next to it; the format stays in the name, so that each output has its own."""
        return self.key + REJECTS

    @property
    def rejects_name(self) -> str:
        """The URL of that file."""
        return self._url(self.rejects_key)

    @property
    def written(self) -> dict[str, str]:
        """The URLs of the files that may be written, replaced or removed, by the identities of these files."""
        return {identify(self._location(key)): self._url(key) for key in (self.key, self.rejects_key)}

    def _url(self, key: str) -> str:
        location = self._location(key)
        return location if isinstance(location, str) else location.as_uri()

    def _location(self, key: str) -> str | Path:
        url = self.objects.url
        return folder_of(url) / key if url.startswith("file://") else f"{url}/{key}"

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

    In a folder each keeps its name, and its format unless the folder's name says one. A file that a folder or a glob
    found is no input if it is the output of others: so an earlier run wrote it.

    Raises:
        UsageError: if the name says no format, or a file would be written twice or over an input.
    """
    targets = _targets(output, drop_outputs(sources, _targets(output, sources)))
    refuse_collisions(targets)
    return targets


def drop_outputs(sources: Sequence[Source], targets: Sequence[Target]) -> list[Source]:
    """The sources but those that a folder or a glob found and that are an output, or its rejects file, of others.

    Raises:
        UsageError: if nothing is left.
    """
    written: set[str] = set()
    for target in targets:
        alone = {source.identity for source in target.sources} if len(target.sources) == 1 else set()
        written |= target.written.keys() - alone
    left = [source for source in sources if not (source.matched and source.identity in written)]
    if not left:
        raise UsageError("All files that were found are outputs of this very command.", hint="Name the files to score.")
    return left


def _targets(output: str, sources: Sequence[Source]) -> list[Target]:
    path = as_path(output)
    if not is_folder(path):
        found = require_format(path)
        parent, _, name = path.rpartition("/")
        root = "/" if path.startswith("/") else "."
        return [Target(open_objects(parent or root), name, found, tuple(sources))]
    folder = path.rstrip("/") or "/"
    objects = open_objects(folder)
    kind = format_of(folder)
    return [
        Target(objects, f"{stem_of(source.relative)}.{kind or source.format}", kind or source.format, (source,))
        for source in sources
    ]


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


def refuse_collisions(targets: Sequence[Target]) -> None:
    """Refuse to write one file twice, or over an input.

    Raises:
        UsageError: naming the files.
    """
    seen: dict[str, str] = {}
    for target in targets:
        names = ", ".join(source.name for source in target.sources)
        for identity, url in target.written.items():
            if identity in seen:
                raise UsageError(f"{seen[identity]} and {names} would both be written to {url}.")
            seen[identity] = names
    for target in targets:
        for source in target.sources:
            if source.identity in seen:
                raise UsageError(
                    f"{source.name} is an input, and an output or its rejects file would be written there.",
                    hint="Write to another name or folder.",
                )

"""Scoring in N processes: who scores what, which version all of them use, and when the whole is complete.

Below the output, which is a folder then:

=========================================  ============================================================================
`_run.json`                                what all shards agree on; the first one writes it (put-if-absent)
`part-00003-of-00008.parquet`              the rows of one shard
`part-00003-of-00008.parquet.rejects.csv`  its rejected rows
`_parts/00003-of-00008.json`               that shard's counts, written last; with N of them the run is complete
=========================================  ============================================================================
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from mlplat.batch.deal import Share
from mlplat.batch.formats import Format
from mlplat.batch.result import Counts
from mlplat.batch.scorer import OnError
from mlplat.errors import ConflictError, CorruptError, NotFoundError
from mlplat.objects import Objects

RUN_KEY = "_run.json"
PARTS = "_parts"


class Input(BaseModel):
    """A file as the first shard saw it."""

    model_config = ConfigDict(frozen=True)

    name: str
    size: int


class Run(BaseModel):
    """What all shards agree on. `csv_block_rows` is None where CSV is dealt out by file."""

    model_config = ConfigDict(frozen=True)

    model: str
    version: str
    shards: int
    inputs: tuple[Input, ...]
    columns: tuple[str, ...]
    format: Format
    on_error: OnError
    csv_block_rows: int | None
    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))


class Part(BaseModel):
    """What one shard did."""

    model_config = ConfigDict(frozen=True)

    shard: int
    shards: int
    file: str
    counts: Counts
    seconds: float
    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))


def read_run(objects: Objects) -> Run | None:
    """What was agreed on; None if no shard has started."""
    try:
        data = objects.get(RUN_KEY)
    except NotFoundError:
        return None
    try:
        return Run.model_validate_json(data)
    except ValidationError as error:
        raise CorruptError(
            f"{objects.url}/{RUN_KEY} is no batch run that this release can read.", hint="Use another output."
        ) from error


def agree(objects: Objects, run: Run) -> Run:
    """Propose a run; the one that all shards use comes back, which is the first that was proposed."""
    objects.put_if_absent(RUN_KEY, run.model_dump_json(indent=1).encode())
    agreed = read_run(objects)
    if agreed is None:
        raise ConflictError(
            f"{objects.url}/{RUN_KEY} was removed while the run went on.", hint="Start all shards anew."
        )
    return agreed


def check(agreed: Run, mine: Run, url: str) -> None:
    """Refuse to take part in another run.

    Raises:
        ConflictError: saying what differs.
    """
    for what, theirs, ours in _differences(agreed, mine):
        raise ConflictError(
            f"The run in {url} has {what} {theirs}, this shard {ours}; nothing was written.",
            hint="Use another output for another run.",
        )


def read_part(objects: Objects, share: Share) -> Part | None:
    """What a shard did; None if it has not finished."""
    try:
        return Part.model_validate_json(objects.get(part_key(share)))
    except NotFoundError:
        return None
    except ValidationError as error:
        raise CorruptError(
            f"{objects.url}/{part_key(share)} is damaged.", hint="Run the shard with --overwrite."
        ) from error


def write_part(objects: Objects, share: Share, part: Part) -> None:
    """Say that a shard has finished."""
    with objects.open_writer(part_key(share)) as stream:
        stream.write(part.model_dump_json(indent=1).encode())


def is_complete(objects: Objects, shards: int) -> bool:
    """Whether all shards have finished."""
    done = set(objects.list(PARTS))
    return all(part_key(Share(index, shards)) in done for index in range(shards))


def part_key(share: Share) -> str:
    """The key of a part manifest."""
    return f"{PARTS}/{share.label}.json"


def _differences(agreed: Run, mine: Run) -> Iterator[tuple[str, object, object]]:
    if agreed.inputs != mine.inputs:
        theirs, ours = set(agreed.inputs) - set(mine.inputs), set(mine.inputs) - set(agreed.inputs)
        yield "the inputs", _some(theirs or set(agreed.inputs)), _some(ours or set(mine.inputs))
    for field, words in (
        ("model", "the model"),
        ("version", "the version"),
        ("shards", "shards:"),
        ("format", "the format"),
        ("on_error", "on_error"),
        ("columns", "the columns"),
    ):
        if getattr(agreed, field) != getattr(mine, field):
            yield words, getattr(agreed, field), getattr(mine, field)


def _some(inputs: set[Input]) -> str:
    shown = sorted(f"{each.name} ({each.size} bytes)" for each in inputs)
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")

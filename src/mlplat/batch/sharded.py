"""Scoring one shard of a run."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mlplat.batch import parquetfile, shards
from mlplat.batch.deal import Share, block_rows_for, deal
from mlplat.batch.formats import format_of
from mlplat.batch.outputs import Target, drop_outputs, refuse_collisions
from mlplat.batch.result import BatchResult
from mlplat.batch.scoring import Scoring, columns_of, load, sources_of, write
from mlplat.batch.shards import Input, Part, Run
from mlplat.bundle.manifest import Manifest
from mlplat.objects import Objects, open_objects


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be scored, with what, and into which folder."""

    model: str
    version: str | None
    alias: str | None
    inputs: Sequence[str]
    folder: str


def score_share(scoring: Scoring, share: Share, wanted: Wanted) -> BatchResult:
    """Score one shard into the folder of its run, unless it has finished.

    Raises:
        ConflictError: if the folder is of another run.
    """
    began = time.monotonic()
    objects = open_objects(wanted.folder)
    run, manifest, target = _join(scoring, share, wanted, objects)
    part = None if scoring.overwrite else shards.read_part(objects, share)
    if part is not None:
        complete = shards.is_complete(objects, share.of)
        seconds = time.monotonic() - began
        return BatchResult(run.model, run.version, skipped=(target.name,), seconds=seconds, complete=complete)
    groups = [0 if source.format.is_text else parquetfile.count_row_groups(source) for source in target.sources]
    tasks = deal(target.sources, groups, share, run.csv_block_rows)
    counts = write(scoring, load(scoring, manifest), target, tasks)
    seconds = time.monotonic() - began
    part = Part(shard=share.index, shards=share.of, file=target.key, counts=counts, seconds=seconds)
    shards.write_part(objects, share, part)
    return BatchResult(
        run.model,
        run.version,
        counts,
        outputs=(target.name,),
        rejects=(target.rejects_name,) if counts.rejected else (),
        seconds=seconds,
        complete=shards.is_complete(objects, share.of),
    )


def _join(scoring: Scoring, share: Share, wanted: Wanted, objects: Objects) -> tuple[Run, Manifest, Target]:
    """Take part in the run of a folder, or start it: the version that the first shard found is the one of all."""
    agreed = shards.read_run(objects)
    while True:
        pinned = agreed.version if agreed is not None and wanted.version is None else None
        version = pinned or scoring.store.resolve(wanted.model, version=wanted.version, alias=wanted.alias)
        manifest = scoring.store.manifest(wanted.model, version)
        found = sources_of(scoring, manifest, wanted.inputs)
        kind = format_of(wanted.folder) or found[0].format
        parts = [f"part-{Share(index, share.of).label}.{kind}" for index in range(share.of)]
        sources = drop_outputs(found, [Target(objects, part, kind, tuple(found)) for part in parts])
        target = Target(objects, parts[share.index], kind, tuple(sources))
        refuse_collisions([target])
        mine = Run(
            model=wanted.model,
            version=version,
            shards=share.of,
            inputs=tuple(Input(name=source.name, size=source.size) for source in sources),
            columns=tuple(columns_of(target, manifest).source.names),
            format=kind,
            on_error=scoring.on_error,
            csv_block_rows=block_rows_for(sources, share.of),
        )
        if agreed is None:
            agreed = shards.agree(objects, mine)
            if agreed.version != version and wanted.version is None:
                continue  # another shard was faster, and the alias moved in between
        shards.check(agreed, mine, objects.url)
        return agreed, manifest, target

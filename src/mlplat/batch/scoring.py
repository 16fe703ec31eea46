"""How rows get from inputs to an output, whatever part of them and wherever it is."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

import structlog

from mlplat.batch import csvfile, parquetfile
from mlplat.batch.chunks import Chunk, blocks, split
from mlplat.batch.columns import Columns, arrange, read_schema, same
from mlplat.batch.deal import Task
from mlplat.batch.inputs import SAMPLE, Source, expand, sample
from mlplat.batch.outputs import Target, one_kind
from mlplat.batch.pipeline import overlap
from mlplat.batch.progress import Progress, silent
from mlplat.batch.rejects import open_rejects
from mlplat.batch.result import Counts
from mlplat.batch.scorer import OnError, Scorer
from mlplat.batch.writers import open_rows
from mlplat.bundle.manifest import HELD_OUT_FILE, Manifest
from mlplat.errors import NotFoundError, UsageError
from mlplat.runtime.predictor import Predictor
from mlplat.store import Cache, Store

CHUNK_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Scoring:
    """How rows are scored: all that does not depend on the file."""

    store: Store
    cache: Cache
    on_error: OnError = "fail"
    overwrite: bool = False
    chunk_rows: int = CHUNK_ROWS
    threads: int = 2
    allow_pickle: bool = False
    progress: Progress = silent


def sources_of(scoring: Scoring, manifest: Manifest, inputs: Sequence[str]) -> list[Source]:
    """The files to score; "sample" stands for the version's held-out rows."""
    if SAMPLE not in inputs:
        return expand(inputs)
    if len(inputs) > 1:
        raise UsageError("'sample' stands alone.", hint="Score a file of this name as ./sample.")
    if HELD_OUT_FILE not in manifest.files:
        raise NotFoundError(
            f"{manifest.model} {manifest.version} was published without held-out rows.", hint="Name a file to score."
        )
    return sample(scoring.cache.fetch(scoring.store, manifest, [HELD_OUT_FILE])[HELD_OUT_FILE])


def load(scoring: Scoring, manifest: Manifest) -> Predictor:
    """The version, from the cache. Its parallelism is that of the chunks, so each runs on one thread."""
    wanted = [name for name in (manifest.model_file, HELD_OUT_FILE) if name in manifest.files]
    paths = scoring.cache.fetch(scoring.store, manifest, wanted)
    return Predictor.load(manifest, paths[manifest.model_file], threads=1, allow_pickle=scoring.allow_pickle)


def columns_of(target: Target, manifest: Manifest) -> Columns:
    """The columns of an output, after all its inputs were looked at."""
    one_kind(target.sources)
    first, *others = target.sources
    schema = read_schema(first)
    columns = arrange(first, schema, manifest, to_text=target.format.is_text)
    for source in others:
        same(first, schema, source, read_schema(source))
    return columns


def write(scoring: Scoring, predictor: Predictor, target: Target, tasks: Sequence[Task]) -> Counts:
    """Score into one file, which appears when it is whole, after its rejects file."""
    manifest = predictor.manifest
    columns = columns_of(target, manifest)
    counts = Counts()
    rejecting = scoring.on_error == "reject"
    with (
        structlog.contextvars.bound_contextvars(model=manifest.model, version=manifest.version),
        target.objects.open_writer(target.key) as stream,
        open_rejects(
            target.objects, target.rejects_key, columns.source.names, replace=rejecting or scoring.overwrite
        ) as rejects,
        open_rows(stream, target.format, columns.schema) as writer,
        scoring.progress(sum(task.source.size for task in tasks)) as advance,
    ):
        scorer = Scorer(predictor, columns, scoring.on_error, writer.encode)
        with closing(overlap(_read(tasks, scoring.chunk_rows), scorer, workers=scoring.threads)) as scored:
            for each in scored:
                writer.write(each.encoded)
                rejects.write(each.rejects)
                empty, rejected = (0, each.bad) if rejecting else (each.bad, 0)
                counts += Counts(each.rows, each.rows - each.bad, empty, rejected)
                advance(each.rows, each.progress)
    return counts


def _read(tasks: Sequence[Task], chunk_rows: int) -> Generator[Chunk]:
    for task in tasks:
        if task.source.format.is_text:
            for chunk in csvfile.read_chunks(task.source, csvfile.read_header(task.source)):
                for part in blocks(chunk, task.block_rows, task.share) if task.share is not None else [chunk]:
                    yield from split(part, chunk_rows)
        else:
            yield from parquetfile.read_chunks(task.source, task.row_groups, chunk_rows)

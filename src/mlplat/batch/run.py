"""Batch scoring from start to end."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from mlplat.batch.deal import Share, Task
from mlplat.batch.outputs import Target, fill, plan
from mlplat.batch.progress import Progress, silent
from mlplat.batch.result import BatchResult, Counts
from mlplat.batch.scorer import OnError
from mlplat.batch.scoring import CHUNK_ROWS, Scoring, load, sources_of, write
from mlplat.batch.sharded import Wanted, score_share
from mlplat.bundle.manifest import Manifest
from mlplat.errors import UsageError
from mlplat.store import Cache, Store


def score(
    *,
    store: Store,
    cache: Cache,
    model: str,
    version: str | None = None,
    alias: str | None = None,
    inputs: Sequence[str],
    output: str,
    on_error: OnError = "fail",
    overwrite: bool = False,
    share: Share | None = None,
    chunk_rows: int = CHUNK_ROWS,
    threads: int = 2,
    allow_pickle: bool = False,
    progress: Progress = silent,
) -> BatchResult:
    """Score files with one version of a model.

    Args:
        store: where the version is.
        cache: of its files.
        model: the model's name.
        version: of the model; or
        alias: what names the version.
        inputs: paths, folders, globs and URLs of CSV (also .gz, .zst) and Parquet; or "sample" alone, for the rows
            that training held out.
        output: a path or URL whose ending says the format; a folder (ending with '/') gets one file per input, else
            all inputs go to one file. `{time}` and `{version}` are filled in. With `share` it is the folder of a run.
        on_error: end at the first row that cannot be scored; leave its prediction empty; or reject it to a file.
        overwrite: replace what is complete already, instead of skipping it.
        share: score only a part of the rows.
        chunk_rows: at most so many rows are predicted at once.
        threads: how many chunks are worked on at once.
        allow_pickle: as of `Predictor.load`.
        progress: is told how far it is.

    Raises:
        UsageError: for options that cannot be meant.
        NotFoundError: for a model, version, alias or input that does not exist.
        DataError: for an input that cannot be read, or a row that cannot be scored.
        ConflictError: if the output is of another sharded run.
    """
    if threads < 1 or chunk_rows < 1:
        raise UsageError("threads and chunk_rows must be at least 1.")
    began, now = time.monotonic(), datetime.now(UTC)
    scoring = Scoring(store, cache, on_error, overwrite, chunk_rows, threads, allow_pickle, progress)
    if share is not None:
        if "{time}" in output or ("{version}" in output and version is None):
            raise UsageError(
                "All shards need the same output, but {time}, and {version} of an alias, may differ between them.",
                hint="Name the version, and write a time into the output yourself.",
            )
        folder = fill(output, version=version or "", time=now).rstrip("/")
        return score_share(scoring, share, Wanted(model, version, alias, inputs, folder))
    version = store.resolve(model, version=version, alias=alias)
    manifest = store.manifest(model, version)
    targets = plan(fill(output, version=version, time=now), sources_of(scoring, manifest, inputs))
    done = [] if overwrite else [target for target in targets if target.exists()]
    todo = [target for target in targets if target not in done]
    counts = _write_all(scoring, manifest, todo) if todo else []
    return BatchResult(
        model,
        version,
        sum(counts, Counts()),
        outputs=tuple(target.name for target in todo),
        skipped=tuple(target.name for target in done),
        rejects=tuple(target.rejects_name for target, one in zip(todo, counts, strict=True) if one.rejected),
        seconds=time.monotonic() - began,
    )


def _write_all(scoring: Scoring, manifest: Manifest, targets: Sequence[Target]) -> list[Counts]:
    predictor = load(scoring, manifest)
    return [write(scoring, predictor, target, [Task(source) for source in target.sources]) for target in targets]

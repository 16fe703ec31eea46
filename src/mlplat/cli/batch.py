"""`mlplat batch`."""

import os
from typing import TYPE_CHECKING

import typer

from mlplat.cli.app import app
from mlplat.cli.options import command
from mlplat.errors import UsageError
from mlplat.settings import BatchSettings
from mlplat.store import Cache, open_store

if TYPE_CHECKING:
    from mlplat.batch import Share


@command(
    app,
    BatchSettings,
    name="batch",
    epilog="Example: mlplat batch --model iris --alias champion --input 'in/*.csv' --output scored.parquet",
)
def batch(settings: BatchSettings) -> None:
    """Score files with one version: the same features and answers as /predict.

    Columns are found by name; further ones are carried through. Adds prediction, a probability for each class, and
    model_version. The output appears whole or not at all; a complete one is skipped unless --overwrite.
    """
    from mlplat.batch import progress, score

    result = score(
        store=open_store(settings.store, create=False),
        cache=Cache(settings.cache, max_bytes=settings.cache_bytes),
        model=settings.model,
        version=settings.version,
        alias=settings.alias,
        inputs=[settings.input],
        output=settings.output,
        on_error=settings.on_error,
        overwrite=settings.overwrite,
        share=share(settings.shard, settings.shards, os.environ.get("JOB_COMPLETION_INDEX")),
        chunk_rows=settings.chunk_rows,
        threads=settings.threads,
        allow_pickle=settings.allow_pickle,
        progress=progress.choose(),
    )
    for name in result.skipped:
        typer.echo(f"{name} is complete already; --overwrite replaces it")
    for name in result.outputs:
        typer.echo(f"{name} is complete")
    for name in result.rejects:
        typer.echo(f"{name} says which rows were rejected, and why")
    counts = result.counts
    typer.echo(
        f"{result.model} {result.version}: {counts.rows} rows, {counts.scored} scored, {counts.empty} left empty, "
        f"{counts.rejected} rejected, in {result.seconds:.1f} s"
    )
    if not result.complete:
        typer.echo("other shards are still to finish")


def share(shard: str | None, shards: int | None, index: str | None) -> "Share | None":
    """The part of the rows to score, from `--shard I/N`, or `--shards N` and the index of a Kubernetes Job's pod.

    Raises:
        UsageError: if they do not fit together.
    """
    from mlplat.batch import Share

    if shard is not None:
        part = Share.parse(shard)
        if shards not in {None, part.of}:
            raise UsageError(f"--shard {shard} and --shards {shards} disagree.", hint="Give one of them.")
        return part
    if shards is None:
        return None
    if index is None or not (index.isascii() and index.isdigit()):
        raise UsageError(
            f"--shards {shards} needs JOB_COMPLETION_INDEX, which Kubernetes sets in the pods of an Indexed Job.",
            hint=f"Elsewhere use --shard 0/{shards} to --shard {shards - 1}/{shards}.",
        )
    return Share(int(index), shards)

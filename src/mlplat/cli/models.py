"""`mlplat models`: look at versions and aliases, and move them."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import Field

from mlplat.bundle.manifest import Manifest, utc
from mlplat.cli.app import app
from mlplat.cli.options import command
from mlplat.cli.show import ListSettings, print_json, print_rows, print_table
from mlplat.errors import NoStoreError, NotFoundError, UsageError
from mlplat.settings import StoreSettings, Variable
from mlplat.store import Move, Store, open_store, prune, pull, push, rollback

models = typer.Typer(
    name="models", help="List, check, promote, roll back, prune and copy versions.", no_args_is_help=True
)
app.add_typer(models)

Model = Annotated[str, typer.Argument(help="Name of the model.")]
Version = Annotated[str, typer.Argument(help="A version, or an alias of one.")]
Alias = Annotated[str, typer.Argument(help="Name of the alias, e.g. champion.")]


class LookSettings(StoreSettings, ListSettings):
    """Settings of the commands that list what is in a store."""


class MoveSettings(StoreSettings):
    """Settings of the commands that move an alias."""

    reason: str | None = Field(None, description="Why; kept in the alias's history.")
    by: str | None = Field(None, description="Who; kept in the alias's history. This user, if not given.")


class RollbackSettings(MoveSettings):
    """Settings of `mlplat models rollback`."""

    to: str | None = Field(None, description="Go back to this version of the alias's history.")
    at: datetime | None = Field(
        None, description="Go back to what it named at this time, e.g. 2026-01-31T08:00, or one that `history` prints."
    )


class PushSettings(StoreSettings):
    """Settings of `mlplat models push`."""

    sample: str | None = Field(None, description="Rows for an estimator: path or URL of a CSV or Parquet file.")
    model: Annotated[str | None, Variable("MLPLAT_PUSH_MODEL")] = Field(
        None, description="Name of the model; a folder has one of its own."
    )
    version: Annotated[str | None, Variable("MLPLAT_PUSH_VERSION")] = Field(
        None, description="Name of the version; a folder has one of its own."
    )
    target: Annotated[str | None, Variable("MLPLAT_PUSH_TARGET")] = Field(
        None, description="Column of the sample with the truth, for metrics."
    )
    task: Literal["classification", "regression"] | None = Field(
        None, description="What the estimator predicts, where it does not tell itself."
    )


class PruneSettings(LookSettings):
    """Settings of `mlplat models prune`."""

    keep: int | None = Field(None, ge=1, description="Keep the N newest versions besides.")
    older_than_days: float = Field(30.0, ge=0, le=36_500, description="Leave versions younger than this alone.")
    yes: bool = Field(False, description="Really delete; without it, only say what would be.")


@command(models, LookSettings, name="list")
def list_(
    settings: LookSettings,
    model: Annotated[str | None, typer.Argument(help="A model, to list its versions; else all models.")] = None,
) -> None:
    """List the models, or the versions of one."""
    store = open_store(settings.store, create=False)
    try:
        rows = _models(store) if model is None else _versions(store, model)
    except NoStoreError:
        if model is not None:
            raise
        rows = []
    print_rows(
        rows, settings.output, empty=f"Nothing is in {settings.store} yet; try: mlplat train --recipe iris --version v1"
    )


@command(models, LookSettings, name="show")
def show(model: Model, version: Version, settings: LookSettings) -> None:
    """Show a version: how it was made, what goes in, what comes out, how good it is."""
    store = open_store(settings.store, create=False)
    manifest = store.manifest(model, _named(store, model, version))
    if settings.output == "json":
        print_json(manifest.model_dump(mode="json"))
    else:
        print_table(_facts(manifest, store))


@command(models, LookSettings, name="history")
def history(model: Model, alias: Alias, settings: LookSettings) -> None:
    """Show every move of an alias, oldest first."""
    store = open_store(settings.store, create=False)
    rows = [_move(move) for move in store.history(model, alias)]
    if not rows:
        store.alias(model, alias)  # says what exists instead
    print_rows(rows, settings.output)


@command(models, LookSettings, name="verify")
def verify(
    model: Model,
    settings: LookSettings,
    version: Annotated[str | None, typer.Argument(help="A version or an alias; all versions if left out.")] = None,
) -> None:
    """Check that every file of a version is there and has its bytes."""
    store = open_store(settings.store, create=False)
    names = store.versions(model) if version is None else [_named(store, model, version)]
    if not names:
        raise NotFoundError(f"There is no model {model} in {settings.store}.")
    verified = []
    for name in names:
        manifest = store.verify(model, name)
        size = sum(entry.bytes for entry in manifest.files.values())
        verified.append({"model": model, "version": name, "files": len(manifest.files), "bytes": size})
        if settings.output == "table":
            typer.echo(f"{model} {name}: {len(manifest.files)} files, {size} bytes, all as published")
    if settings.output == "json":
        print_json(verified)


@command(models, MoveSettings, name="promote")
def promote(
    model: Model,
    version: Version,
    settings: MoveSettings,
    alias: Annotated[str, typer.Argument(help="The alias to move.")] = "champion",
) -> None:
    """Move an alias to a version; servers that follow it swap without a failed request."""
    store = open_store(settings.store, create=False)
    wanted = _named(store, model, version)
    reason = settings.reason or "promoted by hand"
    _tell(store.move(model, alias, wanted, reason=reason, by=settings.by or user()), model, alias)


@command(models, RollbackSettings, name="rollback")
def rollback_(model: Model, alias: Alias, settings: RollbackSettings) -> None:
    """Move an alias back to what it named before, or to what --to or --at says."""
    store = open_store(settings.store, create=False)
    move = rollback(
        store,
        model,
        alias,
        to=settings.to,
        at=_moment(settings.at),
        by=settings.by or user(),
        reason=settings.reason or "rollback",
    )
    _tell(move, model, alias)


@command(models, PruneSettings, name="prune")
def prune_(model: Model, settings: PruneSettings) -> None:
    """Delete old versions that no alias names or lately named; a dry run unless --yes."""
    store = open_store(settings.store, create=False)
    report = prune(
        store,
        model,
        keep=settings.keep,
        older_than=timedelta(days=settings.older_than_days),
        dry_run=not settings.yes,
    )
    if settings.output == "json":
        print_json(report.model_dump())
        return
    done = "Deleted" if settings.yes else "Would delete (say --yes to do it)"
    typer.echo(f"{done}: {', '.join(report.versions) or 'no version'}; {report.bytes} bytes of files")


@command(models, StoreSettings, name="pull")
def pull_(
    model: Model,
    version: Version,
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    settings: StoreSettings,
) -> None:
    """Copy a version, verified, into a plain folder."""
    store = open_store(settings.store, create=False)
    manifest = pull(store, model, _named(store, model, version), folder)
    typer.echo(f"{model} {manifest.version} is in {folder}")


@command(
    models,
    PushSettings,
    name="push",
    epilog="Examples: mlplat models push ./iris-v1  |  "
    "mlplat models push estimator.joblib --sample rows.csv --target kind --model iris --version v1",
)
def push_(
    source: Annotated[Path, typer.Argument(help="A folder that `pull` made, or the file of a fitted estimator.")],
    settings: PushSettings,
) -> None:
    """Publish a folder that `pull` made, or your own fitted scikit-learn estimator.

    An estimator is loaded here, which runs what is in its file; then it is exported to ONNX, and the export compared with
    it on the sample. A sample with the target gives metrics, too.
    """
    if source.is_dir():
        if settings.sample is not None or settings.target is not None or settings.task is not None:
            raise UsageError("--sample, --target and --task are about an estimator, not a folder.")
        pushed = push(open_store(settings.store), source, model=settings.model, version=settings.version)
        typer.echo(f"{pushed.model} {pushed.version} is in {settings.store}")
        return
    if settings.sample is None or settings.model is None or settings.version is None:
        raise UsageError(
            f"{source} is no folder; an estimator needs --sample, --model and --version.",
            hint="The sample is a CSV or Parquet file of rows that it predicts from.",
        )
    from mlplat.train.push import push_estimator

    result = push_estimator(
        store=open_store(settings.store),
        path=source,
        sample=settings.sample,
        model=settings.model,
        version=settings.version,
        target=settings.target,
        task=settings.task,
    )
    manifest = result.manifest
    done = "is" if result.published else "was already"
    typer.echo(f"{manifest.model} {manifest.version} {done} in {settings.store}")
    if manifest.metrics:
        typer.echo("  ".join(f"{name} {value:.4g}" for name, value in manifest.metrics.items()))


def _named(store: Store, model: str, version: str) -> str:
    """The version that a VERSION argument names, directly or as an alias; a version goes first."""
    if version not in store.versions(model) and version in store.aliases(model):
        return store.alias(model, version).version
    return version


def _models(store: Store) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for model in store.models():
        aliases = {name: move.version for name, move in store.aliases(model).items()}
        rows.append({"model": model, "versions": store.versions(model), "aliases": aliases})
    return rows


def _versions(store: Store, model: str) -> list[dict[str, object]]:
    versions = store.versions(model)
    if not versions:
        known = ", ".join(store.models()) or "none"
        raise NotFoundError(f"There is no model {model} in {store.url}.", hint=f"Models there: {known}.")
    aliases = store.aliases(model)
    rows: list[dict[str, object]] = []
    for version in versions:
        manifest = store.manifest(model, version)
        rows.append(
            {
                "version": version,
                "aliases": [name for name, move in aliases.items() if move.version == version],
                "created": utc(manifest.created_at.astimezone(UTC)),
                "recipe": manifest.recipe.name,
                "params": manifest.recipe.params,
                "rows": manifest.data.rows,
                "metrics": {name: round(value, 4) for name, value in manifest.metrics.items()},
            }
        )
    return rows


def _facts(manifest: Manifest, store: Store) -> list[dict[str, object]]:
    aliases = [name for name, move in store.aliases(manifest.model).items() if move.version == manifest.version]
    facts: dict[str, object] = {
        "model": manifest.model,
        "version": manifest.version,
        "aliases": aliases,
        "task": manifest.task,
        "classes": list(manifest.classes or ()),
        "columns": [f"{column.name} ({column.kind})" for column in manifest.features.columns],
        "recipe": manifest.recipe.name,
        "params": manifest.recipe.params,
        "data": f"{manifest.data.uri}: {manifest.data.rows} rows, {manifest.data.held_out} of them held out",
        "metrics": {name: round(value, 4) for name, value in manifest.metrics.items()},
        "created": utc(manifest.created_at.astimezone(UTC)),
        "runtime": manifest.runtime,
        "files": {name: f"{entry.bytes} bytes" for name, entry in manifest.files.items()},
        "packages": manifest.packages,
        "fingerprint": manifest.fingerprint,
    }
    return [{"": name, "value": value} for name, value in facts.items()]


def _move(move: Move) -> dict[str, object]:
    return {
        "at": f"{move.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",  # all digits, so that --at finds it again
        "version": move.version,
        "previous": move.previous,
        "reason": move.reason,
        "by": move.by,
    }


def _tell(move: Move, model: str, alias: str) -> None:
    before = f" (before: {move.previous})" if move.previous else ""
    typer.echo(f"{model}: {alias} is {move.version}{before}")


def _moment(given: datetime | None) -> datetime | None:
    """A time from the command line: in local time without a zone, as people read clocks; a whole second to its end."""
    if given is None:
        return None
    aware = given if given.tzinfo is not None else given.astimezone()
    return aware if aware.microsecond else aware + timedelta(seconds=1) - timedelta.resolution


def user() -> str:
    """The name of the user that runs this."""
    try:
        import getpass

        return getpass.getuser()
    except (KeyError, OSError):  # a numeric user without a name, as in a container
        return f"user {os.getuid()}"

"""`mlplat train`."""

from collections.abc import Sequence

import typer

from mlplat.cli.app import app
from mlplat.cli.options import command
from mlplat.errors import UsageError
from mlplat.settings import TrainSettings
from mlplat.store import open_store


@command(
    app,
    TrainSettings,
    name="train",
    epilog="Examples: mlplat train --recipe iris --version v1 --param n_estimators=200  |  "
    "mlplat train --recipe tabular --model churn --data customers.csv --target left --version v1 --promote champion",
)
def train(settings: TrainSettings) -> None:
    """Train a model and publish it as a new version, unless it is there already, made from the same.

    Prints the version and its metrics; progress goes to standard error. A version that is there but was made from
    something else is left alone (exit code 4). A parameter that the recipe does not have is refused with those it has.
    """
    from mlplat.train.gate import Promotion
    from mlplat.train.run import train as run

    promotion = None
    limits = settings.margin > 0 or settings.floor is not None
    if limits and settings.if_better is None:
        raise UsageError("--margin and --floor are about the metric of --if-better.", hint="Add --if-better METRIC.")
    if settings.promote is not None:
        promotion = Promotion(
            alias=settings.promote,
            if_absent=settings.if_absent,
            if_better=settings.if_better,
            margin=settings.margin,
            floor=settings.floor,
        )
    elif settings.if_absent or settings.if_better:
        raise UsageError("--if-absent and --if-better say when to promote.", hint="Add --promote ALIAS.")
    result = run(
        store=open_store(settings.store),
        recipe=settings.recipe,
        model=settings.model,
        version=settings.version,
        params=parameters(settings.param, settings.target),
        data=settings.data,
        seed=settings.seed,
        jobs=settings.jobs,
        allow_pickle=settings.allow_pickle,
        promotion=promotion,
        keep=settings.keep,
        run=settings.run,
    )
    manifest = result.manifest
    done = "published" if result.published else "was there already"
    typer.echo(f"{manifest.model} {manifest.version} {done}")
    if result.outdated:
        made = f"an earlier try of the run {settings.run}, from {manifest.data.uri} with {manifest.data.rows} rows"
        typer.echo(f"made by {made}; the data is another now, and nothing was trained from it: give --run another name")
    typer.echo("  ".join(f"{name} {value:.4g}" for name, value in manifest.metrics.items()))
    if result.decision is not None and promotion is not None:
        outcome = f"is {manifest.version}" if result.decision.promote else "stays"
        typer.echo(f"{promotion.alias} {outcome}: {result.decision.reason}")
    if result.pruned:
        typer.echo(f"pruned {', '.join(result.pruned)}")
    if result.unpruned is not None:
        typer.echo(f"nothing was pruned: {result.unpruned}")


def parameters(pairs: Sequence[str], target: str | None) -> dict[str, str]:
    """The parameters of `--param NAME=VALUE`, and `--target`.

    Raises:
        UsageError: if one is not of that form, or given twice.
    """
    found = {} if target is None else {"target": target}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--param {pair!r} is not of the form NAME=VALUE.")
        if name in found:
            raise UsageError(f"The parameter {name!r} is given twice.")
        found[name] = value
    return found

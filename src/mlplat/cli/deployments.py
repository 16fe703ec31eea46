"""`mlplat deployments`: look at ModelDeployments, move them, and learn what they wait for."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import Field

from mlplat.cli.app import app
from mlplat.cli.options import command
from mlplat.cli.show import ListSettings, print_json, print_rows, print_table
from mlplat.errors import ConflictError, MlplatError, NotFoundError
from mlplat.settings import Settings, Short

if TYPE_CHECKING:
    from mlplat.operator.console import Console

deployments = typer.Typer(
    name="deployments",
    help="List, describe, promote, roll back, wait for and explain ModelDeployments, in the cluster of your kubeconfig.",
    no_args_is_help=True,
)
app.add_typer(deployments)

Name = Annotated[str, typer.Argument(help="Name of the ModelDeployment.")]

NAP_SECONDS = 1.0
"""Between looks while waiting."""


class PlaceSettings(Settings):
    """Where ModelDeployments are."""

    namespace: Annotated[str, Short("-n")] = Field("", description="Namespace; that of the context, if not given.")
    context: str = Field("", description="Context of the kubeconfig; the current one, if not given.")


class LookSettings(PlaceSettings, ListSettings):
    """Settings of the commands that show."""


class EverywhereSettings(LookSettings):
    """Settings of `mlplat deployments list`."""

    all_namespaces: Annotated[bool, Short("-A")] = Field(False, description="Of all namespaces.")


class BackSettings(PlaceSettings):
    """Settings of `mlplat deployments rollback`."""

    to: str | None = Field(None, description="Go back to this version instead.")


class WaitSettings(PlaceSettings):
    """Settings of `mlplat deployments wait`."""

    timeout: float = Field(300.0, gt=0, description="Seconds to wait at most.")


@command(deployments, EverywhereSettings, name="list", epilog="Example: mlplat deployments list -n models")
def list_(settings: EverywhereSettings) -> None:
    """List the ModelDeployments: what each is to serve, what it serves, and whether that is so."""
    rows = [_row(each) for each in _console(settings).list(everywhere=settings.all_namespaces)]
    if not settings.all_namespaces:
        for row in rows:
            del row["namespace"]
    print_rows(rows, settings.output, empty="There are none; try: kubectl apply -f examples/iris-classifier.yaml")


@command(deployments, LookSettings, name="describe", epilog="Example: mlplat deployments describe iris-classifier")
def describe(name: Name, settings: LookSettings) -> None:
    """Show all that the operator tells of a ModelDeployment."""
    found = _console(settings).get(name)
    if settings.output == "json":
        print_json(found)
    else:
        print_table([{"": key, "value": value} for key, value in _facts(found).items()])


@command(deployments, PlaceSettings, name="promote", epilog="Example: mlplat deployments promote iris-classifier v2")
def promote(
    name: Name,
    settings: PlaceSettings,
    version: Annotated[
        str | None, typer.Argument(help="The version to serve; without it, the one that is tried by a canary.")
    ] = None,
) -> None:
    """Let a ModelDeployment serve another version; `wait` waits until it does.

    Without a version: skip the other steps of its canary. One that follows an alias is moved by `mlplat models promote`, with
    all others that follow it.
    """
    from mlplat.operator.explain import status_of
    from mlplat.operator.status import Phase

    console = _console(settings)
    found = console.get(name)
    if version is not None:
        _move(console, found, version, verb=f"promote {{model}} {version} {{alias}}")
        return
    trial = status_of(found).canary
    if trial is None or trial.phase not in {Phase.STARTING, Phase.TRYING}:
        raise ConflictError(
            f"{name} tries no other version.", hint=f"mlplat deployments promote {name} VERSION moves it."
        )
    console.skip_steps(name, trial.token)
    typer.echo(f"{name} is to serve {trial.version} without the other steps (before: {trial.stable})")


@command(deployments, BackSettings, name="rollback", epilog="Example: mlplat deployments rollback iris-classifier")
def rollback(name: Name, settings: BackSettings) -> None:
    """Go back to the version that was served before; `wait` waits until it is.

    While another version rolls out, or is tried by a canary, that is the one that still serves. No canary is made on the way
    back.
    """
    from mlplat.operator.explain import status_of
    from mlplat.operator.status import back_token

    console = _console(settings)
    found = console.get(name)
    status = status_of(found)
    asked = found["spec"].get("modelVersion")  # the operator may not have looked at it yet; an alias is refused below
    under_way = str(asked) != status.served_version
    version = settings.to or (status.served_version if under_way else status.previous_version)
    if version is None and not found["spec"].get("alias"):
        raise NotFoundError(f"{name} has served nothing else before.", hint="--to names the version.")
    generation = found["metadata"]["generation"]
    token = "" if version == status.served_version else back_token(str(version), status.served_version, generation)
    _move(console, found, str(version), verb="rollback {model} {alias}", token=token)


@command(
    deployments, WaitSettings, name="wait", epilog="Example: mlplat deployments wait iris-classifier --timeout 120"
)
def wait(name: Name, settings: WaitSettings) -> None:
    """Wait until a ModelDeployment serves what it is to serve; fails when it stalls, or when the time is over."""
    from mlplat.operator.explain import condition_of, holds
    from mlplat.operator.status import ConditionType

    console = _console(settings)
    deadline = time.monotonic() + settings.timeout
    said = ""
    while True:
        found = console.get(name)
        ready = condition_of(found, ConditionType.READY)
        message = "The operator has not looked at it yet." if ready is None else ready.message
        if holds(found, ConditionType.READY) and not holds(found, ConditionType.RECONCILING):
            typer.echo(message)
            return
        if message != said:
            typer.echo(message, err=True)
            said = message
        hint = f"mlplat deployments explain {name} says why."
        if holds(found, ConditionType.STALLED) and not holds(found, ConditionType.RECONCILING):
            raise MlplatError(f"{name} is stalled.", hint=hint)
        if time.monotonic() > deadline:
            raise MlplatError(f"{name} is not ready after {settings.timeout:g} s.", hint=hint)
        time.sleep(NAP_SECONDS)


@command(deployments, LookSettings, name="explain", epilog="Example: mlplat deployments explain iris-classifier")
def explain(name: Name, settings: LookSettings) -> None:
    """Say what a ModelDeployment waits for, and why: a missing image or version, a quota, no node, a crash, what its pods say."""
    from mlplat.operator.explain import explain as explained

    sentences = explained(_console(settings).look(name))
    if settings.output == "json":
        print_json(sentences)
    else:
        typer.echo("\n".join(sentences))


def _console(settings: PlaceSettings) -> "Console":
    from mlplat.operator.console import Console

    return Console(namespace=settings.namespace, context=settings.context)


def _move(console: "Console", found: Mapping[str, Any], version: str, *, verb: str, token: str = "") -> None:
    """Let a ModelDeployment ask for a version, if that is for its spec to say."""
    name, spec = found["metadata"]["name"], found["spec"]
    if alias := spec.get("alias"):
        what = verb.format(model=spec["modelName"], alias=alias)
        raise ConflictError(f"{name} serves whatever the alias {alias} names.", hint=f"Move that: mlplat models {what}")
    before = spec["modelVersion"]
    if str(before) == version:
        typer.echo(f"{name} is to serve {version} already")
        return
    console.set_version(name, version, token=token)
    typer.echo(f"{name} is to serve {version} (before: {before})")


def _row(found: Mapping[str, Any]) -> dict[str, object]:
    from mlplat.operator.explain import condition_of, status_of
    from mlplat.operator.status import ConditionType

    status, spec = status_of(found), found["spec"]
    ready = condition_of(found, ConditionType.READY)
    return {
        "namespace": found["metadata"]["namespace"],
        "name": found["metadata"]["name"],
        "model": spec["modelName"],
        "wanted": f"@{spec['alias']}" if spec.get("alias") else str(spec["modelVersion"]),
        "served": status.served_version,
        "ready": "Unknown" if ready is None else ready.status,
        "reason": None if ready is None else ready.reason.value,
        "pods": status.ready_replicas,
    }


def _facts(found: Mapping[str, Any]) -> dict[str, object]:
    from mlplat.operator.explain import figures, status_of

    status, spec = status_of(found), found["spec"]
    rollback, trial = status.rollback, status.canary
    counted = None if trial is None else trial.counted
    return {
        **_row(found),
        "before": status.previous_version,
        "pods": f"{status.ready_replicas} of {status.replicas} ready",
        "url": status.url,
        "environment": spec.get("environment"),
        "autoscaling": spec.get("autoscaling"),
        "canary": None if trial is None else trial.message,
        "counted": None if trial is None or counted is None else figures(trial, counted),
        "given up": None if rollback is None else f"{rollback.version} ({rollback.reason}): {rollback.message}",
        **{each.type.value.lower(): f"{each.status}: {each.message}" for each in status.conditions},
    }

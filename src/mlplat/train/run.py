"""`mlplat train`: load, split, fit, export, check, publish, promote. Done once, it is done."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from mlplat import logs
from mlplat.bundle import names
from mlplat.bundle.manifest import Manifest, RecipeInfo
from mlplat.errors import ConflictError, ForbiddenError, UsageError
from mlplat.recipes import Recipe, find_recipe
from mlplat.store import Store, prune
from mlplat.train.build import Plan, build
from mlplat.train.description import Built
from mlplat.train.gate import Decision, Promotion
from mlplat.train.progress import Reporter, reporter
from mlplat.train.promotion import check_metric, current_move, promote
from mlplat.train.samples import refuse_answers

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came of a training.

    Attributes:
        manifest: the version in the store.
        published: whether this call published it; False if it was there already.
        outdated: whether it was there from an earlier try of this run, which found other data.
        decision: what became of the promotion; None if none was asked for.
        pruned: versions that were removed.
        unpruned: why none was, though it was asked for; None if there is no reason.
    """

    manifest: Manifest
    published: bool
    decision: Decision | None = None
    pruned: tuple[str, ...] = ()
    outdated: bool = False
    unpruned: str | None = None


def train(
    *,
    store: Store,
    recipe: str,
    model: str | None = None,
    version: str = AUTO,
    params: Mapping[str, Any] | None = None,
    data: str | None = None,
    seed: int = 0,
    jobs: int = 1,
    allow_pickle: bool = False,
    promotion: Promotion | None = None,
    keep: int | None = None,
    run: str | None = None,
    report: Reporter | None = None,
) -> TrainResult:
    """Train a version and publish it, unless it is there already, made from the same; then finish the promotion.

    Args:
        store: where the version goes.
        recipe: "iris", "churn", "forecast", "tabular" or `package.module:Class`.
        model: the name of the model; by default the recipe's.
        version: the name of the version, or "auto": the name of the run, or the UTC time without one.
        params: the recipe's parameters, as text or values.
        data: a path or URL, for recipes that read one.
        seed: of everything random: the same call gives the same predictions.
        jobs: how many cores to fit with, -1 for all.
        allow_pickle: publish a pickle where ONNX cannot express the estimator.
        promotion: which alias to move, and when. With "auto" and `if_absent` nothing is trained where the alias is
            there: a first version is not missing.
        keep: afterwards prune the model's versions but for so many of the newest, if the key of the store is an admin's.
        run: the name of the run (of the Job), which is the same when a pod is tried again.
        report: hears of each step; by default the terminal or the log.

    Raises:
        UsageError: if a name, parameter or option is wrong.
        NotFoundError: if the data does not exist.
        DataError: if it cannot be used.
        ExportError: if the export does not predict what the estimator predicts.
        ConflictError: if the version exists and was made from something else, or was deleted; nothing is overwritten.
        ForbiddenError: if the key of the store does not allow to publish; nothing was trained.
        StoreError: if the store cannot be read or written.
    """
    kind = find_recipe(recipe)
    chosen = kind.parse(params or {})
    model = names.check(model if model is not None else default_model(kind), "model")
    if version == AUTO and promotion is not None and promotion.if_absent:
        first = current_move(store, model, promotion.alias)
        if first is not None:
            nothing = Decision(promote=False, reason="it names a version already, so no first one was trained")
            return TrainResult(store.manifest(model, first.version), published=False, decision=nothing)
    own_run = version == AUTO and run is not None
    version = names.check(version if version != AUTO else auto_version(run), "version")
    info = RecipeInfo(name=recipe, params=_recorded(chosen.explicit(), seed), revision=kind.revision)
    report = report if report is not None else reporter()
    with structlog.contextvars.bound_contextvars(model=model, version=version):
        there = store.present(model, version)
        with report.step("load") as facts:
            rows = chosen.data(data)
            refuse_answers(rows)
            facts.update(data=rows.table.uri, rows=len(rows), columns=len(rows.columns), task=rows.task)
            facts.update({"left_out": ", ".join(rows.left_out)} if rows.left_out else {})
        with report.step("split") as facts:
            held_out = chosen.hold_out(rows)
            facts.update(training=int((~held_out).sum()), held_out=int(held_out.sum()))
        plan = Plan(chosen, info, rows, held_out, model, version, data)
        manifest, published = _same(there, plan, own_run=own_run), False
        if manifest is None:
            with tempfile.TemporaryDirectory(prefix="mlplat-train-") as folder:
                built = build(plan, Path(folder), seed=seed, jobs=jobs, allow_pickle=allow_pickle, report=report)
                if promotion is not None and promotion.if_better:
                    check_metric(promotion.if_better, built.manifest)
                manifest, published = _publish(store, plan, built, report, own_run=own_run)
        decision = None
        if promotion is not None:
            with report.step("promote") as facts:
                decision = promote(
                    store,
                    manifest,
                    promotion,
                    recipe=chosen,
                    data=rows,
                    held_out=held_out,
                    by=f"mlplat train ({run})" if run else "mlplat train",
                    allow_pickle=allow_pickle,
                )
                facts.update(alias=promotion.alias, promoted=decision.promote, reason=decision.reason)
        pruned, unpruned = ((), None) if keep is None else _prune(store, model, keep)
        outdated = manifest.fingerprint != plan.fingerprint
        return TrainResult(manifest, published, decision, pruned, outdated, unpruned)


def default_model(recipe: type[Recipe]) -> str:
    """The name of a model whose user gave none: the recipe's, or the class's as `wine-quality`."""
    return recipe.name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", recipe.__name__).lower()


def auto_version(run: str | None, now: datetime | None = None) -> str:
    """The version of a run: its name, or without one the time as 20260101-020000."""
    return run or (now or datetime.now(UTC)).strftime("%Y%m%d-%H%M%S")


def _recorded(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """The explicit parameters, and the seed where it is not the default."""
    if "seed" in params:
        raise UsageError("A recipe cannot have a parameter 'seed'.", hint="Use the seed of the training.")
    return params | ({"seed": seed} if seed else {})


def _same(there: Manifest | None, plan: Plan, *, own_run: bool) -> Manifest | None:
    """The version that is there, if it was made from the same; with `own_run`, an earlier try of this run made it.

    Raises:
        ConflictError: if it was made from something else.
    """
    if there is None:
        return None
    if there.fingerprint == plan.fingerprint or (own_run and there.recipe == plan.info):
        return there
    raise ConflictError(
        f"{plan.model} {plan.version} exists and was made from {_difference(there, plan)}; nothing was overwritten.",
        hint="Choose a new version.",
    )


def _difference(there: Manifest, plan: Plan) -> str:
    if there.recipe.name != plan.info.name:
        return f"another recipe ({there.recipe.name})"
    if there.recipe.revision != plan.info.revision:
        return f"another revision of the recipe ({there.recipe.revision}, now {plan.info.revision})"
    if there.recipe.params != plan.info.params:
        words = ", ".join(f"{name}={value}" for name, value in there.recipe.params.items()) or "none"
        return f"other parameters ({words})"
    return f"other data ({there.data.uri}, {there.data.rows} rows)"


def _prune(store: Store, model: str, keep: int) -> tuple[tuple[str, ...], str | None]:
    """The versions that were pruned, or why that is not allowed, for which no training fails."""
    try:
        return prune(store, model, keep=keep, dry_run=False).versions, None
    except ForbiddenError as error:
        logs.get().warning("not_pruned", reason=str(error))
        return (), str(error)


def _publish(store: Store, plan: Plan, built: Built, report: Reporter, *, own_run: bool) -> tuple[Manifest, bool]:
    """Publish; if another trainer was faster with the same, that one is as good."""
    with report.step("publish") as facts:
        facts.update(store=store.url)
        try:
            store.publish(built.manifest, built.files)
        except ConflictError:
            there = _same(store.present(plan.model, plan.version), plan, own_run=own_run)
            if there is None:
                raise
            facts.update(by="another trainer")
            return there, False
        return built.manifest, True

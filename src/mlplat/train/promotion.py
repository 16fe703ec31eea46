"""Moving an alias to a new version as the gate decides, by compare-and-set."""

import math
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from mlplat import logs
from mlplat.bundle.manifest import Manifest
from mlplat.errors import ConflictError, NotFoundError, UsageError
from mlplat.recipes import Dataset, Recipe
from mlplat.store import Move, Store
from mlplat.train.gate import Decision, IncomparableError, Promotion, decide, score_stored

ATTEMPTS = 5


def promote(
    store: Store,
    challenger: Manifest,
    promotion: Promotion,
    *,
    recipe: Recipe,
    data: Dataset,
    held_out: NDArray[Any],
    by: str,
    allow_pickle: bool = False,
) -> Decision:
    """Decide, and move the alias if so; either way the gate's decision and the scores are in its log.

    If the alias moves between the decision and the move, the decision is made anew.

    Args:
        store: where both versions are.
        challenger: the published version.
        promotion: the alias and the conditions.
        recipe: whose metrics are compared.
        data: of the challenger.
        held_out: the rows that both are scored on.
        by: who, for the log of the alias.
        allow_pickle: load a champion that is a pickle.

    Raises:
        UsageError: if there is no such metric.
        ConflictError: if the alias moves all the time.
    """

    def measure(manifest: Manifest) -> dict[str, float]:
        return score_stored(store, manifest, recipe, data, held_out, allow_pickle=allow_pickle)

    for attempt in range(ATTEMPTS):
        current = current_move(store, challenger.model, promotion.alias)
        if current is not None and current.version == challenger.version:
            return Decision(promote=True, reason=f"{promotion.alias} names {challenger.version} already")
        decision = _decide(store, challenger, promotion, current, measure, lower=recipe.lower_is_better)
        logs.get().info(
            "gate_decision",
            alias=promotion.alias,
            promote=decision.promote,
            reason=decision.reason,
            challenger=decision.challenger,
            champion=decision.champion,
            champion_version=None if current is None else current.version,
        )
        if not decision.promote:
            if promotion.if_better is not None:
                reason = f"{challenger.version} refused: {decision.reason}"
                store.stay(challenger.model, promotion.alias, reason=reason, by=by)
            return decision
        expected = None if current is None else current.version
        try:
            store.move(
                challenger.model, promotion.alias, challenger.version, reason=decision.reason, by=by, expected=expected
            )
        except ConflictError:
            if attempt + 1 == ATTEMPTS:
                raise
        else:
            return decision
    raise AssertionError("unreachable")


def _decide(
    store: Store,
    challenger: Manifest,
    promotion: Promotion,
    current: Move | None,
    measure: Callable[[Manifest], dict[str, float]],
    *,
    lower: frozenset[str],
) -> Decision:
    if promotion.if_absent and current is not None:
        return Decision(promote=False, reason=f"{promotion.alias} exists and names {current.version}")
    if promotion.if_better is None:
        return Decision(promote=True, reason="trained with --promote" + (" --if-absent" if promotion.if_absent else ""))
    metric = promotion.if_better
    check_metric(metric, challenger)

    new = measure(challenger).get(metric, math.nan)
    champion = None
    if current is not None:
        try:
            champion = measure(store.manifest(challenger.model, current.version)).get(metric, math.nan)
        except IncomparableError as error:
            reason = f"the champion {current.version} cannot be compared: {error}"
            return Decision(promote=False, reason=reason, challenger=new)
    return decide(
        metric=metric,
        lower_is_better=metric in lower,
        challenger=new,
        champion=champion,
        margin=promotion.margin,
        floor=promotion.floor,
    )


def check_metric(metric: str, manifest: Manifest) -> None:
    """Refuse a metric that the version does not have.

    Raises:
        UsageError: naming those that it has.
    """
    if metric not in manifest.metrics:
        raise UsageError(
            f"{manifest.recipe.name} has no metric {metric!r}.", hint=f"Use one of: {', '.join(manifest.metrics)}."
        )


def current_move(store: Store, model: str, alias: str) -> Move | None:
    """What an alias names now; None if it does not exist."""
    try:
        return store.alias(model, alias)
    except NotFoundError:
        return None

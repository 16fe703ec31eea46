"""The conditions of a ModelDeployment, as kstatus reads them: Ready, Reconciling and Stalled."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from mlplat.operator.status import MOST_MESSAGE, Condition, ConditionType, Reason

Truth = Literal["True", "False", "Unknown"]


def conditions(
    before: Iterable[Condition],
    *,
    ready: bool,
    reconciling: bool,
    stalled: bool,
    reason: Reason,
    message: str,
    generation: int,
    now: datetime,
) -> list[Condition]:
    """All three, for one reason.

    Args:
        before: those of the last status; a condition that is as it was keeps its time.
        ready: what the spec asks for is served.
        reconciling: it is on the way there.
        stalled: it does not get there without someone's help, or something else that happens.
        reason: why.
        message: why, in a sentence.
        generation: of the spec that it is told of.
        now: the time.
    """
    known = {condition.type: condition for condition in before}
    out = []
    for kind, holds in (
        (ConditionType.READY, ready),
        (ConditionType.RECONCILING, reconciling),
        (ConditionType.STALLED, stalled),
    ):
        status: Truth = "True" if holds else "False"
        last = known.get(kind)
        out.append(
            Condition(
                type=kind,
                status=status,
                reason=reason,
                message=message[:MOST_MESSAGE],
                last_transition_time=now if last is None or last.status != status else last.last_transition_time,
                observed_generation=generation,
            )
        )
    return out

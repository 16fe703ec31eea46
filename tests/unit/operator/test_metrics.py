"""What the operator tells of ModelDeployments."""

import re
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Literal

import pytest

from mlplat.operator.metrics import OperatorMetrics
from mlplat.operator.status import Condition, ConditionType, Fault, Phase, Reason, Rollback, Status, Trial

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def metrics() -> OperatorMetrics:
    return OperatorMetrics()


def trying(phase: Phase, weight: int) -> Status:
    """A canary in a phase."""
    times: dict[str, Any] = {"begun": NOW, "since": NOW}
    return Status(canary=Trial(version="v2", stable="v1", asked="", phase=phase, weight=weight, pods=1, **times))


def given_up(reason: Fault) -> Status:
    return Status(rollback=Rollback(version="v2", asked="", reason=reason, message="", at=NOW))


def told(metrics: OperatorMetrics, name: str) -> dict[str, float]:
    """The values of a family, by labels."""
    found = re.findall(rf"^mlplat_operator_{name}(\S*) (\S+)$", metrics.exposition().decode(), re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def with_ready(status: Literal["True", "False"], reason: Reason) -> Status:
    told = Condition(type=ConditionType.READY, status=status, reason=reason, message="", last_transition_time=NOW)
    return Status(conditions=[told])


def test_whether_it_is_ready(metrics: OperatorMetrics) -> None:
    metrics.tell("ml", "iris", Status(), with_ready("True", Reason.READY))
    metrics.tell("ml", "churn", Status(), Status())
    expected = {'{name="iris",namespace="ml"}': 1.0, '{name="churn",namespace="ml"}': 0.0}
    assert told(metrics, "deployment_ready") == expected


def test_of_one_that_is_paused_it_is_not_told_whether_it_is_ready(metrics: OperatorMetrics) -> None:
    before, paused = with_ready("False", Reason.ROLLING_OUT), with_ready("False", Reason.PAUSED)
    metrics.tell("ml", "iris", Status(), before)
    metrics.tell("ml", "iris", before, paused)
    assert told(metrics, "deployment_ready") == {}


def test_a_canary_has_one_weight_and_one_phase(metrics: OperatorMetrics) -> None:
    metrics.tell("ml", "iris", Status(), trying(Phase.STARTING, 0))
    metrics.tell("ml", "iris", trying(Phase.STARTING, 0), trying(Phase.TRYING, 25))
    assert told(metrics, "canary_weight") == {'{name="iris",namespace="ml",phase="Trying"}': 25.0}
    metrics.tell("ml", "iris", trying(Phase.TRYING, 25), Status())
    assert told(metrics, "canary_weight") == {}


def test_nothing_is_told_of_one_that_is_gone(metrics: OperatorMetrics) -> None:
    metrics.tell("ml", "iris", Status(), trying(Phase.TRYING, 25))
    metrics.forget("ml", "iris")
    metrics.forget("ml", "never")
    assert told(metrics, "canary_weight") == told(metrics, "deployment_ready") == {}


def test_a_promotion_counts_once(metrics: OperatorMetrics) -> None:
    steps = [trying(Phase.TRYING, 50), *[trying(Phase.PROMOTING, 50)] * 2, trying(Phase.ENDING, 0)]
    for before, now in pairwise(steps):
        metrics.tell("ml", "iris", before, now)
    assert told(metrics, "promotions_total") == {"": 1.0}


def test_a_version_that_is_given_up_counts_once_by_its_reason(metrics: OperatorMetrics) -> None:
    steps = [Status(), *[given_up(Fault.CANARY_SLOW)] * 2, Status(), given_up(Fault.DEADLINE_EXCEEDED)]
    for before, now in pairwise(steps):
        metrics.tell("ml", "iris", before, now)
    counted = told(metrics, "rollbacks_total")
    assert {labels: count for labels, count in counted.items() if count} == {
        '{reason="CanarySlow"}': 1.0,
        '{reason="DeadlineExceeded"}': 1.0,
    }
    assert len(counted) == len(Fault)  # all of them are there from the start

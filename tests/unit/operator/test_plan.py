"""What is done for a ModelDeployment, from the first look to the last."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mlplat.operator.base import ENVIRONMENTS, MANIFESTS, Base, read_base
from mlplat.operator.children import Owner
from mlplat.operator.plan import TAKEN_SECONDS, plan, refused
from mlplat.operator.status import ConditionType, Reason, Status
from mlplat.operator.view import Found, Missing, Resource, Seen, Unasked, Unknown

from .conftest import SERVING, START, World

GONE = Missing(Reason.VERSION_NOT_FOUND, "There is no version 'v2' of 'iris'. It has v1.")
AWAY = Unknown("The store cannot be asked: it is away.")


def test_a_new_deployment_gets_its_children_and_is_ready_when_all_pods_are(world: World) -> None:
    world.step()
    assert set(world.children) == {("Deployment", "iris"), ("Service", "iris"), ("PodDisruptionBudget", "iris")}
    assert world.told == (False, True, False, Reason.ROLLING_OUT)
    world.roll_out(ready=1)
    world.step()
    assert world.told == (False, True, False, Reason.ROLLING_OUT)
    assert "1 of 2 pods ready on the way to v1" in world.condition(ConditionType.READY).message
    world.roll_out()
    world.step()
    assert world.told == (True, False, False, Reason.READY)
    assert (world.status.served_version, world.status.previous_version) == ("v1", None)
    assert world.events == ["RollingOut", "Served"]


def test_a_steady_state_changes_nothing(world: World) -> None:
    world.settle()
    before = world.status
    again = world.step()
    assert again.status == before
    assert again.events == ()


def test_another_version_rolls_and_the_last_one_is_remembered(world: World) -> None:
    world.settle()
    world.change(modelVersion="v2")
    world.step()
    assert world.serves == "v2"
    assert world.status.served_version == "v1"
    world.settle()
    assert (world.status.served_version, world.status.previous_version) == ("v2", "v1")


def test_a_version_may_be_a_number(world: World) -> None:
    world.spec["modelVersion"] = 2
    world.settle()
    assert (world.serves, world.status.served_version, world.status.target_of) == ("2", "2", "iris:2")
    assert world.told == (True, False, False, Reason.READY)


def test_a_version_without_pods_is_not_one_that_serves(world: World) -> None:
    world.settle()
    world.change(modelVersion="v2", replicas=0)
    world.settle()
    assert (world.serves, world.status.served_version) == ("v2", "v1")
    world.change(replicas=2)
    world.step()
    world.roll_out(ready=1, late=True)
    world.step()
    assert world.serves == "v1"


def test_whoever_waits_for_a_turn_is_as_ready_as_its_pods(world: World, base: Base) -> None:
    before = world.settle().status
    world.base = replace(base, digest="new")
    world.held = True
    assert world.step().status == before
    world.roll_out(ready=0)
    world.step()
    assert world.told == (False, True, False, Reason.ROLLING_OUT)
    world.roll_out()
    world.step()
    assert world.told == (True, False, False, Reason.READY)


def test_a_version_that_never_came_is_not_said_to_serve_while_a_turn_is_waited_for(world: World) -> None:
    world.settle()
    deployment = world.deployment
    world.change(modelVersion="v2")
    world.step()
    world.children["Deployment", "iris"] = deployment  # what was to be was refused
    world.held = True
    world.step()
    assert world.told == (False, True, False, Reason.ROLLING_OUT)


def test_a_missing_version_leaves_the_old_one_serving_until_it_appears(world: World) -> None:
    world.settle()
    world.change(modelVersion="v2")
    world.step(GONE)
    assert world.serves == "v1"
    assert world.told == (False, False, True, Reason.VERSION_NOT_FOUND)
    world.settle(Found("v2"))
    assert world.told == (True, False, False, Reason.READY)
    assert world.serves == "v2"


def test_without_the_first_version_there_are_no_pods(world: World) -> None:
    planned = world.step(GONE)
    assert planned.children is None
    assert world.told == (False, False, True, Reason.VERSION_NOT_FOUND)


def test_a_store_that_is_away_changes_nothing(world: World) -> None:
    world.settle()
    before = world.status
    planned = world.step(AWAY)
    assert planned.status == before
    del world.children["Service", "iris"]
    world.step(AWAY)
    assert ("Service", "iris") in world.children  # healed all the same
    world.change(replicas=5)
    world.step(AWAY)
    assert world.deployment["spec"]["replicas"] == 5
    world.change(modelVersion="v2")
    assert world.step(AWAY).children is None
    assert world.told == (False, True, False, Reason.STORE_UNREACHABLE)


def test_a_store_that_is_about_to_be_asked_is_not_said_to_be_away(world: World) -> None:
    planned = world.step(Unasked())
    assert (planned.children, planned.events, planned.status) == (None, (), world.status)
    assert world.status.conditions == []
    world.settle()
    del world.children["Service", "iris"]
    world.step(Unasked())  # as after a restart
    assert ("Service", "iris") in world.children
    before = world.settle().status
    world.change(modelVersion="v2")
    planned = world.step(Unasked())
    assert (planned.children, planned.status) == (None, before)


class TestRollback:
    def fail(self, world: World) -> None:
        """Let v2 not become ready in time."""
        world.settle()
        world.change(modelVersion="v2")
        world.step()
        world.roll_out(ready=1, late=True)

    def test_a_version_that_is_late_is_given_up(self, world: World) -> None:
        self.fail(world)
        world.step()
        assert world.serves == "v1"
        assert world.told == (False, True, True, Reason.ROLLED_BACK)
        assert world.events[-1] == "RolledBack"
        world.settle()
        assert world.told == (False, False, True, Reason.ROLLED_BACK)
        assert world.status.rollback is not None
        assert world.status.rollback.version == "v2"
        assert world.serves == "v1"

    def test_it_is_tried_again_when_the_spec_changes_but_not_when_it_is_scaled(self, world: World) -> None:
        self.fail(world)
        world.settle()
        world.change(replicas=4)
        world.settle()
        assert world.serves == "v1"
        world.change(resources={"limits": {"memory": "2Gi"}})
        world.settle()
        assert world.serves == "v2"
        assert world.told == (True, False, False, Reason.READY)
        assert world.status.rollback is None

    def test_back_by_hand_is_ready(self, world: World) -> None:
        self.fail(world)
        world.step()
        world.change(modelVersion="v1")
        world.settle()
        assert world.told == (True, False, False, Reason.READY)
        assert world.status.rollback is None

    def test_never_waits_and_says_so(self, world: World) -> None:
        world.change(rollback="never")
        self.fail(world)
        world.step()
        assert world.serves == "v2"
        assert world.told == (False, False, True, Reason.DEADLINE_EXCEEDED)
        world.settle()
        assert world.told == (True, False, False, Reason.READY)

    def test_another_fault_of_the_spec_is_told_in_kubernetes_words_and_what_serves_is_not_given_up(
        self, world: World
    ) -> None:
        world.settle()
        world.change(nodeSelector={"disk": "none"})
        world.step()
        world.trouble = "0/2 nodes are available"
        world.roll_out(ready=1, late=True)
        world.step()
        assert world.serves == "v1"
        assert world.told == (False, False, True, Reason.DEADLINE_EXCEEDED)
        message = world.condition(ConditionType.READY).message
        assert message == "v1 was not ready within 600 s: 0/2 nodes are available."
        assert world.status.rollback is None
        world.change(nodeSelector=None)
        world.trouble = ""
        world.settle()
        assert world.told == (True, False, False, Reason.READY)

    def test_what_is_gone_back_to_may_not_get_ready_by_the_spec_either(self, world: World) -> None:
        world.settle()
        world.change(modelVersion="v2", nodeSelector={"disk": "none"})
        world.step()
        world.trouble = "0/2 nodes are available"
        world.roll_out(ready=1, late=True)
        world.step()
        assert world.serves == "v1"
        assert world.told == (False, True, True, Reason.ROLLED_BACK)
        world.roll_out(ready=1, late=True)
        world.step()
        assert world.told == (False, False, True, Reason.ROLLED_BACK)
        message = world.condition(ConditionType.READY).message
        assert "v2 was given up: It was not ready within 600 s: 0/2 nodes are available." in message
        assert "v1 does not get ready by this spec either, and its pods of before serve on: 0/2 nodes" in message

    def test_the_first_version_has_nothing_to_go_back_to(self, world: World) -> None:
        world.step()
        world.roll_out(ready=0, late=True)
        world.step()
        assert world.serves == "v1"
        assert world.told == (False, False, True, Reason.DEADLINE_EXCEEDED)


def test_an_alias_that_moves_rolls(world: World) -> None:
    world.change(modelVersion=None, alias="champion")
    world.settle(Found("v1"))
    assert world.serves == "v1"
    world.settle(Found("v2"))
    assert world.serves == "v2"
    assert world.status.target_of == "iris@champion"


def test_paused_touches_nothing(world: World) -> None:
    world.settle()
    world.change(paused=True, modelVersion="v2")
    planned = world.step()
    assert planned.children is None
    assert world.told == (False, False, False, Reason.PAUSED)
    world.change(paused=False)
    world.settle()
    assert world.serves == "v2"


def test_an_autoscaler_comes_and_goes(world: World) -> None:
    world.settle()
    world.change(autoscaling={"enabled": True, "minReplicas": 2, "maxReplicas": 4})
    planned = world.step()
    assert "replicas" not in (planned.children or ())[0]["spec"]
    assert ("HorizontalPodAutoscaler", "iris") in world.children
    world.settle()
    assert world.told == (True, False, False, Reason.READY)
    world.change(replicas=1)
    world.step()
    assert world.events[-1] == "ReplicasIgnored"
    world.change(autoscaling={"enabled": False})
    world.settle()
    assert ("HorizontalPodAutoscaler", "iris") not in world.children
    assert world.deployment["spec"]["replicas"] == 1


def test_a_spec_that_cannot_be_says_what_is_wrong(world: World) -> None:
    world.settle()
    world.change(modelName="../secrets")
    planned = world.step()
    assert planned.children is None
    assert world.told == (False, False, True, Reason.INVALID_SPEC)
    assert "spec.modelName" in world.condition(ConditionType.STALLED).message
    world.change(modelName="iris", environment="moon")
    world.step()
    assert world.condition(ConditionType.STALLED).message.endswith("'moon'; the chart's values have production.")


def test_a_name_that_is_someone_elses_is_left_alone(world: World) -> None:
    planned = world.step(foreign=frozenset({("Service", "iris")}))
    assert planned.children is None
    assert world.told == (False, False, True, Reason.NAME_TAKEN)
    assert planned.again == TAKEN_SECONDS  # nobody tells when the other one goes


@pytest.mark.parametrize("strategy", ["rolling", "canary"])
def test_what_is_refused_again_and_again_is_told_once(world: World, strategy: str) -> None:
    """A status that is written wakes the operator, which would try at once."""
    world.change(strategy={"type": strategy})
    world.settle()
    world.change(modelVersion="v2")
    events: list[str] = []

    def refuse() -> Status:
        """Try it, and let the API server take none of it."""
        world.now += timedelta(seconds=30)
        resource = Resource(world.owner, world.generation, world.spec, world.status)
        planned = plan(resource, Seen(dict(world.children)), Found("v2"), world.base, world.now)
        planned = refused(resource, planned, "exceeded quota", world.now)
        events.extend(event.reason for event in planned.events)
        world.status = planned.status
        return world.status

    first = refuse()
    assert world.told == (False, False, True, Reason.REFUSED)
    assert events[-1] == "Refused"
    assert refuse() == first
    assert events.count("Refused") == 1
    assert events.count("CanaryStarted") == (strategy == "canary")


def test_a_condition_keeps_the_time_at_which_it_became_so(world: World) -> None:
    world.settle()
    ready = world.condition(ConditionType.READY).last_transition_time
    world.change(replicas=2)
    world.step()
    assert world.condition(ConditionType.READY).last_transition_time == ready
    assert world.condition(ConditionType.READY).observed_generation == world.generation
    assert ready > START + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"env": [{"name": "MLPLAT_STORE", "value": "s3://elsewhere"}]}, "spec.env: MLPLAT_STORE"),
        ({"env": [{"name": "MLPLAT_X", "valueFrom": {"secretKeyRef": {}}}]}, "spec.env: MLPLAT_X"),
        ({"store": {"url": "s3://x", "env": {"MLPLAT_ALLOW_PICKLE": "1"}}}, "spec.store.env: MLPLAT_ALLOW_PICKLE"),
        ({"labels": {"app.kubernetes.io/instance": "release"}}, "spec.labels: app.kubernetes.io/instance"),
        ({"labels": {"mlplat.dev/claim": "x"}}, "spec.labels: mlplat.dev/claim"),
    ],
)
def test_what_is_the_operators_own_to_say_is_refused(world: World, spec: dict[str, Any], said: str) -> None:
    world.settle()
    world.change(**spec)
    assert world.step().children is None
    assert world.told == (False, False, True, Reason.INVALID_SPEC)
    assert world.condition(ConditionType.READY).message == f"{said} is the operator's own to say."


@pytest.mark.parametrize(("most", "stalled"), [(1, True), (2, True), (3, False)])
def test_an_autoscaler_may_not_have_more_pods_than_its_spec_says(world: World, most: int, stalled: bool) -> None:
    """At least three are the environment's."""
    world.spec |= {"environment": "production", "autoscaling": {"maxReplicas": most}}
    world.step()
    ready = world.condition(ConditionType.READY)
    assert (ready.reason == Reason.INVALID_SPEC) == stalled
    assert (f"minReplicas, 3, is above maxReplicas, {most}" in ready.message) == stalled
    assert bool(world.children) != stalled


def test_what_is_others_to_say_is_taken(world: World, owner: Owner) -> None:
    world.change(
        env=[{"name": "LOG_LEVEL", "value": "debug"}],
        labels={"team": "a"},
        store={"url": "https://registry", "env": {"MLPLAT_STORE_KEY": "x"}},
    )
    assert world.settle().children is not None
    data = {MANIFESTS: SERVING, ENVIRONMENTS: "slow: {env: [{name: MLPLAT_DRAIN_SECONDS, value: '60'}]}"}
    of_the_release = World(owner, read_base("ml", data))
    of_the_release.change(environment="slow")
    assert of_the_release.settle().children is not None

"""A candidate beside the version that serves, from its first pod to its last."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mlplat.operator.base import Base
from mlplat.operator.canary import GOLDEN_SECONDS, SETTLE_SECONDS
from mlplat.operator.children import Manifest, Owner
from mlplat.operator.judge import Figures, Predictions, Side
from mlplat.operator.status import ConditionType, Fault, Phase, Reason, Trial, back_token
from mlplat.operator.telling import NO_GATEWAY_API, UNROUTED_SECONDS
from mlplat.operator.view import Found, Missing

from .conftest import KilledError, World, accepted, parent

STEPS = [{"weight": 10, "pauseSeconds": 30}, {"weight": 50, "pauseSeconds": 30}]
ROUTE = {"parentRefs": [{"name": "public", "namespace": "gateways"}]}
ALIKE = (Predictions(1000, {"setosa": 500, "virginica": 500}, ()),)
GOOD = Side(pods=1, asked=1, requests=1000, errors=0, seconds=1.0, predictions=ALIKE, golden=1.0)


class Trier:
    """Lets a world try v2 beside v1, of which it has four pods."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.spec |= {"replicas": 4, "strategy": {"type": "canary", "canary": {"steps": STEPS}}}
        world.settle()

    def begin(self, **spec: Any) -> None:
        """Ask for v2, and let its first pods be ready."""
        self.world.change(modelVersion="v2", **spec)
        self.world.step()
        self.let_try()

    def let_try(self) -> None:
        """Let the candidate's pods be ready, and get their share."""
        self.world.roll_out(candidate=True)
        self.world.step()
        self.world.step()

    def tell(self, candidate: Side = GOOD, stable: Side = GOOD) -> None:
        """Let the pods have counted something just now."""
        self.world.figures = Figures(self.trial.step, self.world.now + timedelta(seconds=1), stable, candidate)

    def end_pause(self, candidate: Side = GOOD, stable: Side = GOOD) -> None:
        """Let the pause be over, and the pods have counted something."""
        self.world.now += timedelta(seconds=30)
        self.tell(candidate, stable)
        self.world.step()

    def end(self) -> None:
        """Let what is left of the candidate go."""
        self.world.step()
        self.world.now += timedelta(seconds=SETTLE_SECONDS)
        self.world.step()
        self.world.step()

    @property
    def trial(self) -> Trial:
        """The trial under way."""
        assert self.world.status.canary is not None
        return self.world.status.canary

    @property
    def message(self) -> str:
        """What is told of it."""
        return self.trial.message

    @property
    def tries(self) -> bool:
        """Whether there is a candidate."""
        return ("Deployment", "iris-candidate") in self.world.children

    @property
    def backends(self) -> dict[str, int]:
        """Weights by Service."""
        (rule,) = self.world.children["HTTPRoute", "iris"]["spec"]["rules"]
        return {each["name"]: each["weight"] for each in rule["backendRefs"]}

    @property
    def shared(self) -> bool:
        """Whether the Service reaches the candidate's pods."""
        return "mlplat.dev/track" not in self.world.children["Service", "iris"]["spec"]["selector"]


@pytest.fixture
def trier(world: World) -> Trier:
    return Trier(world)


@pytest.fixture
def routed(world: World) -> Trier:
    """With an HTTPRoute."""
    world.routable = True
    world.spec["route"] = ROUTE
    return Trier(world)


def version_of(deployment: Manifest) -> str:
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["args"][-1])


def test_the_first_version_is_not_tried(trier: Trier) -> None:
    assert trier.world.told == (True, False, False, Reason.READY)
    assert trier.world.status.canary is None
    assert not trier.tries


def test_a_candidate_gets_nothing_before_it_is_ready(trier: Trier) -> None:
    world = trier.world
    world.change(modelVersion="v2")
    world.step()
    assert (world.serves, version_of(world.candidate)) == ("v1", "v2")
    assert (trier.trial.phase, trier.trial.weight, trier.shared) == (Phase.STARTING, 0, False)
    assert world.told == (True, True, False, Reason.CANARY)
    assert "0 of 1 pod ready" in trier.message
    trier.let_try()
    assert (trier.trial.phase, trier.trial.weight, trier.trial.share, trier.shared) == (Phase.TRYING, 10, 20.0, True)
    assert "gets 20 % of the new connections (step 1 of 2, 10 % is asked for)" in trier.message
    assert world.status.served_version == "v1"


def test_a_candidate_does_not_take_over_untried_when_there_are_no_pods(trier: Trier) -> None:
    world = trier.world
    trier.begin()
    world.change(replicas=0)
    world.step()
    world.roll_out()
    world.step()
    trier.end()
    assert (world.serves, world.status.served_version, trier.tries) == ("v1", "v1", False)
    assert world.told == (False, False, True, Reason.CANARY)
    assert world.condition(ConditionType.READY).message == "v2 is tried as soon as v1 has pods."
    world.change(replicas=4)
    world.step()
    world.roll_out()
    world.step()
    assert (trier.trial.phase, trier.trial.version, world.serves) == (Phase.STARTING, "v2", "v1")
    assert world.events.count("CanaryStarted") == 2


def test_a_candidate_does_not_take_over_untried_when_the_deployment_was_deleted(trier: Trier) -> None:
    world = trier.world
    trier.begin()
    del world.children["Deployment", "iris"]
    world.step()
    assert world.serves == "v1"
    world.roll_out()
    world.step()
    assert (trier.trial.phase, trier.trial.version, world.serves) == (Phase.TRYING, "v2", "v1")


def test_one_that_was_good_enough_takes_over_although_there_are_no_pods_meanwhile(trier: Trier) -> None:
    world = trier.world
    trier.begin()
    world.promoted = trier.trial.token
    world.step()
    world.change(replicas=0)
    world.step()
    world.roll_out()
    world.step()
    assert (world.serves, world.status.served_version) == ("v2", "v1")
    world.change(replicas=4)
    world.step()
    world.roll_out()
    world.step()
    assert (world.serves, world.status.served_version) == ("v2", "v2")


def test_a_good_one_goes_through_all_steps_and_takes_over(trier: Trier) -> None:
    world = trier.world
    trier.begin()
    trier.end_pause()
    assert (trier.trial.phase, trier.trial.step, trier.trial.weight) == (Phase.STARTING, 1, 10)
    world.step()
    assert world.candidate["spec"]["replicas"] == 4
    trier.let_try()
    assert (trier.trial.phase, trier.trial.weight, trier.trial.share) == (Phase.TRYING, 50, 50.0)
    trier.end_pause()
    assert trier.trial.phase == Phase.PROMOTING
    assert (world.serves, trier.shared, world.candidate["spec"]["replicas"]) == ("v2", True, 4)
    assert world.told == (True, True, False, Reason.CANARY)
    world.roll_out(ready=3)
    world.step()
    assert trier.shared
    world.roll_out()
    world.step()
    assert (world.status.served_version, world.status.previous_version) == ("v2", "v1")
    assert (trier.trial.phase, trier.shared, trier.tries) == (Phase.ENDING, False, True)
    assert world.told == (True, True, False, Reason.CANARY)
    trier.end()
    assert not trier.tries
    assert world.told == (True, False, False, Reason.READY)
    assert world.status.canary is None
    told = ["CanaryStarted", "CanaryStep", "CanaryPassed", "CanaryStep", "Promoting", "Served", "CanaryEnded"]
    assert world.events[-7:] == told


def test_while_nothing_is_decided_other_figures_are_told_only_now_and_then(trier: Trier) -> None:
    trier.begin()
    trier.tell()
    trier.world.step()
    before = trier.world.status
    trier.tell(replace(GOOD, requests=1001))
    assert trier.world.step().status == before
    trier.world.now += timedelta(seconds=10)
    trier.tell(replace(GOOD, requests=1002))
    trier.world.step()
    assert trier.trial.counted is not None
    assert trier.trial.counted.requests == 1002


def nobody(_: Manifest) -> Manifest:
    """The status of an HTTPRoute of which no controller knows."""
    return {}


def refused(route: Manifest) -> Manifest:
    """The status of an HTTPRoute that its Gateway does not let in."""
    generation = route["metadata"]["generation"]
    said = {"Accepted": "NotAllowedByListeners", "ResolvedRefs": "True"}
    return {"parents": [parent(each, generation, **said) for each in route["spec"]["parentRefs"]]}


class TestWithARoute:
    def test_weights_are_of_requests_and_pods_as_many_as_those_need(self, routed: Trier) -> None:
        world = routed.world
        assert routed.backends == {"iris": 100}
        world.change(modelVersion="v2")
        world.step()
        assert (routed.backends, world.candidate["spec"]["replicas"]) == ({"iris": 100}, 1)
        assert ("Service", "iris-candidate") in world.children
        routed.let_try()
        assert routed.backends == {"iris": 90, "iris-candidate": 10}
        assert "gets 10 % of the requests (step 1 of 2)" in routed.message
        assert not routed.shared
        routed.end_pause()
        world.step()
        assert (routed.backends, world.candidate["spec"]["replicas"]) == ({"iris": 90, "iris-candidate": 10}, 2)
        routed.let_try()
        assert routed.backends == {"iris": 50, "iris-candidate": 50}
        routed.end_pause()
        world.roll_out(ready=3)
        world.step()
        assert (routed.trial.phase, routed.backends) == (Phase.PROMOTING, {"iris": 50, "iris-candidate": 50})
        world.roll_out()
        world.step()
        assert (routed.backends, routed.tries) == ({"iris": 100}, True)
        routed.end()
        assert [key for key in world.children if key[1] == "iris-candidate"] == []

    def test_a_candidate_without_a_ready_pod_gets_nothing(self, routed: Trier) -> None:
        routed.begin()
        routed.world.roll_out(ready=0, candidate=True)
        routed.world.step()
        assert (routed.backends, routed.trial.phase) == ({"iris": 100}, Phase.STARTING)

    def test_a_fault_takes_the_weight_before_the_pods(self, routed: Trier) -> None:
        routed.begin()
        routed.tell(replace(GOOD, errors=500))
        routed.world.step()
        assert (routed.backends, routed.tries, routed.trial.phase) == ({"iris": 100}, True, Phase.ENDING)
        routed.end()
        assert not routed.tries

    def test_without_the_gateway_api_it_serves_and_says_so(self, routed: Trier) -> None:
        world = routed.world
        world.routable = False
        del world.children["HTTPRoute", "iris"]  # gone with its definition
        world.step()
        assert world.told == (False, False, True, Reason.NO_GATEWAY_API)
        assert NO_GATEWAY_API in world.condition(ConditionType.READY).message
        routed.begin()
        assert (routed.shared, routed.trial.share) == (True, 20.0)
        world.change(route=None, modelVersion="v1")
        routed.end()
        assert world.told == (True, False, False, Reason.READY)

    def test_a_route_that_no_gateway_takes_is_told_once(self, routed: Trier) -> None:
        world = routed.world
        world.gateway = nobody
        world.step()
        assert world.told == (True, False, False, Reason.READY)  # it may be about to
        again = world.step().again
        assert again is not None
        assert 0 < again < UNROUTED_SECONDS
        world.now += timedelta(seconds=UNROUTED_SECONDS)
        first, second = world.step(), world.step()
        assert (first.status, second.again) == (second.status, None)
        assert world.told == (False, False, True, Reason.ROUTE_NOT_ACCEPTED)
        message = world.condition(ConditionType.READY).message
        assert message == (
            "v1 is served by 4 pods. Requests do not come by the HTTPRoute iris as they should: "
            "no controller has taken it for the Gateway gateways/public (is there one?)."
        )
        assert world.events.count("RouteNotAccepted") == 1
        world.gateway = accepted
        world.step()
        assert world.told == (True, False, False, Reason.READY)
        assert world.status.unrouted is None

    def test_a_candidate_is_not_judged_while_no_request_can_come(self, routed: Trier) -> None:
        world = routed.world
        routed.begin()
        world.gateway = refused
        routed.end_pause()
        assert (routed.trial.phase, routed.trial.step) == (Phase.TRYING, 0)
        assert world.told == (True, True, False, Reason.CANARY)
        world.now += timedelta(seconds=UNROUTED_SECONDS)
        routed.tell()
        world.step()
        world.step()
        assert world.told == (False, True, True, Reason.ROUTE_NOT_ACCEPTED)
        assert "v2 is to get 10 % of the requests (step 1 of 2). It waits: no request comes" in routed.message
        said = world.condition(ConditionType.READY).message
        assert "the Gateway gateways/public does not take it (NotAllowedByListeners: So it is)." in said
        assert world.events.count("RouteNotAccepted") == 1
        world.gateway = accepted
        routed.tell()
        world.step()
        assert (routed.trial.phase, routed.trial.step) == (Phase.TRYING, 0)  # its pause begins anew
        assert routed.trial.since == world.now
        assert world.told == (True, True, False, Reason.CANARY)
        routed.end_pause()
        assert routed.trial.step == 1

    def test_a_candidate_that_no_request_reaches_is_given_up_after_the_deadline(self, routed: Trier) -> None:
        world = routed.world
        world.gateway = refused
        world.now += timedelta(hours=1)
        world.step()
        routed.begin(progressDeadlineSeconds=120)  # which the hour before does not count for
        assert routed.trial.phase == Phase.TRYING
        world.now += timedelta(seconds=116)
        world.step()
        assert routed.trial.phase == Phase.TRYING
        world.now += timedelta(seconds=5)
        world.step()
        assert world.status.rollback is not None
        assert world.status.rollback.reason == Fault.CANARY_NOT_ROUTED
        assert "No requests came by its HTTPRoute for 120 s: the Gateway" in world.status.rollback.message
        assert (world.serves, routed.trial.phase) == ("v1", Phase.ENDING)

    def test_while_it_is_paused_it_is_not_looked_at(self, routed: Trier) -> None:
        """Nor does that time count."""
        world = routed.world
        world.gateway = refused
        routed.begin(progressDeadlineSeconds=120)
        world.change(paused=True)
        world.now += timedelta(hours=1)
        assert world.step().again is None
        world.change(paused=False)
        world.step()
        assert world.status.rollback is None
        world.now += timedelta(seconds=120)
        world.step()
        assert world.status.rollback is not None

    def test_a_route_that_comes_and_goes_does_not_last_for_ever(self, routed: Trier) -> None:
        world = routed.world
        routed.begin(progressDeadlineSeconds=120)
        turns = 0
        while world.status.rollback is None:
            turns += 1
            assert turns < 20
            for world.gateway in (refused, accepted):
                world.step()
                world.now += timedelta(seconds=14)
        assert world.status.rollback.reason == Fault.CANARY_NOT_ROUTED
        assert turns == 9

    def test_a_message_may_be_as_long_as_kubernetes_lets_it_be(self, routed: Trier) -> None:
        world = routed.world

        def talking(route: Manifest) -> Manifest:
            said = refused(route)
            said["parents"][0]["conditions"][0]["message"] = "x" * 32768
            return said

        world.gateway = talking
        world.step()
        world.now += timedelta(seconds=UNROUTED_SECONDS)
        world.step()
        assert world.told == (False, False, True, Reason.ROUTE_NOT_ACCEPTED)

    def test_while_its_controller_is_away_nothing_is_given_up_and_no_pods_leave(self, routed: Trier) -> None:
        world = routed.world
        routed.begin(progressDeadlineSeconds=120)
        before = accepted(world.children["HTTPRoute", "iris"])
        world.gateway = lambda _: before
        routed.end_pause()
        routed.let_try()
        world.step()
        assert (routed.trial.phase, routed.trial.step) == (Phase.TRYING, 1)
        world.now += timedelta(hours=1)
        world.step()
        world.step()
        assert world.told == (True, True, False, Reason.CANARY)
        assert "It waits: the Gateway gateways/public has not looked at it" in routed.message
        world.change(modelVersion="v1")
        world.step()
        world.now += timedelta(seconds=SETTLE_SECONDS)
        world.step()
        world.step()
        assert ("Deployment", "iris-candidate") in world.children
        world.gateway = accepted
        world.step()
        world.step()
        assert ("Deployment", "iris-candidate") not in world.children

    def test_it_may_be_promoted_by_hand_all_the_same(self, routed: Trier) -> None:
        routed.world.gateway = refused
        routed.begin()
        routed.world.promoted = routed.trial.token
        routed.world.step()
        assert routed.trial.phase == Phase.PROMOTING

    def test_a_pause_begins_when_the_gateway_has_taken_the_weights(self, routed: Trier) -> None:
        world = routed.world
        routed.begin()
        before = accepted(world.children["HTTPRoute", "iris"])
        world.gateway = lambda route: before if route["metadata"]["generation"] > 2 else accepted(route)
        routed.end_pause()
        world.step()
        routed.let_try()
        world.step()
        assert (routed.trial.phase, routed.trial.step, routed.trial.weight) == (Phase.TRYING, 1, 50)
        assert world.status.unrouted is not None
        assert "has not looked at it since it was changed" in world.status.unrouted.message
        routed.end_pause()
        assert (routed.trial.phase, routed.trial.since == world.now) == (Phase.TRYING, False)
        world.gateway = accepted
        world.step()
        assert (routed.trial.phase, routed.trial.since == world.now) == (Phase.TRYING, True)
        routed.end_pause()
        assert world.serves == "v2"

    def test_a_route_that_is_asked_for_no_more_is_removed(self, routed: Trier) -> None:
        routed.world.change(route=None)
        routed.world.settle()
        assert ("HTTPRoute", "iris") not in routed.world.children


FAULTS = [
    (replace(GOOD, errors=11), Fault.CANARY_ERRORS, "11 of its 1000 answers were server errors (1.1%)"),
    (replace(GOOD, golden=0.5), Fault.CANARY_DISAGREES, "It answers 50% of the golden samples of v1 alike"),
    (replace(GOOD, restarts=3), Fault.CANARY_NOT_READY, "started again 3 times"),
]


class TestRollback:
    @pytest.mark.parametrize(("candidate", "reason", "says"), FAULTS)
    def test_what_is_clear_does_not_wait_for_the_pause(
        self, trier: Trier, candidate: Side, reason: Fault, says: str
    ) -> None:
        world = trier.world
        trier.begin()
        trier.tell(candidate)
        world.step()
        assert world.status.rollback is not None
        assert (world.status.rollback.version, world.status.rollback.reason) == ("v2", reason)
        assert says in world.status.rollback.message
        assert (world.serves, trier.shared, trier.tries) == ("v1", False, True)
        assert world.told == (False, True, True, Reason.ROLLED_BACK)
        trier.end()
        assert not trier.tries
        assert world.told == (False, False, True, Reason.ROLLED_BACK)
        assert world.events.count("RolledBack") == 1

    @pytest.mark.parametrize(
        ("candidate", "reason"),
        [
            (replace(GOOD, seconds=3.0), Fault.CANARY_SLOW),
            (replace(GOOD, predictions=(Predictions(1000, {"setosa": 1000}, ()),)), Fault.CANARY_DISAGREES),
        ],
    )
    def test_the_rest_is_judged_when_the_pause_ends(self, trier: Trier, candidate: Side, reason: Fault) -> None:
        trier.begin()
        trier.tell(candidate)
        trier.world.step()
        assert trier.trial.phase == Phase.TRYING
        trier.end_pause(candidate)
        assert trier.world.status.rollback is not None
        assert trier.world.status.rollback.reason == reason

    def test_pods_that_never_get_ready(self, trier: Trier) -> None:
        world = trier.world
        world.change(modelVersion="v2", progressDeadlineSeconds=20)
        world.step()
        world.roll_out(ready=0, candidate=True, late=True)
        world.trouble = "0/2 nodes are available"
        world.step()
        assert world.status.rollback is not None
        assert world.status.rollback.reason == Fault.CANARY_NOT_READY
        assert world.status.rollback.message == "0 of 1 pod ready within 20 s: 0/2 nodes are available."

    def test_pods_that_are_not_ready_any_more(self, trier: Trier) -> None:
        world = trier.world
        trier.begin(progressDeadlineSeconds=20)
        world.roll_out(ready=0, candidate=True)
        world.step()
        assert trier.trial.phase == Phase.STARTING
        world.now += timedelta(seconds=30)
        world.step()
        assert world.status.rollback is not None
        assert world.status.rollback.reason == Fault.CANARY_NOT_READY

    @pytest.mark.parametrize("waits", ["held", "paused", "away"])
    def test_time_in_which_nothing_was_done_is_not_the_candidates(self, trier: Trier, base: Base, waits: str) -> None:
        world = trier.world
        world.change(modelVersion="v2")
        world.step()
        world.roll_out(candidate=True)
        world.base = replace(base, digest="new")
        if waits != "away":
            world.held, world.spec["paused"] = waits == "held", waits == "paused"
            world.step()
        world.now += timedelta(seconds=700)
        world.held, world.spec["paused"] = False, False
        world.step()
        assert world.status.rollback is None
        trier.let_try()
        assert trier.trial.phase == Phase.TRYING

    def test_what_was_late_before_is_not_what_is_tried_now(self, trier: Trier) -> None:
        world = trier.world
        world.change(modelVersion="v2")
        world.step()
        world.roll_out(ready=0, candidate=True, late=True)
        world.change(modelVersion="v3")
        world.step()
        assert world.status.rollback is None
        assert trier.trial.version == "v3"

    def test_also_while_it_takes_over(self, trier: Trier) -> None:
        world = trier.world
        trier.begin()
        world.promoted = trier.trial.token
        world.step()
        assert (trier.trial.phase, world.serves) == (Phase.PROMOTING, "v2")
        trier.tell(replace(GOOD, errors=500))
        world.step()
        assert world.serves == "v1"
        world.roll_out()
        trier.end()
        assert world.told == (False, False, True, Reason.ROLLED_BACK)
        assert world.status.served_version == "v1"

    def test_it_is_not_tried_again_before_something_else_is_asked_for(self, trier: Trier) -> None:
        world = trier.world
        trier.begin()
        trier.tell(replace(GOOD, errors=500))
        world.step()
        trier.end()
        world.change(replicas=5)
        world.settle()
        assert not trier.tries
        world.change(resources={"limits": {"memory": "2Gi"}})
        world.step()
        assert trier.tries

    def test_never_halts_at_the_step(self, trier: Trier) -> None:
        trier.begin(rollback="never")
        trier.tell(replace(GOOD, errors=500))
        trier.world.step()
        assert trier.world.told == (True, True, True, Reason.CANARY)
        assert "as spec.rollback is never: 500 of its 1000" in trier.message
        trier.end_pause()
        assert trier.trial.step == 1


class TestWaiting:
    def test_metrics_that_nobody_tells_are_waited_for(self, trier: Trier) -> None:
        trier.begin()
        trier.end_pause(Side(pods=1, asked=0, problem="iris-candidate-x: refused"))
        assert (trier.trial.phase, trier.trial.step) == (Phase.TRYING, 0)
        assert trier.message.endswith("It waits: none of its pods tells its metrics: iris-candidate-x: refused.")
        trier.world.figures = None
        trier.world.step()
        assert trier.message.endswith("It waits: its pods are asked for their metrics.")

    def test_figures_of_before_are_not_of_this_step(self, trier: Trier) -> None:
        trier.begin()
        trier.tell()
        trier.world.now += timedelta(seconds=40)
        trier.end_pause()
        old = trier.world.figures
        trier.world.step()
        trier.let_try()
        trier.world.now += timedelta(seconds=40)
        trier.world.figures = old
        trier.world.step()
        assert (trier.trial.phase, trier.trial.step) == (Phase.TRYING, 1)

    def test_golden_samples_are_waited_for_before_the_second_step(self, trier: Trier) -> None:
        trier.begin()
        trier.end_pause(replace(GOOD, golden=None))
        assert trier.message.endswith("It waits: it is to answer the golden samples of v1.")
        trier.world.now += timedelta(seconds=GOLDEN_SECONDS)
        trier.end_pause(replace(GOOD, golden=None))
        assert trier.trial.step == 1  # the predictions are enough

    def test_with_few_requests_golden_samples_decide_and_it_says_so(self, trier: Trier) -> None:
        trier.begin()
        trier.end_pause(Side(pods=1, asked=1, requests=3, golden=1.0))
        assert trier.trial.step == 1
        assert "it answered 3 requests, so golden samples decided" in trier.message

    def test_it_is_never_promoted_blind(self, trier: Trier) -> None:
        trier.begin()
        trier.world.now += timedelta(seconds=GOLDEN_SECONDS)
        trier.end_pause(Side(pods=1, asked=1, requests=3))
        assert trier.trial.step == 0
        assert "3 requests of the 100 to judge it by" in trier.message


class TestByHand:
    def test_promoted_it_skips_the_other_steps(self, trier: Trier) -> None:
        trier.begin()
        phases = []
        for token in ("v2@2020-01-01T00:00:00Z", trier.trial.token):  # the first is of another one
            trier.world.promoted = token
            trier.world.step()
            phases.append(trier.trial.phase)
        assert phases == [Phase.TRYING, Phase.PROMOTING]

    def test_back_to_the_stable_version_ends_it(self, trier: Trier) -> None:
        trier.begin()
        trier.world.change(modelVersion="v1")
        trier.world.step()
        assert (trier.trial.phase, trier.shared, trier.world.serves) == (Phase.ENDING, False, "v1")
        trier.end()
        assert not trier.tries
        assert trier.world.told == (True, False, False, Reason.READY)

    def test_a_way_back_may_do_without(self, trier: Trier) -> None:
        world = trier.world
        trier.begin()
        world.promoted = trier.trial.token
        world.step()
        world.roll_out()
        trier.end()
        assert world.status.served_version == "v2"
        world.promoted = back_token("v1", "v2", world.generation)
        world.change(modelVersion="v1")
        world.step()
        assert (world.serves, trier.tries) == ("v1", False)
        world.settle()
        world.change(modelVersion="v2")
        world.step()
        assert trier.tries

    def test_a_way_back_of_long_ago_does_not_count_again(self, trier: Trier) -> None:
        world = trier.world
        canary = world.spec["strategy"]
        world.settle()
        world.change(strategy={"type": "rolling"}, modelVersion="v2")
        world.settle()
        world.promoted = back_token("v1", "v2", world.generation)
        world.change(strategy=canary, modelVersion="v1")
        world.settle()
        assert not trier.tries
        world.change(strategy={"type": "rolling"}, modelVersion="v2")
        world.settle()
        assert world.status.served_version == "v2"
        world.change(strategy=canary, modelVersion="v1")
        world.step()
        assert trier.tries

    def test_another_version_begins_anew(self, trier: Trier) -> None:
        world = trier.world
        trier.begin()
        world.change(modelVersion="v3")
        world.step()
        assert (version_of(world.candidate), trier.trial.version, trier.trial.weight) == ("v3", "v3", 0)
        assert not trier.shared
        trier.let_try()
        assert trier.shared

    def test_paused_it_stays_at_its_step(self, trier: Trier) -> None:
        world = trier.world
        trier.begin()
        world.change(paused=True)
        trier.end_pause(replace(GOOD, errors=500))
        assert world.told == (False, False, False, Reason.PAUSED)
        assert trier.trial.phase == Phase.TRYING
        assert trier.shared
        world.change(paused=False)
        trier.end_pause()
        assert trier.trial.step == 1

    def test_rolling_ends_it_and_rolls(self, trier: Trier) -> None:
        trier.begin()
        trier.world.change(strategy={"type": "rolling"})
        trier.world.step()
        assert (trier.world.serves, trier.trial.phase) == ("v2", Phase.ENDING)


def test_an_alias_that_moves_is_tried_and_one_that_moves_on_to_nothing_ends_it(world: World) -> None:
    trier = Trier(world)
    world.change(modelVersion=None, alias="champion")
    world.settle(Found("v1"))
    world.step(Found("v2"))
    assert (world.serves, trier.trial.version) == ("v1", "v2")
    world.step(Missing(Reason.VERSION_NOT_FOUND, "There is no v3."))
    assert trier.trial.phase == Phase.ENDING
    assert world.told == (False, False, True, Reason.VERSION_NOT_FOUND)


def test_another_version_waits_for_pods_beside_which_it_can_be_tried(trier: Trier) -> None:
    trier.world.change(replicas=0)
    trier.world.settle()
    trier.world.change(modelVersion="v2")
    trier.world.step()
    assert (trier.world.serves, trier.tries) == ("v1", False)
    assert trier.world.told == (False, False, True, Reason.CANARY)


def test_whoever_waits_for_a_turn_stays_at_the_step_but_is_rolled_back(trier: Trier) -> None:
    trier.begin()
    trier.world.held = True
    trier.end_pause()
    assert (trier.trial.phase, trier.trial.step) == (Phase.TRYING, 0)
    assert "waits for its turn" in trier.message
    trier.tell(replace(GOOD, errors=500))
    trier.world.step()
    assert trier.world.status.rollback is not None


def test_it_is_not_ready_while_no_pod_of_before_is(trier: Trier) -> None:
    trier.begin()
    trier.world.roll_out(ready=0)
    trier.world.step()
    assert trier.world.told == (False, True, False, Reason.CANARY)
    assert "No pod beside which v2 is tried is ready." in trier.world.condition(ConditionType.READY).message
    trier.world.roll_out(ready=1)
    trier.world.step()
    assert trier.world.told == (True, True, False, Reason.CANARY)


def test_a_candidate_of_which_the_status_says_nothing_leaves(trier: Trier) -> None:
    world = trier.world
    trier.begin()
    world.status = world.status.model_copy(update={"canary": None})
    world.change(modelVersion="v1")
    world.step()
    trier.end()
    assert not trier.tries
    assert world.status.canary is None


def test_an_environment_may_ask_for_canaries(world: World) -> None:
    environments = {"careful": {"strategy": {"type": "canary", "canary": {"minRequests": 7}}}}
    world.base = replace(world.base, environments=environments)
    world.change(environment="careful", strategy={"canary": {"steps": STEPS}})
    world.settle()
    world.change(modelVersion="v2")
    world.step()
    assert world.status.canary is not None
    assert world.status.canary.version == "v2"


def outcome(world: World) -> tuple[Any, ...]:
    """All that an operator leaves, but for times."""
    status = world.status.model_dump(exclude={"conditions", "rollback", "observed_generation"})
    rollback = world.status.rollback
    specs = {key: child["spec"] for key, child in world.children.items()}
    return status, world.told, specs, None if rollback is None else (rollback.version, rollback.reason)


def run_to_the_end(owner: Owner, base: Base, candidate: Side, fatal: int) -> tuple[tuple[Any, ...], int]:
    """A canary by a route, whose operator is killed before its write of a number; 0 for never."""
    world = World(owner, base)
    world.routable = True
    world.spec["route"] = ROUTE
    trier = Trier(world)
    world.change(modelVersion="v2")
    world.writes, world.fatal = 0, fatal
    for _ in range(30):
        try:
            world.step()
        except KilledError:
            world.figures = None  # another operator knows only what is written
            continue
        world.roll_out()
        if trier.tries:
            world.roll_out(candidate=True)
        world.now += timedelta(seconds=5)
        if world.status.canary is not None:
            trier.tell(candidate)
    return outcome(world), world.writes


@pytest.mark.parametrize(("candidate", "serves"), [(GOOD, "v2"), (replace(GOOD, errors=500), "v1")])
def test_killed_before_any_of_its_writes_it_comes_to_the_same_end(
    owner: Owner, base: Base, candidate: Side, serves: str
) -> None:
    expected, writes = run_to_the_end(owner, base, candidate, 0)
    assert expected[0]["served_version"] == serves
    assert writes >= 7
    for fatal in range(1, writes + 1):
        assert run_to_the_end(owner, base, candidate, fatal)[0] == expected, fatal

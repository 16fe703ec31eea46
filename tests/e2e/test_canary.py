"""Scenario 13: canaries: candidates that are worse are rolled back by themselves, each with its reason; a good one is promoted."""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pytest_helm_charts.clusters import Cluster as KubeCluster

from .clients import MachineClient, Traffic, under_load
from .cluster import Cluster
from .deployments import Deployments
from .load import Shape, Target
from .namespace import Namespace, Object
from .operators import Operators
from .pods import Workbench
from .polling import poll
from .release import FLOWER, NAME, Release
from .spoiling import FAILING, PERMUTED, SLOW
from .test_operator import restart_operator, settled, words, written
from .test_rollout import ROUTER

SURE = 4.5
"""Standard deviations that a share may be off: by chance it is more once in 150,000 times."""

METRE = '{"features": [5.1, 3.5, 100, 0.2]}'
"""A flower at which the version `failing` fails."""

CLOSED = {"policies.networkPolicy.enabled": "true", "policies.networkPolicy.allowFrom[0].ipBlock.cidr": "0.0.0.0/0"}
"""Everyone may ask for predictions, and the operator reaches no more than it needs."""

DRAINING = {"serving.settings.drainSeconds": "15"}
"""A router has to notice that a pod leaves, which no one has to in values/minikube.yaml."""

MOST_KILLS = 60
"""A canary takes fewer writes; what others left behind could be written in turns for ever."""

PAUSE_SECONDS, SETTLING_SECONDS = 14, 6
"""Of each step whose shares are counted; within the latter kube-proxy and traefik follow."""

CONNECTIONS = Shape(keep_alive=0, fresh=8, rate=80, seconds=600)
"""Every request has a connection of its own."""

REQUESTS = Shape(keep_alive=6, fresh=2, rate=100, seconds=600)


def canary(*steps: tuple[int, int], **more: Any) -> dict[str, Any]:
    """The strategy with these weights and pauses in seconds; times are not compared, unless it is said: the machine is busy."""
    listed = [{"weight": weight, "pauseSeconds": pause} for weight, pause in steps]
    return {"type": "canary", "canary": {"steps": listed, "minRequests": 40, "maxLatencyRatio": 50} | more}


@pytest.fixture(scope="module")
def platform(cluster: Cluster, kube_cluster: KubeCluster, image: str, definition: None) -> Iterator[Deployments]:
    """A release that only operates, with a v1 and a v2 of iris that are alike in its store, and three that are worse."""
    cluster.addon("traefik")
    namespace = Namespace(cluster, kube_cluster.kube_client, f"e2e-{uuid4().hex[:8]}")
    namespace.create()
    release = Release(namespace, image)
    release.install(*words(**CLOSED, **DRAINING))
    bench = Workbench(namespace, image, f"{NAME}-store")
    bench.run("mlplat", "train", "--recipe", "iris", "--version", "v2", "--param", "n_estimators=11")
    for code in (FAILING, SLOW, PERMUTED):
        bench.python(code)
    train = "mlplat train --recipe permuted:Permuted --model iris --version permuted --param n_estimators=10"
    bench.run("env", "PYTHONPATH=/tmp", *train.split())
    yield Deployments(release)
    namespace.delete()


def trial_of(deployments: Deployments, name: str) -> Object:
    """What the status says of a canary; empty if there is none."""
    trial: Object = deployments.get(name).get("status", {}).get("canary", {})
    return trial


def await_phase(deployments: Deployments, name: str, phase: str, step: int = 0, seconds: float = 180) -> Object:
    """The canary, as soon as it is there."""

    def there() -> Object | None:
        trial = trial_of(deployments, name)
        return trial if (trial.get("phase"), trial.get("step")) == (phase, step) else None

    return poll(there, f"{name} is {phase} at step {step}", seconds)


def await_end(deployments: Deployments, name: str, seconds: float = 180) -> Object:
    """The status, as soon as the candidate is gone."""

    def over() -> Object | None:
        status: Object = deployments.get(name)["status"]
        kinds = "deployments,services,httproutes"
        left = deployments.namespace.kubectl("get", kinds, "--output=name")
        return status if "canary" not in status and f"{name}-candidate" not in left else None

    return poll(over, f"the canary of {name} is over", seconds)


@dataclass(frozen=True)
class Stretch:
    """The time that a candidate had a share."""

    share: float
    start: float
    end: float


def watch(deployments: Deployments, name: str, steps: int) -> list[Stretch]:
    """Follow a canary through its steps: the time of each pause, but for its first seconds, in which a share still changes."""
    stretches = []
    for step in range(steps):
        seen = [await_phase(deployments, name, "Trying", step)]

        def left(step: int = step, seen: list[Object] = seen) -> bool:
            seen.append(trial_of(deployments, name))
            return (seen[-1].get("phase"), seen[-1].get("step")) != ("Trying", step)

        poll(left, f"step {step} is over", 180)
        since = datetime.fromisoformat(seen[-2]["since"]).timestamp()
        stretches.append(Stretch(seen[-2]["share"], since + SETTLING_SECONDS, since + PAUSE_SECONDS))
    return stretches


def assert_shares(traffic: Traffic, stretches: list[Stretch], candidate: str) -> None:
    """In each stretch the candidate answered as many as its share says, but for chance."""
    for stretch in stretches:
        counts: dict[str, int] = {}
        for result in traffic.results.values():
            for version, count in result.count_between(stretch.start, stretch.end).items():
                counts[version] = counts.get(version, 0) + count
        total, share = sum(counts.values()), stretch.share / 100
        bound = SURE * math.sqrt(share * (1 - share) / total)
        found = counts.get(candidate, 0) / total
        print(f"{stretch.share:g} %: {found:.1%} of {total}, at most {bound:.1%} off")  # noqa: T201
        assert total > 200, counts
        assert abs(found - share) < bound, counts


def test_a_good_one_is_promoted_by_shares_of_new_connections(platform: Deployments, tmp_path: Path) -> None:
    platform.apply("shared", replicas=2, strategy=canary((33, PAUSE_SECONDS), (50, PAUSE_SECONDS)))
    platform.await_served("shared", "v1")
    load = MachineClient("shared", Target(platform.url("shared")), CONNECTIONS, tmp_path)
    with under_load(load) as traffic:
        platform.patch("shared", modelVersion="v2")
        stretches = watch(platform, "shared", 2)
        status = await_end(platform, "shared")
        platform.await_served("shared", "v2")
        traffic.await_more(100)
    traffic.assert_none_failed(1000)
    assert_shares(traffic, stretches, "v2")
    assert [stretch.share for stretch in stretches] == [33.3, 50.0]
    assert (status["servedVersion"], status["previousVersion"]) == ("v2", "v1")
    platform.await_events("shared", "CanaryStarted", "CanaryStep", "CanaryPassed", "Promoting", "Served", "CanaryEnded")
    platform.delete("shared")


def test_a_good_one_is_promoted_by_weights_of_a_route(platform: Deployments, tmp_path: Path) -> None:
    host = f"routed.{platform.namespace.name}.test"
    route = {"parentRefs": [{"name": "traefik", "namespace": "traefik"}], "hostnames": [host]}
    platform.apply("routed", replicas=2, strategy=canary((10, PAUSE_SECONDS), (60, PAUSE_SECONDS)), route=route)
    platform.await_served("routed", "v1")
    url = ROUTER.format(platform.release.address(0))
    poll(lambda: version_at(url, host) == "v1", "the gateway leads there")
    with under_load(MachineClient("routed", Target(url, host=host), REQUESTS, tmp_path)) as traffic:
        platform.patch("routed", modelVersion="v2")
        stretches = watch(platform, "routed", 2)
        await_end(platform, "routed")
        platform.await_served("routed", "v2")
        traffic.await_more(100)
    traffic.assert_none_failed(1000)
    assert_shares(traffic, stretches, "v2")
    assert [stretch.share for stretch in stretches] == [10, 60]
    route = json.loads(platform.namespace.kubectl("get", "httproute", "routed", "--output=json"))["spec"]
    assert [each["name"] for each in route["rules"][0]["backendRefs"]] == ["routed"]
    restart_operator(platform)
    assert poll(partial(counted, platform, "reconciles"), "the new operator has looked at all") > 0
    assert counted(platform, "writes") == 0  # a steady state is not written
    platform.delete("routed")


GATEWAY: Object = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "late"},
    "spec": {
        "gatewayClassName": "traefik",
        "listeners": [{"name": "web", "protocol": "HTTP", "port": 8000}],
    },
}


def test_one_whose_route_no_gateway_takes_stays_at_its_step_until_one_does(platform: Deployments) -> None:
    host = f"lost.{platform.namespace.name}.test"
    platform.apply("lost", strategy=canary((50, 2)), route={"parentRefs": [{"name": "late"}], "hostnames": [host]})
    nobody = f"for the Gateway {platform.namespace.name}/late (is there one?)"
    assert (
        f"v1 is served by 1 pod. Requests do not come by the HTTPRoute lost as they should: no controller has taken it {nobody}."
        in (platform.await_reason("lost", "RouteNotAccepted"))
    )
    platform.patch("lost", modelVersion="v2")
    begun = await_phase(platform, "lost", "Trying")["begun"]
    poll(partial(paused_long_enough, platform, "lost", 2), "its pause is over")
    said = platform.mlplat("explain", "lost")
    assert "v2 is to get 50 % of the requests (step 1 of 1). It waits: no request comes by its HTTPRoute." in said
    assert nobody in said
    assert "`kubectl describe httproute lost` shows what they say" in said
    assert platform.predict("lost", FLOWER)["model_version"] == "v1"

    platform.namespace.apply(GATEWAY)
    assert await_phase(platform, "lost", "Ending")["begun"] == begun
    await_end(platform, "lost")
    platform.await_served("lost", "v2")
    platform.await_events("lost", "RouteNotAccepted")
    url = ROUTER.format(platform.release.address(0))
    poll(lambda: version_at(url, host) == "v2", "the gateway leads there")
    platform.delete("lost")


def paused_long_enough(deployments: Deployments, name: str, pause: int) -> bool:
    """Whether the pods of a canary were asked after its pause, and it is still at its step."""
    trial = trial_of(deployments, name)
    assert trial["phase"] == "Trying", trial
    counted = trial.get("counted", {"at": trial["since"]})
    passed = datetime.fromisoformat(counted["at"]) - datetime.fromisoformat(trial["since"])
    return passed.total_seconds() > pause


def version_at(url: str, host: str) -> str:
    """The version that answers by a Gateway; empty if none does yet."""
    try:
        answer = httpx.post(url, json=FLOWER, headers={"Host": host}, timeout=30)
    except httpx.TransportError:
        return ""
    return str(answer.json()["model_version"]) if answer.status_code == 200 else ""


def text_at(url: str) -> str:
    """What is there; empty if nobody answers yet."""
    try:
        return httpx.get(url, timeout=30).raise_for_status().text
    except httpx.HTTPError:
        return ""


def counted(deployments: Deployments, what: str) -> float:
    """What the operator counted."""
    return told(deployments, what, suffix="_total")


def told(deployments: Deployments, what: str, suffix: str = "") -> float:
    """The sum of a metric of the operator."""
    (pod,) = deployments.namespace.pods("operator")
    text = poll(lambda: text_at(f"http://{pod['status']['podIP']}:8080/metrics"), "the operator tells its metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    name = f"mlplat_operator_{what}"
    return sum(sample.value for sample in families[name].samples if sample.name == f"{name}{suffix}")


LOOKS = ((50, 6), (51, 20), (52, 60), (90, 600))
"""Steps at which two pods have half of the connections each: where too few come in 6 s to judge them, more time is left."""

WORSE = {
    "failing": ("CanaryErrors", "answers were server errors"),
    "slow": ("CanarySlow", "times the"),
    "permuted": ("CanaryDisagrees", "of the golden samples of v1 alike"),
}


def test_one_that_is_worse_is_rolled_back_with_the_reason(platform: Deployments, tmp_path: Path) -> None:
    """Each gets ready: it answers its own golden samples as it should."""
    for version in WORSE:
        platform.apply(version, strategy=canary(*LOOKS, maxLatencyRatio=4))
    for version in WORSE:
        platform.await_served(version, "v1")
    flowers = {"failing": METRE, "slow": Target("").body}  # permuted is asked for nothing
    clients = [
        MachineClient(name, Target(platform.url(name), body=body), CONNECTIONS, tmp_path)
        for name, body in flowers.items()
    ]
    with under_load(*clients) as traffic:
        for version in WORSE:
            platform.patch(version, modelVersion=version)
        for version, (reason, says) in WORSE.items():
            message = platform.await_reason(version, "RolledBack", 240)
            rollback = await_end(platform, version)["rollback"]
            print(f"{version}: {rollback['reason']}: {rollback['message']}")  # noqa: T201
            assert (rollback["version"], rollback["reason"]) == (version, reason), rollback
            assert says in rollback["message"]
            assert rollback["message"] in message
            platform.await_events(version, "RolledBack")
            assert platform.predict(version, FLOWER)["model_version"] == "v1"
        gone = time.time()
        traffic.await_more(200)
    assert traffic.versions_between(gone, math.inf) == {"v1"}
    assert traffic.results["slow"].failed == 0
    assert set(traffic.results["failing"].kinds) == {"status 500"}
    assert "CanarySlow" in platform.mlplat("describe", "slow")
    for version in WORSE:
        platform.delete(version)


def test_by_hand_it_is_ended_or_promoted_at_once(platform: Deployments) -> None:
    platform.apply("by-hand", strategy=canary((50, 3600)))
    platform.await_served("by-hand", "v1")
    assert "tries no other version" in platform.mlplat("promote", "by-hand", code=4)
    platform.mlplat("promote", "by-hand", "v2")
    await_phase(platform, "by-hand", "Trying")
    poll(lambda: "golden samples answered alike: 100%" in platform.mlplat("explain", "by-hand"), "it is known")
    assert "v2 gets 50 % of the new connections (step 1 of 1)" in platform.mlplat("describe", "by-hand")
    assert platform.reason("by-hand")[0] == "Canary"
    headings, values = platform.namespace.kubectl("get", "md", "by-hand", "--output=wide").splitlines()
    shown = dict(zip(headings.split(), values.split(), strict=True))
    assert (shown["CANARY"], shown["WEIGHT"]) == ("Trying", "50")
    poll(lambda: told(platform, "canary_weight") == 50, "the weight is told")
    assert "is to serve v1 (before: v2)" in platform.mlplat("rollback", "by-hand")
    assert "v1 is served by 1 pod." in platform.mlplat("wait", "by-hand")
    await_end(platform, "by-hand")

    platform.mlplat("promote", "by-hand", "v2")
    await_phase(platform, "by-hand", "Trying")
    assert "is to serve v2 without the other steps" in platform.mlplat("promote", "by-hand")
    assert "v2 is served by 1 pod." in platform.mlplat("wait", "by-hand")
    assert "is to serve v1 (before: v2)" in platform.mlplat("rollback", "by-hand")
    assert "v1 is served by 1 pod." in platform.mlplat("wait", "by-hand")
    assert "canary" not in platform.get("by-hand")["status"]  # back at once
    platform.delete("by-hand")


def test_an_operator_that_is_killed_in_every_phase_goes_on(platform: Deployments, tmp_path: Path) -> None:
    platform.apply("survivor", strategy=canary((50, 4)))
    platform.await_served("survivor", "v1")
    load = MachineClient("survivor", Target(platform.url("survivor")), CONNECTIONS, tmp_path)
    seen = []
    with under_load(load) as traffic:
        platform.patch("survivor", modelVersion="v2")
        for phase in ("Starting", "Trying", "Promoting", "Ending"):
            poll(partial(reached, platform, "survivor", phase), f"it is {phase}")
            seen.append(trial_of(platform, "survivor").get("phase", "over"))
            restart_operator(platform)
        platform.await_served("survivor", "v2")
        await_end(platform, "survivor")
    traffic.assert_none_failed(300)
    print(f"killed while it was {', '.join(seen)}")  # noqa: T201
    assert len(set(seen)) > 2, seen
    platform.delete("survivor")


def reached(deployments: Deployments, name: str, phase: str) -> bool:
    """Whether a canary is in a phase, or past it."""
    order = ("Starting", "Trying", "Promoting", "Ending")
    now = trial_of(deployments, name).get("phase")
    if now is None:
        return bool(deployments.get(name)["status"].get("servedVersion") == "v2")
    return order.index(now) >= order.index(phase)


@pytest.mark.timeout(1800)
def test_operators_that_are_killed_before_each_write_of_a_canary_bring_it_to_the_same_end(
    alone: Deployments, operators: Operators, tmp_path: Path
) -> None:
    strategy = canary((34, 1), (50, 1))
    operators.start()
    alone.apply("control", strategy=strategy)
    alone.await_served("control", "v1")
    alone.patch("control", modelVersion="v2")
    await_end(alone, "control")
    expected = settled(alone, "control", "v2")
    alone.delete("control")
    operators.end()

    alone.apply("mortal", strategy=strategy)
    killed = kill_by_turns(operators, partial(is_served, alone, "mortal", "v1"))
    with under_load(MachineClient("mortal", Target(alone.url("mortal")), CONNECTIONS, tmp_path)) as traffic:
        alone.patch("mortal", modelVersion="v2")
        killed += kill_by_turns(operators, partial(is_served, alone, "mortal", "v2"))
        traffic.await_more(100)
    traffic.assert_none_failed(1000)
    assert settled(alone, "mortal", "v2") == expected
    assert "mortal-candidate" not in alone.namespace.kubectl("get", "deployments,services", "--output=name")
    kinds = [f"{write.split()[0]} {written(write)}" for write in killed]
    print(f"killed before each of {len(killed)} writes: {', '.join(kinds)}")  # noqa: T201
    assert {"DELETE deployments", "PATCH services", "PATCH status", "POST events"} <= set(kinds)
    alone.delete("mortal")


def kill_by_turns(operators: Operators, over: Callable[[], bool]) -> list[str]:
    """Kill an operator before each write that the one before was not killed at, until it is over; returns these writes."""
    killed: list[str] = []
    while True:
        operators.start()
        operators.kill_unless(spared=killed[-1] if killed else "")
        poll(lambda: over() or not operators.runs, f"it is over, or the next one is killed after {killed}", 180)
        if operators.runs:
            operators.end()
            return killed
        killed.append(operators.between.writes[-1])
        assert len(killed) < MOST_KILLS, killed
        print(f"killed {len(killed)} times, now before {killed[-1]}")  # noqa: T201


def is_served(deployments: Deployments, name: str, version: str) -> bool:
    """Whether a version is all that there is."""
    ready = deployments.reason(name) == ("Ready", f"{version} is served by 1 pod.")
    return ready and not trial_of(deployments, name)

"""Scenario 12: ModelDeployments, from apply to delete, and the operator that may fail at any time."""

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pykube
import pytest
import yaml
from pytest_helm_charts.clusters import Cluster as KubeCluster

from mlplat.operator.crd import RULES

from .clients import MachineClient, under_load
from .cluster import ROOT, Cluster, CommandError
from .deployments import CUSTOMER, Deployments, manifest
from .load import Shape, Target
from .namespace import Namespace, Object, is_ready
from .operators import Operators, storeless_base
from .pods import Workbench
from .polling import poll
from .release import CHART, FLOWER, NAME, Release
from .test_refusal import OTHER_GOLDEN

OPERATED = {
    "operator.enabled": "true",
    "operator.crds.enabled": "false",  # of the cluster, not of one scenario
    "serving.enabled": "false",
    "serving.settings.pollSeconds": "1",
    "model.params.n_estimators": "10",
}
LIGHT = Shape(keep_alive=4, fresh=2, rate=60, seconds=600)


def words(**others: str) -> tuple[str, ...]:
    """The values of an operator's release."""
    return ("--set", ",".join(f"{name}={value}" for name, value in {**OPERATED, **others}.items()))


@pytest.fixture(scope="module")
def platform(cluster: Cluster, kube_cluster: KubeCluster, image: str, definition: None) -> Iterator[Deployments]:
    """A release that only operates, with iris v1 and v2 and churn v1, which is the champion, in its store."""
    namespace = Namespace(cluster, kube_cluster.kube_client, f"e2e-{uuid4().hex[:8]}")
    namespace.create()
    release = Release(namespace, image)
    release.install(*words())
    bench = Workbench(namespace, image, f"{NAME}-store")
    bench.run("mlplat", "train", "--recipe", "iris", "--version", "v2", "--param", "n_estimators=11")
    bench.run("mlplat", "train", "--recipe", "churn", "--version", "v1", "--promote", "champion")
    yield Deployments(release)
    namespace.delete()


def bench(deployments: Deployments) -> Workbench:
    """The pod that may write the store."""
    return Workbench(deployments.namespace, deployments.release.image, f"{NAME}-store")


def load_on(deployments: Deployments, name: str, folder: Path) -> MachineClient:
    return MachineClient(name, Target(deployments.url(name)), LIGHT, folder)


def test_from_apply_to_delete(platform: Deployments, tmp_path: Path) -> None:
    namespace = platform.namespace
    for name in ("iris-classifier", "churn-predictor"):
        namespace.kubectl("apply", "--filename", str(ROOT / "examples" / f"{name}.yaml"))
        namespace.kubectl("wait", "--for=condition=Ready", f"md/{name}", "--timeout=180s")
    assert platform.predict("iris-classifier", FLOWER)["prediction"] == "setosa"
    assert platform.predict("churn-predictor", CUSTOMER)["model_name"] == "churn"
    listed = namespace.kubectl("get", "ml").splitlines()
    assert listed[0].split() == ["NAME", "MODEL", "VERSION", "WANTED", "READY", "REASON", "REPLICAS", "AGE"]
    assert listed[2].split()[:7] == ["iris-classifier", "iris", "v1", "v1", "True", "Ready", "2"]
    assert "v1 is served by 2 pods." in namespace.kubectl("describe", "md", "iris-classifier")
    assert "iris-classifier" in platform.mlplat("list")

    with under_load(load_on(platform, "iris-classifier", tmp_path)) as traffic:
        platform.patch("iris-classifier", replicas=3)
        platform.await_pods("iris-classifier", 3)
        namespace.kubectl("scale", "md/iris-classifier", "--replicas=2")
        platform.await_pods("iris-classifier", 2)
        platform.patch("iris-classifier", modelVersion="v2")
        status = platform.await_served("iris-classifier", "v2")
        assert status["previousVersion"] == "v1"
        platform.patch("iris-classifier", modelVersion="v1")
        platform.await_served("iris-classifier", "v1")
        platform.mlplat("promote", "iris-classifier", "v2")
        assert "v2 is served by 2 pods." in platform.mlplat("wait", "iris-classifier")
        assert "is to serve v1 (before: v2)" in platform.mlplat("rollback", "iris-classifier")
        assert "v1 is served by 2 pods." in platform.mlplat("wait", "iris-classifier")
        traffic.await_more(200)
    traffic.assert_none_failed(1000)
    assert {version for result in traffic.results.values() for version in result.versions} == {"v1", "v2"}
    assert "mlplat models promote churn v1 champion" in platform.mlplat("promote", "churn-predictor", "v1", code=4)

    for name in ("iris-classifier", "churn-predictor"):
        platform.delete(name)
    kinds = "deployments,services,hpa,pdb,replicasets,pods"

    def gone() -> bool:
        left = namespace.kubectl("get", kinds, "--selector=mlplat.dev/model-deployment", "--output=name")
        return not left.strip()

    poll(gone, "nothing is left behind", 180)


def test_the_autoscaler_has_the_pods_and_a_write_to_replicas_is_told_to_be_in_vain(
    platform: Deployments, tmp_path: Path
) -> None:
    platform.apply("scaled", replicas=2)
    platform.await_served("scaled", "v1")
    unreachable = {"enabled": True, "minReplicas": 1, "maxReplicas": 3, "targetCPUUtilizationPercentage": 100_000}
    platform.patch("scaled", autoscaling=unreachable)  # starting takes more than a pod asks for, and is not meant
    platform.await_served("scaled", "v1")
    wanted = partial(platform.namespace.object, pykube.Deployment, "scaled")
    assert wanted()["spec"]["replicas"] == 2  # handed over as it was
    platform.patch("scaled", autoscaling={"targetCPUUtilizationPercentage": 50})
    platform.patch("scaled", replicas=5)
    poll(lambda: "ReplicasIgnored" in platform.events("scaled"), "that is said")
    rush = MachineClient(
        "rush", Target(platform.url("scaled")), Shape(keep_alive=8, fresh=4, rate=400, seconds=600), tmp_path
    )
    with under_load(rush) as traffic:
        poll(lambda: wanted()["spec"]["replicas"] == 3, "there are more pods", 120)
        platform.await_pods("scaled", 3)
        by_hand = json.dumps({"spec": {"replicas": 2}})
        platform.namespace.kubectl("patch", "deployment", "scaled", "--type=merge", "--patch", by_hand)
        seen: list[int] = []

        def back() -> bool:
            seen.append(wanted()["spec"]["replicas"])
            return seen[-1] == 3

        poll(back, "the autoscaler has them back", 120)
        assert min(seen) >= 2  # nobody else had a say in it
    traffic.assert_none_failed(500)
    platform.delete("scaled")


BROKEN: list[tuple[str, Object]] = [
    ("n" * 41, {}),
    ("both", {"alias": "champion", "modelVersion": "v1"}),
    ("elsewhere", {"alias": "champion", "store": {"url": "s3://models"}}),
    ("dotted.name", {}),
    ("1st", {}),
    ("nameless", {"modelVersion": "../v1"}),
    ("upside-down", {"autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 2}}),
    ("rolling", {"strategy": {"type": "rolling", "canary": {}}}),
    ("falling", {"strategy": {"type": "canary", "canary": {"steps": [{"weight": 50}, {"weight": 5}]}}}),
    ("standing", {"strategy": {"type": "canary", "canary": {"steps": [{"weight": 5}, {"weight": 5}]}}}),
    ("twice", {"env": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
    ("own-env", {"env": [{"name": "MLPLAT_ALLOW_PICKLE", "value": "true"}]}),
    ("own-store-env", {"store": {"url": "s3://models", "env": {"MLPLAT_API_KEYS_PATH": "/tmp"}}}),
    ("own-label", {"labels": {"app.kubernetes.io/instance": "ml-platform"}}),
]


def test_what_cannot_be_is_refused_with_a_sentence(platform: Deployments) -> None:
    said = ""
    for name, spec in BROKEN:
        with pytest.raises(CommandError) as refused:
            platform.namespace.kubectl(
                "create", "--dry-run=server", "--filename", "-", stdin=json.dumps(manifest(name, **spec))
            )
        said += str(refused.value)
    sentences = [sentence for rules in RULES.values() for _, sentence in rules]
    assert [sentence for sentence in sentences if sentence not in said] == [], said


def test_a_missing_version_leaves_the_old_one_and_comes_when_it_is_there(platform: Deployments, tmp_path: Path) -> None:
    platform.apply("late")
    platform.await_served("late", "v1")
    with under_load(load_on(platform, "late", tmp_path)) as traffic:
        platform.apply("late", modelVersion=3)
        assert "There is no version '3' of 'iris'" in platform.await_reason("late", "VersionNotFound")
        assert "mlplat models list iris" in platform.mlplat("explain", "late")
        assert "is stalled" in platform.mlplat("wait", "late", code=1)
        platform.apply("beside")  # it holds up no other
        platform.await_served("beside", "v1")
        bench(platform).run("mlplat", "train", "--recipe", "iris", "--version", "3", "--param", "n_estimators=12")
        platform.await_served("late", "3")
    traffic.assert_none_failed(200)
    platform.delete("late")
    platform.delete("beside")


def test_an_alias_that_moves_rolls(platform: Deployments) -> None:
    shell = bench(platform)
    shell.run("mlplat", "models", "promote", "iris", "v1", "moving")
    keys = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "keys"}, "stringData": {"team": "open-sesame"}}
    platform.namespace.apply(keys)
    platform.apply("follower", alias="moving", auth={"existingSecret": "keys"})
    platform.await_served("follower", "v1")
    assert [status_of(platform, "follower", key) for key in ("", "another", "open-sesame")] == [401, 401, 200]
    shell.run("mlplat", "models", "promote", "iris", "v2", "moving")
    platform.await_served("follower", "v2")
    assert [status_of(platform, "follower", key) for key in ("", "open-sesame")] == [401, 200]
    platform.delete("follower")


def status_of(deployments: Deployments, name: str, key: str) -> int:
    """The status of a prediction that is asked for with an API key, as soon as there is an answer."""

    def answered() -> int | None:
        try:
            answer = httpx.post(
                deployments.url(name), json=FLOWER, headers={"X-API-Key": key} if key else {}, timeout=30
            )
        except httpx.TransportError:
            return None
        return answer.status_code

    return poll(answered, f"{name} answers")


def test_an_autoscaler_of_ones_own_may_have_the_resource(platform: Deployments) -> None:
    """It reads and writes the scale subresource."""
    platform.apply("outer", replicas=1)
    platform.await_served("outer", "v1")
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "own"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "mlplat.dev/v1", "kind": "ModelDeployment", "name": "outer"},
            "minReplicas": 2,
            "maxReplicas": 2,
        },
    }
    platform.namespace.apply(scaler)
    platform.await_pods("outer", 2)
    assert platform.get("outer")["spec"]["replicas"] == 2
    seen = partial(platform.namespace.object, pykube.HorizontalPodAutoscaler, "own")
    poll(lambda: seen()["status"].get("currentReplicas") == 2, "the autoscaler is told of them", 120)
    platform.namespace.kubectl("delete", "hpa", "own")
    platform.delete("outer")


def test_a_version_that_never_gets_ready_is_given_up(platform: Deployments, tmp_path: Path) -> None:
    shell = bench(platform)
    shell.run("mlplat", "train", "--recipe", "iris", "--version", "bad", "--param", "n_estimators=13")
    shell.python(OTHER_GOLDEN.replace("v2", "bad"))
    platform.apply("careful")
    platform.await_served("careful", "v1")
    with under_load(load_on(platform, "careful", tmp_path)) as traffic:
        platform.patch("careful", modelVersion="bad")
        poll(lambda: "Golden sample 0 was" in platform.mlplat("explain", "careful"), "explain has what the pod says")
        platform.patch("careful", progressDeadlineSeconds=10)
        assert "bad was given up: It was not ready within 10 s" in platform.await_reason("careful", "RolledBack")
        platform.await_pods("careful", 1)
        platform.await_events("careful", "RolledBack")
        assert platform.predict("careful", FLOWER)["model_version"] == "v1"
    traffic.assert_none_failed(500)
    platform.patch("careful", modelVersion="v2", progressDeadlineSeconds=60)
    platform.await_served("careful", "v2")
    platform.delete("careful")


def test_a_spec_whose_pods_find_no_node_says_so_and_leaves_those_of_before(
    platform: Deployments, tmp_path: Path
) -> None:
    small = manifest("placed")["spec"]["resources"]
    platform.apply("placed", progressDeadlineSeconds=10)
    platform.await_served("placed", "v1")
    [before] = platform.await_pods("placed", 1)
    with under_load(load_on(platform, "placed", tmp_path)) as traffic:
        platform.patch("placed", nodeSelector={"disk": "none"})
        said = platform.await_reason("placed", "DeadlineExceeded")
        assert "v1 was not ready within 10 s: 0/" in said
        assert "didn't match Pod's node affinity/selector" in said
        platform.patch("placed", nodeSelector=None, resources={"requests": {"cpu": "1000"}})
        poll(lambda: "Insufficient cpu" in platform.reason("placed")[1], "that is said", 60)
        assert before["metadata"]["uid"] in {pod["metadata"]["uid"] for pod in platform.pods("placed") if is_ready(pod)}
        platform.patch("placed", resources=small, tolerations=[{"keyy": "gpu"}])
        assert "keyy" in platform.await_reason("placed", "Refused")
        platform.patch("placed", tolerations=None)
        platform.await_served("placed", "v1")
    traffic.assert_none_failed(300)
    platform.delete("placed")


def test_a_store_that_is_away_changes_nothing(platform: Deployments, tmp_path: Path) -> None:
    platform.apply("steady", replicas=2)
    platform.await_served("steady", "v1")
    before = {pod["metadata"]["uid"] for pod in platform.await_pods("steady", 2)}
    shell = bench(platform)
    with under_load(load_on(platform, "steady", tmp_path)) as traffic:
        shell.run("mv", "/models/store", "/models/away")
        try:
            restart_operator(platform)
            platform.patch("steady", replicas=1)
            platform.await_pods("steady", 1)
            assert platform.await_reason("steady", "Ready") == "v1 is served by 1 pod."
            traffic.await_more(100)
        finally:
            shell.run("mv", "/models/away", "/models/store")
    traffic.assert_none_failed(200)
    assert {pod["metadata"]["uid"] for pod in platform.await_pods("steady", 1)} < before
    platform.delete("steady")


def restart_operator(deployments: Deployments) -> None:
    """Another pod of the operator, that is ready."""
    namespace = deployments.namespace
    [old] = namespace.pods("operator")
    namespace.kubectl("delete", "pod", old["metadata"]["name"], "--grace-period=0", "--force")

    def replaced() -> bool:
        pods = namespace.pods("operator")
        return len(pods) == 1 and is_ready(pods[0]) and pods[0]["metadata"]["uid"] != old["metadata"]["uid"]

    poll(replaced, "another operator is ready")


EDITS: list[tuple[str, dict[str, Any]]] = [
    ("deployment", {"spec": {"replicas": 5}}),
    ("deployment", {"spec": {"template": {"spec": {"containers": [{"name": "serve", "env": [{"name": "X", "value": "1"}]}]}}}}),
    ("service", {"spec": {"selector": {"app.kubernetes.io/instance": "nobody"}}}),
]  # fmt: skip


def test_what_is_changed_or_killed_by_hand_comes_back(platform: Deployments, tmp_path: Path) -> None:
    namespace = platform.namespace
    platform.apply("healed", replicas=2)
    platform.await_served("healed", "v1")
    kinds = {"deployment": pykube.Deployment, "service": pykube.Service}

    def spec(kind: str) -> Object:
        found: Object = namespace.object(kinds[kind], "healed")["spec"]
        return found

    wanted = {kind: spec(kind) for kind in kinds}
    with under_load(load_on(platform, "healed", tmp_path)) as traffic:
        for kind, edit in EDITS[:2]:
            namespace.kubectl("patch", kind, "healed", "--patch", json.dumps(edit))
            poll(lambda kind=kind: spec(kind) == wanted[kind], f"the {kind} is as it was")  # type: ignore[misc]
        victim, _ = platform.await_pods("healed", 2)
        namespace.kubectl("delete", "pod", victim["metadata"]["name"], "--wait=false")
        before = {pod["metadata"]["uid"] for pod in platform.await_pods("healed", 2)}
        traffic.await_more(100)
    traffic.assert_none_failed(300)
    kind, edit = EDITS[2]
    namespace.kubectl("patch", kind, "healed", "--patch", json.dumps(edit))
    poll(lambda: spec("service") == wanted["service"], "the Service is as it was")
    namespace.kubectl("delete", "deployment", "healed")
    namespace.kubectl("delete", "service", "healed")
    poll(
        lambda: before.isdisjoint(pod["metadata"]["uid"] for pod in platform.await_pods("healed", 2)),
        "pods are new",
        180,
    )
    platform.await_served("healed", "v1")
    assert poll(lambda: spec("service")["selector"], "the Service is there") == wanted["service"]["selector"]
    platform.delete("healed")


def state(deployments: Deployments, name: str) -> Object:
    """All that an operator wrote, but for names, times, generations and what the API server chose."""
    status: Object = deployments.get(name)["status"]
    del status["servedGeneration"]
    for told in (status, *status["conditions"]):
        told.pop("lastTransitionTime", None)
        del told["observedGeneration"]
    out: Object = {"status": status}
    for kind in (pykube.Deployment, pykube.Service):
        spec = out[kind.kind] = deployments.namespace.object(kind, name)["spec"]
        for chosen in ("clusterIP", "clusterIPs"):
            spec.pop(chosen, None)
        for port in spec.get("ports", ()):
            port.pop("nodePort", None)
    anonymous: Object = json.loads(json.dumps(out).replace(name, "NAME"))
    return anonymous


def settled(deployments: Deployments, name: str, version: str) -> Object:
    """The state when a version is served, and two looks at it are the same."""
    deployments.await_served(name, version)

    def same() -> Object | None:
        first, second = state(deployments, name), state(deployments, name)
        return first if first == second and first["status"]["replicas"] == first["status"]["readyReplicas"] else None

    return poll(same, "nothing changes any more")


def written(write: str) -> str:
    """The kind of what was to be written, by method and path."""
    *_, kind, name = write.split("/")
    return name if name in {"status", "events"} else kind


def is_over(deployments: Deployments, operators: Operators, name: str, version: str) -> bool:
    """Whether an operator was killed, or has told all there was to tell of a version."""
    return not operators.runs or deployments.reason(name) == ("Ready", f"{version} is served by 1 pod.")


def test_killed_before_each_of_its_writes_it_comes_to_the_same_state(
    alone: Deployments, operators: Operators, tmp_path: Path
) -> None:
    operators.start()
    alone.apply("survivor", replicas=1)
    settled(alone, "survivor", "v1")
    expected = {}
    for version in ("v2", "v1"):
        alone.patch("survivor", modelVersion=version)
        expected[version] = settled(alone, "survivor", version)

    killed: list[str] = []
    with under_load(load_on(alone, "survivor", tmp_path)) as traffic:
        while True:
            version = ("v2", "v1")[len(killed) % 2]
            operators.kill_before(len(killed) + 1)
            alone.patch("survivor", modelVersion=version)
            poll(partial(is_over, alone, operators, "survivor", version), f"{version} is served, or it is killed", 180)
            if operators.runs:
                break
            killed.append(written(operators.between.writes[-1]))
            operators.start()
            assert settled(alone, "survivor", version) == expected[version], killed
    traffic.assert_none_failed(500)
    assert set(killed) == {"deployments", "status", "events"}, killed
    print(f"killed before each of {len(killed)} writes of a change: {', '.join(killed)}")  # noqa: T201
    alone.delete("survivor")


def test_killed_before_each_of_its_writes_when_it_makes_one_it_comes_to_the_same_state(
    alone: Deployments, operators: Operators
) -> None:
    operators.start()
    alone.apply("firstborn", replicas=1)
    expected = settled(alone, "firstborn", "v1")
    killed: list[str] = []
    while True:
        name = f"newborn-{len(killed) + 1}"
        operators.kill_before(len(killed) + 1)
        alone.apply(name, replicas=1)
        poll(partial(is_over, alone, operators, name, "v1"), f"{name} is served, or it is killed", 180)
        if operators.runs:
            break
        killed.append(written(operators.between.writes[-1]))
        operators.start()
        assert settled(alone, name, "v1") == expected, killed
        alone.delete(name)
    assert settled(alone, name, "v1") == expected
    assert set(killed) == {"deployments", "services", "status", "events"}, killed
    print(f"killed before each of {len(killed)} writes of a first time: {', '.join(killed)}")  # noqa: T201
    for left in ("firstborn", name):
        alone.delete(left)


def test_explain_says_what_is_waited_for(release: Release, definition: None, cluster: Cluster, tmp_path: Path) -> None:
    """Of pods that cannot come, in a namespace of their own, by an operator whose image nobody has."""
    namespace, absent = release.namespace, "localhost/ml-platform:absent"
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "cores"},
        "spec": {"hard": {"requests.cpu": "1"}},
    }
    namespace.apply(quota)
    operators = Operators(
        storeless_base(cluster, absent), namespace.name, tmp_path, Path(cluster.environment["KUBECONFIG"])
    )
    mine = Deployments(release)
    expected = {
        "imageless": f"has no image: {absent} cannot be had",
        "placeless": "finds no node: 0/",
        "greedy": "Kubernetes makes no more pods of it: pods",
        "early": "There is no version 'v9' of 'iris'",
    }
    try:
        mine.apply("imageless")
        assert mine.get("imageless")["status"]["observedGeneration"] == 0  # nobody takes it for done
        assert "The operator has not looked at imageless" in mine.mlplat("explain", "imageless")
        operators.start()
        mine.apply("placeless", nodeSelector={"disk": "none"})
        mine.apply("greedy", resources={"requests": {"cpu": "2", "memory": "16Mi"}})
        mine.apply("early", modelVersion="v9")
        for name, words in expected.items():
            poll(lambda name=name, words=words: words in mine.mlplat("explain", name), f"{name}: {words}")  # type: ignore[misc]
        assert "didn't match Pod's node affinity/selector" in mine.mlplat("explain", "placeless")
        assert "exceeded quota: cores, requested: requests.cpu=2" in mine.mlplat("explain", "greedy")
        assert "It goes on by itself when the version is there" in mine.mlplat("explain", "early")
        for name in expected:
            mine.delete(name)
    finally:
        operators.close()


def test_the_chart_is_upgraded_and_removed_beside_what_serves(
    release: Release, owned_definition: None, tmp_path: Path
) -> None:
    """With a definition that has one column more; uninstalling keeps it, and what serves."""
    chart = tmp_path / "ml-platform"
    shutil.copytree(ROOT / CHART, chart)
    owned = words(**{"operator.crds.enabled": "true"})
    release.run("install", *release.rendering(*owned), "--take-ownership", "--force-conflicts", "--wait")
    mine = Deployments(release)
    mine.apply("stays", replicas=1)
    mine.await_served("stays", "v1")
    before = {pod["metadata"]["uid"] for pod in mine.await_pods("stays", 1)}

    file = chart / "files" / "crd.yaml"
    changed = yaml.safe_load(file.read_text())
    column = {"name": "Paused", "type": "boolean", "jsonPath": ".spec.paused", "priority": 1}
    changed["spec"]["versions"][0]["additionalPrinterColumns"].append(column)
    file.write_text(yaml.safe_dump(changed))
    rendering = [str(chart) if word == CHART else word for word in release.rendering(*owned)]
    release.run("upgrade", *rendering, "--set", "operator.logLevel=debug", "--wait", "--timeout", "120s")
    assert "PAUSED" in release.namespace.kubectl("get", "md", "--output=wide")
    mine.patch("stays", replicas=2)
    after = {pod["metadata"]["uid"] for pod in mine.await_pods("stays", 2)}
    assert before < after  # nothing restarted
    mine.await_served("stays", "v1")
    said = release.run("uninstall", NAME, "--wait")
    assert "modeldeployments.mlplat.dev" in said
    assert {pod["metadata"]["uid"] for pod in mine.await_pods("stays", 2)} == after
    assert mine.get("stays")["status"]["servedVersion"] == "v1"
    release.namespace.kubectl("delete", "pod", mine.pods("stays")[0]["metadata"]["name"])
    mine.await_pods("stays", 2)
    assert mine.predict("stays", FLOWER)["model_version"] == "v1"
    mine.delete("stays")
    poll(lambda: not mine.pods("stays"), "it is deleted without an operator", 180)

"""Monitoring: a real Prometheus takes the metrics, and understands every question of the alerts and the dashboard."""

import json
import re
from typing import Any

import httpx
import pykube
import pytest
import yaml

from .cluster import ROOT, Cluster
from .polling import poll
from .release import CHART, FLOWER, NAME, Release

CHARTED = ROOT / CHART


@pytest.fixture
def prometheus(cluster: Cluster, release: Release) -> str:
    """The URL of Prometheus' queries, from this machine."""
    cluster.addon("prometheus")
    pods = pykube.Pod.objects(release.namespace.api).filter(namespace="monitoring", selector={"app": "prometheus"})
    [address] = [pod.obj["status"]["podIP"] for pod in pods if pod.obj["status"]["phase"] == "Running"]
    return f"http://{address}:9090/api/v1/query"


def ask(prometheus: str, question: str) -> list[Any]:
    """What Prometheus answers; a question that it does not understand fails."""
    answer = httpx.get(prometheus, params={"query": question}, timeout=30)
    assert answer.status_code == 200, f"{question}: {answer.text}"
    found: list[Any] = answer.json()["data"]["result"]
    return found


def test_alerts_and_dashboard_ask_what_prometheus_can_answer(release: Release, prometheus: str) -> None:
    release.install("--set", "monitoring.podAnnotations.enabled=true")
    here = f'namespace="{release.namespace.name}"'
    for _ in range(20):
        release.predict()
    poll(
        lambda: ask(prometheus, f'mlplat_requests_total{{{here},protocol="plain"}} >= 20'),
        "the requests are counted",
        60,
    )
    for _ in range(20):
        release.predict({"features": [FLOWER["features"]] * 50})  # enough rows to measure drift on
    poll(
        lambda: ask(prometheus, f'rate(mlplat_requests_total{{{here},protocol="plain"}}[1m]) > 0'),
        "they have a rate",
        60,
    )

    drifted = f"mlplat_feature_drift{{{here}}}"
    poll(lambda: len(ask(prometheus, drifted)) == len(FLOWER["features"]), "drift is measured", 60)

    dashboard = json.loads((CHARTED / "files" / "dashboard.json").read_text())
    questions = {panel["title"]: target["expr"] for panel in dashboard["panels"] for target in panel["targets"]}
    drawn = {}
    for title, question in questions.items():
        asked = question.replace("$namespace", release.namespace.name).replace("$release", NAME)
        drawn[title] = ask(prometheus, asked.replace("$__rate_interval", "1m"))
    assert [title for title, found in drawn.items() if not found and title != "Error rate"] == []

    rendered = release.run(
        "template", *release.rendering("--values", "values/prometheus-operator.yaml", "--values", "values/retraining.yaml"),
        "--kube-version", "1.34", "--show-only", "templates/monitoring/prometheusrule.yaml",
    )  # fmt: skip
    [group] = yaml.safe_load(rendered)["spec"]["groups"]
    drifting = next(rule["expr"] for rule in group["rules"] if rule["alert"] == "ModelDrift")
    poll(lambda: len(ask(prometheus, drifting)) >= len(FLOWER["features"]), "one flower again and again is drift", 60)
    others = [rule for rule in group["rules"] if rule["alert"] != "ModelDrift"]
    assert {rule["alert"]: len(ask(prometheus, rule["expr"])) for rule in others} == {
        "ModelErrors": 0,
        "ModelSlow": 0,
        "ModelNotReady": 0,
        "ModelLoadFailed": 0,
        "RetrainingFailed": 0,
        "RetrainingLate": 0,
    }

    release.namespace.kubectl("scale", f"deployment/{NAME}", "--replicas=0")
    not_ready = next(rule["expr"] for rule in group["rules"] if rule["alert"] == "ModelNotReady")
    poll(lambda: ask(prometheus, not_ready), "the alert for no ready pod would fire", 120)
    assert re.match("No pod of ml-platform is ready", group["rules"][2]["annotations"]["summary"])

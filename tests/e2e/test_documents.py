"""Every command of README and docs that wants a cluster, from top to bottom, as someone would type them."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from .cluster import ROOT, Cluster
from .deployments import MLPLAT, define
from .namespace import Namespace

NAMED = "docker.io/library/ml-platform:0.1.0"
"""The image as the chart calls it by default."""

PRELUDE = """
set -euo pipefail
minikube() { echo 10.90.0.1; }
curl() { command curl --fail-with-body --silent --show-error --retry 5 --retry-connrefused "$@"; echo; }
set -x
"""

DOCUMENTS = {
    "README.md": ('"prediction":"setosa"', "Phase:          Succeeded"),
    "docs/operations.md": (
        "Rollback was a success",
        "iris v1",
        "There is no version 'v3'",
        "'n_estimators'",
        "champion is retrain-now",
        "retrain-now refused: accuracy",
    ),
    "docs/registry.md": ('"version":"v1"', '"alias":"champion"', "champion", "the first"),
    "docs/operator.md": (
        "is to serve v2 (before: v1)",
        "v2 gets 33.3 % of the new connections (step 1 of 2",
        "v2 is served by 2 pods.",
        "is to serve v1 (before: v2)",
        "v1 is served by 2 pods.",
        "There is no version 'v3' of 'iris'",
    ),
    "docs/delivery.md": ("deployment.apps/ml-platform serverside-applied (server dry run)",),
}


def commands(document: str) -> str:
    """The blocks of a document that want a cluster."""
    return "\n".join(re.findall(r"^```sh cluster\n(.*?)^```", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def named_image(cluster: Cluster, image: str) -> None:
    """The image of this tree, on the nodes under the name that the chart gives it; its label makes it one of its own."""
    words = ["build", NAMED, ".", "-f", "docker/Dockerfile", "--", "--build-arg", f"REVISION={image}"]
    cluster.run(str(cluster.command), *words)
    cluster.run(str(cluster.command), "load", NAMED)


@pytest.fixture
def adoptable(request: pytest.FixtureRequest, cluster: Cluster, namespace: Namespace, document: str) -> None:
    """For the operator's release the kind ModelDeployment, which other scenarios have made, as one that it may own."""
    if document != "docs/operator.md":
        return
    request.getfixturevalue("owned_definition")
    owner = {"meta.helm.sh/release-name": "ml-platform", "meta.helm.sh/release-namespace": namespace.name}
    define(cluster, annotations=owner, labels={"app.kubernetes.io/managed-by": "Helm"})


@pytest.mark.usefixtures("named_image", "adoptable")
@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_works_from_top_to_bottom(
    node_port: int, namespace: Namespace, tmp_path: Path, document: str
) -> None:
    config = tmp_path / "kubeconfig"
    config.write_bytes(Path(namespace.cluster.environment["KUBECONFIG"]).read_bytes())
    config.chmod(0o600)
    environment = namespace.cluster.environment | {"KUBECONFIG": str(config), "TMPDIR": str(tmp_path)}
    environment["PATH"] = f"{Path(MLPLAT).parent}:{environment['PATH']}"
    subprocess.run(
        ["kubectl", "config", "set-context", "--current", f"--namespace={namespace.name}"], env=environment, check=True
    )
    for name in ("charts", "values", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = subprocess.run(
        ["bash", "-c", PRELUDE + commands(document)],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert [words for words in DOCUMENTS[document] if words not in said] == [], said

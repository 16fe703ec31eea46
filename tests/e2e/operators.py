"""Operators of this tree as processes of this machine, for what must be ended or looked into."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import yaml

from mlplat.store import open_object_store
from mlplat.train.run import train

from .cluster import ROOT, Cluster
from .deployments import MLPLAT
from .interceptor import Interceptor
from .release import CHART, NAME


def storeless_base(cluster: Cluster, image: str) -> dict[str, str]:
    """What a chart makes pods from that mount no volume, and find no store."""
    registry, _, rest = image.partition("/")
    repository, _, tag = rest.rpartition(":")
    values = {
        "operator.enabled": "true",
        "store.url": "s3://nowhere/models",
        "serviceAccount.create": "false",
        "image.registry": registry,
        "image.repository": repository,
        "image.tag": tag,
    }
    words = ",".join(f"{name}={value}" for name, value in values.items())
    rendered = cluster.run(
        "helm", "template", NAME, str(ROOT / CHART), "--set", words, "--show-only", "templates/operator/base.yaml"
    )
    data: dict[str, str] = yaml.safe_load(rendered)["data"]
    return data


class Operators:
    """Operators of one namespace, one after the other; their store is a folder with iris v1 and v2.

    Args:
        base: what children are made from.
        namespace: to watch.
        folder: for files of their own.
        kubeconfig: of the cluster.
    """

    def __init__(self, base: Mapping[str, str], namespace: str, folder: Path, kubeconfig: Path) -> None:
        for name, text in base.items():
            (folder / name).write_text(text)
        self.between = Interceptor(kubeconfig)
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(self.between.start(folder)),
            "MLPLAT_OPERATOR_BASE": str(folder),
            "MLPLAT_OPERATOR_NAMESPACE": namespace,
            "MLPLAT_STORE": str(folder / "store"),
            "MLPLAT_POLL_SECONDS": "1",
        }
        store = open_object_store(str(folder / "store"))
        for version in ("v1", "v2"):
            train(store=store, recipe="iris", version=version, params={"n_estimators": "3"})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Another one."""
        self.end()
        self.between.reset()
        words = [MLPLAT, "operator", "--port", "0"]
        self._process = subprocess.Popen(words, env=self._environment, stderr=subprocess.DEVNULL)

    def kill_before(self, write: int) -> None:
        """Let the one that runs be killed before its write of this number, from now on."""
        assert self._process is not None
        self.between.reset()
        self.between.kill_before(write, self._process)

    def kill_unless(self, spared: str) -> None:
        """Let the one that runs be killed before its first write, or before its second one if the first is to be spared."""
        assert self._process is not None
        self.between.reset()
        self.between.kill_unless(spared, self._process)

    @property
    def runs(self) -> bool:
        """Whether the last one was not killed."""
        return self._process is not None and self._process.poll() is None

    def end(self) -> None:
        """End the last one, whatever it does just now."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def close(self) -> None:
        """End the last one, and what is between it and the API server."""
        self.end()
        self.between.stop()

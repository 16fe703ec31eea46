"""Scenario 3: an upgrade to a version that cannot become ready takes nothing from the one that serves."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pykube
import pytest

from .clients import Client, under_load
from .cluster import CommandError
from .load import Shape
from .namespace import Object, is_ready, restarts
from .pods import Workbench
from .polling import poll
from .release import Release

REQUESTS = 5000

OTHER_BYTE = """
from pathlib import Path
from mlplat.store.seal import unseal
store = Path("/models/store/iris")
manifest = unseal((store / "versions/v2.json").read_bytes(), source="v2")
file = store / "files" / manifest.files["model.onnx"].sha256
data = bytearray(file.read_bytes())
data[len(data) // 2] ^= 1
file.chmod(0o644)
file.write_bytes(data)
"""

OTHER_GOLDEN = """
from pathlib import Path
from mlplat.store.seal import seal, unseal
path = Path("/models/store/iris/versions/v2.json")
manifest = unseal(path.read_bytes(), source="v2")
values = tuple((value + 1) % 3 for value in manifest.golden.values)
golden = manifest.golden.model_copy(update={"values": values})
path.chmod(0o644)
path.write_bytes(seal(manifest.model_copy(update={"golden": golden})))
"""


@dataclass(frozen=True)
class Fault:
    """What is done to v2, or is set to train it, and what is said of it."""

    job_says: str
    pod_says: str
    spoil: str | None = None
    setting: str = "model.seed=0"


FAULTS = {
    "training-fails": Fault(
        setting="model.params.n_estimators=-1",
        job_says="'n_estimators' .* cannot be '-1'",
        pod_says="There is no version 'v2' of 'iris'",
    ),
    "byte-changed": Fault(
        spoil=OTHER_BYTE,
        job_says="v2",
        pod_says=r"The file 'model\.onnx' of 'iris' 'v2' .* is damaged",
    ),
    "golden-replay-fails": Fault(
        spoil=OTHER_GOLDEN,
        job_says="v2",
        pod_says=r"Golden sample 0 was",
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_version_that_cannot_become_ready_takes_no_traffic(
    release: Release, workbench: Callable[[], Workbench], clients: Callable[..., list[Client]], fault: Fault
) -> None:
    release.install()
    if fault.spoil is not None:
        bench = workbench()
        bench.run("mlplat", "train", "--recipe", "iris", "--version", "v2")
        bench.python(fault.spoil)
    (old,) = release.await_settled(1)

    with under_load(*clients(Shape(keep_alive=4, fresh=2, rate=100, seconds=300))) as traffic:
        with pytest.raises(CommandError, match=r"(?i)timed out|deadline|not ready|failed"):
            release.upgrade("--set", "model.version=v2", "--set", fault.setting, seconds=20)
        assert release.predict()["model_version"] == "v1"
        new = next(pod for pod in release.pods() if pod["metadata"]["name"] != old["metadata"]["name"])
        assert not is_ready(new)
        said = poll(lambda: release.why_not_ready(new), "/ready says why")
        assert re.search(fault.pod_says, said), said
        job = release.job("v2")["metadata"]["name"]
        assert re.search(fault.job_says, release.namespace.logs(f"job/{job}"))

        release.rollback()
        (still,) = release.await_settled(1)
        traffic.await_more(500)

    traffic.assert_none_failed(REQUESTS)
    assert {version for result in traffic.results.values() for version in result.versions} == {"v1"}
    assert (identity(still), restarts(still)) == (identity(old), 0)
    assert job not in {each["metadata"]["name"] for each in release.namespace.objects(pykube.Job)}


def identity(pod: Object) -> str:
    return str(pod["metadata"]["uid"])

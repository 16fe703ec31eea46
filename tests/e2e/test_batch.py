"""Scenario 7: shards score what one process scores, a killed one is tried again alone, and no model is a clear failure."""

import json
from collections.abc import Callable

import pykube
import pytest

from . import processes
from .cluster import CommandError
from .namespace import Object
from .pods import Workbench
from .polling import poll
from .release import Release

ROWS = 2_000_000
SHARDS = 4

WRITE = f"""
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
rng = np.random.default_rng(0)
schema = pa.schema([("id", pa.int64())] + [(name, pa.float64()) for name in
    ("sepal_length", "sepal_width", "petal_length", "petal_width")])
from pathlib import Path
Path("/models/in").mkdir()
with pq.ParquetWriter("/models/in/rows.parquet", schema) as writer:
    for start in range(0, {ROWS}, 100_000):
        columns = [pa.array(range(start, start + 100_000))] + [pa.array(rng.uniform(0, 8, 100_000)) for _ in range(4)]
        writer.write_table(pa.table(columns, schema=schema))
"""

COMPARE = """
import json
from glob import glob
import numpy as np, pyarrow as pa, pyarrow.compute as pc, pyarrow.dataset as ds

def read(paths):
    found = {}
    classes = ["setosa", "versicolor", "virginica"]
    for name in ["id", "prediction", *("probability_" + each for each in classes)]:
        column = ds.dataset(paths, format="parquet").to_table(columns=[name])[name]
        codes = pc.index_in(column, pa.array(classes)) if name == "prediction" else column
        found[name] = codes.to_numpy()
    order = np.argsort(found["id"])
    return {name: values[order] for name, values in found.items()}

parts, whole = read(sorted(glob("/models/batch/sharded/part-*.parquet"))), read(["/models/batch/whole.parquet"])
print(json.dumps({
    "rows": len(parts["id"]), "ids": len(np.unique(parts["id"])),
    "equal": all(np.array_equal(parts[name], whole[name]) for name in whole),
}))
"""


def batch_jobs(release: Release) -> list[Object]:
    return [job for job in release.namespace.objects(pykube.Job) if "-batch-" in job["metadata"]["name"]]


def conditions(job: Object) -> dict[str, str]:
    return {each["type"]: each.get("reason", "") for each in job["status"].get("conditions", ())}


def test_shards_score_every_row_once_and_a_killed_one_is_tried_again_alone(
    release: Release, workbench: Callable[[], Workbench]
) -> None:
    release.install()
    bench = workbench()
    bench.python(WRITE)

    wanted = {
        "batch.enabled": "true",
        "batch.shards": str(SHARDS),
        "batch.input": "/models/in/rows.parquet",
        "batch.output": "/models/batch/sharded/",
        "batch.resources.requests.cpu": "100m",
    }
    release.run("upgrade", *release.rendering("--set", ",".join(f"{name}={value}" for name, value in wanted.items())))
    victim = poll(lambda: working_shard(release, "2"), "shard 2 works")
    processes.kill(victim)
    [job] = batch_jobs(release)
    poll(lambda: "Complete" in conditions(batch_jobs(release)[0]), "all shards are complete", 300)

    pods = release.namespace.objects(pykube.Pod, component="batch")
    tries = sorted(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] for pod in pods)
    assert tries == ["0", "1", "2", "2", "3"]
    assert job["spec"]["completionMode"] == "Indexed"
    bench.run(
        "mlplat", "batch", "--model", "iris", "--version", "v1", "--input", "/models/in/rows.parquet",
        "--output", "/models/batch/whole.parquet", "--threads", "1",
    )  # fmt: skip
    assert json.loads(bench.python(COMPARE)) == {"rows": ROWS, "ids": ROWS, "equal": True}


def working_shard(release: Release, index: str) -> Object | None:
    """The pod of a shard that has begun to score, as its log says."""
    for pod in release.namespace.objects(pykube.Pod, component="batch"):
        annotations = pod["metadata"]["annotations"]
        if annotations["batch.kubernetes.io/job-completion-index"] != index or pod["status"]["phase"] != "Running":
            continue
        if '"event": "batch_progress"' in release.namespace.logs(pod["metadata"]["name"]):
            return pod
    return None


def test_without_a_model_batch_fails_and_says_what_is_missing(release: Release) -> None:
    off = "training.enabled=false,serving.enabled=false,batch.enabled=true,batch.backoffLimit=0,model.version=v9"
    release.run("install", *release.rendering("--set", off))
    poll(lambda: "Failed" in conditions(batch_jobs(release)[0]), "the Job fails", 120)
    [pod] = release.namespace.objects(pykube.Pod, component="batch")
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 3
    assert "Error: " in ended["message"]
    assert "iris" in ended["message"]


def test_a_wrong_option_is_not_tried_again(release: Release) -> None:
    wrong = "batch.enabled=true,batch.extraArgs={--chunk-rows=0},training.enabled=false,serving.enabled=false"
    try:
        release.run("install", *release.rendering("--set", wrong))
    except CommandError as error:
        pytest.fail(str(error))
    poll(lambda: "Failed" in conditions(batch_jobs(release)[0]), "the Job fails", 120)
    assert conditions(batch_jobs(release)[0])["Failed"] == "PodFailurePolicy"
    assert len(release.namespace.objects(pykube.Pod, component="batch")) == 1

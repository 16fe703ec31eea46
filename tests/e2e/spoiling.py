"""Versions that are worse than iris v1, though they get ready: run in a pod that may write the store.

Each is v1 with other nodes in its ONNX graph, or trained on other labels; its own golden samples it answers well.
"""

PRELUDE = """
import hashlib
from pathlib import Path
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from mlplat.store.seal import seal, unseal

store = Path("/models/store/iris")
manifest = unseal((store / "versions/v1.json").read_bytes(), source="v1")
model = onnx.load(store / "files" / manifest.files["model.onnx"].sha256)
graph = model.graph
(given,) = (each.name for each in graph.input)


def publish(version, nodes, constants):
    graph.node[0].input[0] = "spoilt"
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    data = model.SerializeToString()
    digest = hashlib.sha256(data).hexdigest()
    (store / "files" / digest).write_bytes(data)
    file = manifest.files["model.onnx"].model_copy(update={"sha256": digest, "bytes": len(data)})
    changed = manifest.model_copy(update={"version": version, "files": {**manifest.files, "model.onnx": file}})
    (store / "versions" / f"{version}.json").write_bytes(seal(changed))
"""

FAILING = (
    PRELUDE
    + """
# for a petal of a metre or more, an element that is not there is looked up
publish("failing", [
    helper.make_node("ReduceMax", [given], ["largest"], keepdims=0),
    helper.make_node("GreaterOrEqual", ["largest", "metre"], ["absurd"]),
    helper.make_node("Cast", ["absurd"], ["index"], to=TensorProto.INT64),
    helper.make_node("Gather", ["nothing", "index"], ["zero"]),
    helper.make_node("Add", [given, "zero"], ["spoilt"]),
], {"metre": np.float32(100), "nothing": np.zeros(1, np.float32)})
"""
)
"""Publishes `failing`, which answers with an error as soon as a petal has a metre."""

SLOW = (
    PRELUDE
    + """
size, times = 768, 150
nodes = [helper.make_node("MatMul", [given, "wide"], ["step0"])]
nodes += [helper.make_node("MatMul", [f"step{n}", "square"], [f"step{n + 1}"]) for n in range(times)]
nodes += [
    helper.make_node("ReduceMax", [f"step{times}"], ["most"], keepdims=0),
    helper.make_node("Mul", ["most", "tiny"], ["nothing"]),
    helper.make_node("Add", [given, "nothing"], ["spoilt"]),
]
rng = np.random.default_rng(0)
publish("slow", nodes, {
    "wide": rng.normal(size=(4, size)).astype(np.float32) / 10,
    "square": (rng.normal(size=(size, size)) / size**0.5).astype(np.float32),
    "tiny": np.float32(1e-30),
})
"""
)
"""Publishes `slow`, whose graph multiplies large matrices for nothing."""

PERMUTED = """
from pathlib import Path

Path("/tmp/permuted.py").write_text('''
import pandas as pd
from sklearn.datasets import load_iris

from mlplat.recipes.dataset import Dataset
from mlplat.recipes.iris import FEATURES, Iris


class Permuted(Iris):
    name = ""

    def data(self, source):
        iris = load_iris()
        frame = pd.DataFrame(iris.data, columns=list(FEATURES))
        frame["species"] = [str(iris.target_names[(code + 1) % 3]) for code in iris.target]
        return Dataset.from_frame(frame, target="species", uri="permuted:iris")
''')
"""
"""Writes a recipe that takes each iris for the next one."""

"""Which request is for whom."""

import pytest

from mlplat.serve.protocols import KServe, MLflow, OpenInference, Plain
from mlplat.serve.targets import MOST, Probe, Target, Targets


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (b"/predict", Target(Plain)),
        (b"/%70redict", Target(Plain)),
        (b"/invocations", Target(MLflow)),
        (b"/health", Target(probe=Probe.HEALTH)),
        (b"/livez", Target(probe=Probe.HEALTH)),
        (b"/ready", Target(probe=Probe.READY)),
        (b"/ping", Target(probe=Probe.READY)),
        (b"/v1/models/a:predict", Target(KServe, "a")),
        (b"/v2/models/a/infer", Target(OpenInference, "a")),
        (b"/v2/models/a/versions/1/infer", Target(OpenInference, "a", "1")),
        (b"/v2/models/a%20b/infer", Target(OpenInference, "a b")),
        (b"/v2/models/%ff/infer", Target(OpenInference, "\N{REPLACEMENT CHARACTER}")),
        (b"/v2/models/a%2fversions%2f1/infer", Target(OpenInference, "a", "1")),
    ],
)
def test_these_are_answered_below_asgi(path: bytes, target: Target) -> None:
    targets = Targets()
    assert targets.find(path) == target
    assert targets.find(path) is targets.find(path)


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/",
        b"*",
        b"/predict/",
        b"/Predict",
        b"//predict",
        b"/predict%00",
        b"/%2570redict",
        b"/v2/models//infer",
        b"/v2/models/a/b/infer",
        b"/v2/models/a/versions//infer",
        b"/v2/models/a/infer/",
        b"/v2/models/a",
        b"/docs",
        b"/metrics",
        b"/%",
        b"/%zz",
    ],
)
def test_all_else_is_for_asgi(path: bytes) -> None:
    assert Targets().find(path) is None


def test_made_up_paths_are_answered_but_do_not_fill_the_memory() -> None:
    targets = Targets()
    for i in range(2 * MOST):
        assert targets.find(b"/v2/models/%d/infer" % i) == Target(OpenInference, str(i))
    first, last = b"/v2/models/0/infer", b"/v2/models/%d/infer" % (2 * MOST - 1)
    assert targets.find(first) is targets.find(first)
    assert targets.find(last) is not targets.find(last)

"""What `/v2` and `/v1` say about the server and its model, ready or not."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from mlplat.bundle.features import (
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    Features,
    NumericColumn,
    StringColumn,
)
from mlplat.bundle.manifest import Label, Task
from mlplat.errors import RequestError
from mlplat.metrics import ServeMetrics
from mlplat.serve.lifecycle import Lifecycle, Source
from mlplat.serve.metadata import INDEX_BYTES, _only_ready, model_metadata, repository_index
from mlplat.store import Cache

from .conftest import Running, Start
from .protocols.manifests import manifest_of

NUMBERS = Features(columns=tuple(NumericColumn(name=name) for name in ("sepal", "petal", "stem")))
MIXED = Features(
    columns=(
        NumericColumn(name="age", fill=40.0),
        BooleanColumn(name="member"),
        DateColumn(name="since"),
        CategoryColumn(name="plan", categories=("basic", "pro")),
    )
)
APART = Features(columns=(NumericColumn(name="age"), StringColumn(name="note")), layout="columns")


class TestModel:
    @pytest.mark.parametrize(
        ("features", "inputs"),
        [
            (NUMBERS, [("input", "FP32", [-1, 3])]),
            (
                MIXED,
                [
                    ("age", "FP32", [-1, 1]),
                    ("member", "BOOL", [-1, 1]),
                    ("since", "BYTES", [-1, 1]),
                    ("plan", "BYTES", [-1, 1]),
                ],
            ),
            (APART, [("age", "FP32", [-1, 1]), ("note", "BYTES", [-1, 1])]),
        ],
    )
    def test_numbers_are_one_tensor_and_all_else_an_input_per_column(
        self, features: Features, inputs: list[tuple[str, str, list[int]]]
    ) -> None:
        found = model_metadata(manifest_of(features))["inputs"]
        assert [(each["name"], each["datatype"], each["shape"]) for each in found] == inputs

    @pytest.mark.parametrize(
        ("classes", "datatype", "labels"),
        [
            (("no", "yes"), "BYTES", ["no", "yes"]),
            ((False, True), "BOOL", ["false", "true"]),
            ((1, 2, 3), "INT64", ["1", "2", "3"]),
            ((0.5, 1.5), "FP64", ["0.5", "1.5"]),
            ((1, "x"), "BYTES", ["1", "x"]),
        ],
    )
    def test_labels_have_the_datatype_that_holds_them(
        self, classes: tuple[Label, ...], datatype: str, labels: list[str]
    ) -> None:
        assert model_metadata(manifest_of(NUMBERS, classes=classes))["outputs"] == [
            {"name": "predict", "datatype": datatype, "shape": [-1]},
            {
                "name": "predict_proba",
                "datatype": "FP32",
                "shape": [-1, len(classes)],
                "parameters": {"labels": labels},
            },
        ]

    @pytest.mark.parametrize("task", ["regression", "forecast"])
    def test_a_model_without_classes_has_no_probabilities(self, task: Task) -> None:
        found = model_metadata(manifest_of(NUMBERS, task))
        assert found["outputs"] == [{"name": "predict", "datatype": "FP32", "shape": [-1]}]
        assert (found["name"], found["versions"], found["platform"]) == ("made-up", ["v1"], "onnxruntime_onnx")


def lifecycle_of(folder: Path, *, version: str | None = None, alias: str | None = None) -> Lifecycle:
    """Of a server whose version is still to come."""
    source = Source(f"file://{folder}/store", "iris", version, alias)
    return Lifecycle(source, Cache(folder / "cache"), ServeMetrics())


class TestIndex:
    def test_what_is_still_to_come_says_why(self, tmp_path: Path) -> None:
        lifecycle = lifecycle_of(tmp_path, version="v9")
        loading = {"name": "iris", "version": "v9", "state": "LOADING", "reason": "starting"}
        assert repository_index(lifecycle, only_ready=False) == [loading]
        assert repository_index(lifecycle, only_ready=True) == []

    def test_of_an_alias_there_is_no_version_yet(self, tmp_path: Path) -> None:
        (entry,) = repository_index(lifecycle_of(tmp_path, alias="champion"), only_ready=False)
        assert "version" not in entry

    def test_what_serves_is_ready(self, iris: Running) -> None:
        for only_ready in (True, False):
            assert repository_index(iris.server.lifecycle, only_ready=only_ready) == [
                {"name": "iris", "version": "v1", "state": "READY", "reason": ""}
            ]


def wants_only_ready(*messages: dict[str, Any]) -> bool:
    """What a request for the index asks whose body comes in these messages."""
    rest = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(rest)

    return asyncio.run(_only_ready(Request({"type": "http", "method": "POST", "headers": []}, receive)))


class TestIndexRequest:
    @pytest.mark.parametrize(
        ("body", "only_ready"),
        [(b"", False), (b"{}", False), (b'{"ready":true}', True), (b'{"ready":false,"x":1}', False)],
    )
    def test_it_may_ask_for_what_is_ready_only(self, body: bytes, only_ready: bool) -> None:
        half = len(body) // 2
        first = {"type": "http.request", "body": body[:half], "more_body": True}
        assert wants_only_ready(first, {"type": "http.request", "body": body[half:]}) is only_ready

    @pytest.mark.parametrize("body", [b"[", b"[]", b'{"ready":1}', b"\xff", b'{"ready":' + b"[" * 3000])
    def test_any_other_is_refused(self, body: bytes) -> None:
        with pytest.raises(RequestError) as caught:
            wants_only_ready({"type": "http.request", "body": body})
        assert (caught.value.status, caught.value.code) == (400, "not_json")

    def test_a_body_that_grows_too_large_is_refused_on_its_way(self) -> None:
        endless = [{"type": "http.request", "body": b" " * 1000, "more_body": True}] * (INDEX_BYTES // 1000 + 1)
        with pytest.raises(RequestError) as caught:
            wants_only_ready(*endless)
        assert (caught.value.status, caught.value.code) == (413, "body_too_large")

    def test_a_client_that_leaves_is_no_failure_of_the_server(self) -> None:
        with pytest.raises(RequestError) as caught:
            wants_only_ready({"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"})
        assert (caught.value.status, caught.value.code) == (400, "incomplete")


class TestNames:
    @pytest.mark.parametrize("path", ["/v2/models/iris", "/v2/models/iris/versions/v1", "/v1/models/iris/versions/v1"])
    def test_of_the_version_that_serves(self, iris: Running, path: str) -> None:
        answer = iris.client.get(path)
        assert (answer.status_code, answer.json()["name"]) == (200, "iris")

    @pytest.mark.parametrize("start", ["/v1", "/v2"])
    def test_others_are_not_here(self, iris: Running, start: str) -> None:
        answer = iris.client.get(f"{start}/models/other")
        assert (answer.status_code, answer.json()) == (404, {"error": "Found the model 'other', expected 'iris'."})
        answer = iris.client.get(f"{start}/models/iris/versions/v9")
        expected = "Found the version 'v9', expected 'v1', which is served."
        assert (answer.status_code, answer.json()) == (404, {"error": expected})

    def test_before_anything_serves_the_version_that_was_asked_for_is_the_one(
        self, tmp_path: Path, start: Start
    ) -> None:
        waiting = start(f"file://{tmp_path}/nowhere", model="iris", version="v9").client
        for path in ("/v1/models/iris", "/v1/models/iris/versions/v9", "/v2/models/iris/versions/v9/ready"):
            answer = waiting.get(path)
            assert (answer.status_code, answer.json()["ready"]) == (503, False)
        answer = waiting.get("/v2/models/iris")
        assert answer.status_code == 503
        assert "Not ready" in answer.json()["error"]
        assert waiting.get("/v2/models/iris/versions/v1/ready").status_code == 404
        assert waiting.get("/v2/health/ready").json() == {"ready": False}
        assert waiting.get("/v2/health/live").json() == {"live": True}

"""The Open Inference Protocol V2 as NVIDIA's client speaks it: it is told what scikit-learn predicts."""

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http.aio
from numpy.typing import NDArray
from tests.contract.models import CUSTOMERS, FLOWERS, LABELS, trained_one
from tests.unit.serve.conftest import Running, Start
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from mlplat.bundle.features import TENSOR

either = pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])


@pytest.fixture
def flowers(servers: dict[tuple[str, str], Running]) -> Iterator[InferenceServerClient]:
    """A client of iris v1."""
    with client_of(servers["iris", "v1"]) as client:
        yield client


def client_of(running: Running) -> InferenceServerClient:
    return InferenceServerClient(f"127.0.0.1:{running.port}")


def tensor(name: str, values: NDArray[Any], *, binary: bool) -> InferInput:
    given = InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
    given.set_data_from_numpy(values, binary_data=binary)
    return given


def outputs(*names: str, binary: bool) -> list[InferRequestedOutput]:
    return [InferRequestedOutput(name, binary_data=binary) for name in names]


def texts(result: InferResult, name: str = "predict") -> list[str]:
    """Strings, which the client has as bytes if they came as such."""
    return [value.decode() if isinstance(value, bytes) else value for value in result.as_numpy(name)]


class TestAnswers:
    @either
    @pytest.mark.parametrize("version", ["v1", "v2"])
    def test_of_a_forest_and_of_a_logistic_regression(
        self, servers: dict[tuple[str, str], Running], trained: Path, version: str, binary: bool
    ) -> None:
        _, estimator = trained_one(trained, "iris", version)
        with client_of(servers["iris", version]) as client:
            result = client.infer(
                "iris",
                [tensor("input", FLOWERS, binary=binary)],
                outputs=outputs("predict", "predict_proba", binary=binary),
            )
        assert texts(result) == [LABELS[index] for index in estimator.predict(FLOWERS)]
        assert np.abs(result.as_numpy("predict_proba") - estimator.predict_proba(FLOWERS)).max() < 1e-5

    @pytest.mark.parametrize("datatype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
    @either
    def test_of_every_datatype(
        self, flowers: InferenceServerClient, trained: Path, datatype: str, binary: bool
    ) -> None:
        values = FLOWERS.astype(datatype)
        _, estimator = trained_one(trained, "iris", "v1")
        expected = estimator.predict_proba(values.astype(np.float32))
        found = flowers.infer("iris", [tensor("input", values, binary=binary)]).as_numpy("predict_proba")
        assert np.abs(found - expected).max() < 1e-5

    @either
    def test_of_an_input_per_column(self, flowers: InferenceServerClient, trained: Path, binary: bool) -> None:
        manifest, estimator = trained_one(trained, "iris", "v1")
        columns = dict(zip(manifest.features.names, FLOWERS.T, strict=True))
        inputs = [tensor(name, values.reshape(-1, 1), binary=binary) for name, values in reversed(columns.items())]
        found = flowers.infer("iris", inputs).as_numpy("predict_proba")
        assert np.abs(found - estimator.predict_proba(FLOWERS)).max() < 1e-5

    @either
    @pytest.mark.parametrize("rows", [1, 80])
    def test_of_categories_booleans_dates_and_missing_values(
        self, servers: dict[tuple[str, str], Running], trained: Path, rows: int, binary: bool
    ) -> None:
        raw = {name: values[:rows] for name, values in CUSTOMERS.items()}
        manifest, estimator = trained_one(trained, "customers", "v1")
        encoded, problems = manifest.features.encode(raw)
        assert not problems
        if binary:
            inputs = [
                tensor("age", np.array(raw["age"], np.float32), binary=True),
                tensor("plan", np.array(raw["plan"], object), binary=True),
                tensor("member", np.array(raw["member"]), binary=True),
                tensor("since", np.array(raw["since"], object), binary=True),
            ]
            with client_of(servers["customers", "v1"]) as client:
                result = client.infer("customers", inputs)
        else:  # the client has no null
            datatypes = {"age": "FP64", "plan": "BYTES", "member": "BOOL", "since": "BYTES"}
            body = [
                {"name": name, "shape": [rows], "datatype": datatypes[name], "data": values}
                for name, values in raw.items()
            ]
            answer = servers["customers", "v1"].client.post("/v2/models/customers/infer", json={"inputs": body})
            result = InferResult.from_response_body(answer.content)
        assert texts(result) == [(manifest.classes or ())[index] for index in estimator.predict(encoded[TENSOR])]
        assert np.abs(result.as_numpy("predict_proba") - estimator.predict_proba(encoded[TENSOR])).max() < 1e-5

    @either
    def test_of_a_forecast(self, servers: dict[tuple[str, str], Running], trained: Path, binary: bool) -> None:
        _, estimator = trained_one(trained, "forecast", "v1")
        rows = np.random.default_rng(1).uniform(40, 60, (3, 5)).astype(np.float32)
        with client_of(servers["forecast", "v1"]) as client:
            found = client.infer(
                "forecast", [tensor("input", rows, binary=binary)], outputs=outputs("predict", binary=binary)
            ).as_numpy("predict")
            assert found == pytest.approx(estimator.predict(rows), rel=1e-4)
            steps = client.infer(
                "forecast",
                [tensor("input", rows[:1], binary=binary)],
                outputs=outputs("predict", binary=binary),
                parameters={"horizon": 3},
            ).as_numpy("predict")
        series = rows[0]
        for step in steps:
            assert step == pytest.approx(estimator.predict(series[None])[0], rel=1e-4)
            series = np.append(series[1:], step)

    def test_of_many_rows(self, flowers: InferenceServerClient, trained: Path) -> None:
        rows = np.tile(FLOWERS, (50, 1))  # so large a body is read in a thread
        _, estimator = trained_one(trained, "iris", "v1")
        found = flowers.infer("iris", [tensor("input", rows.astype(np.float64), binary=True)]).as_numpy("predict_proba")
        assert np.abs(found - np.tile(estimator.predict_proba(FLOWERS), (50, 1))).max() < 1e-5

    def test_through_the_client_of_asyncio(self, servers: dict[tuple[str, str], Running]) -> None:
        async def ask() -> InferResult:
            async with tritonclient.http.aio.InferenceServerClient(f"127.0.0.1:{servers['iris', 'v1'].port}") as client:
                return await client.infer("iris", [tensor("input", FLOWERS[:1], binary=True)])

        assert asyncio.run(ask()).as_numpy("predict_proba").shape == (1, 3)


class TestRequests:
    @either
    def test_outputs_are_chosen_and_the_id_comes_back(self, flowers: InferenceServerClient, binary: bool) -> None:
        result = flowers.infer(
            "iris",
            [tensor("input", FLOWERS[:2], binary=binary)],
            model_version="v1",
            outputs=outputs("predict_proba", binary=binary),
            request_id="a request",
        )
        head = result.get_response()
        assert (head["id"], head["model_name"], head["model_version"]) == ("a request", "iris", "v1")
        (output,) = head["outputs"]
        assert (output["name"], output["datatype"], output["shape"]) == ("predict_proba", "FP32", [2, 3])
        assert ("data" in output) is not binary

    def test_json_and_binary_mix_in_one_request(self, flowers: InferenceServerClient) -> None:
        names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
        inputs = [tensor(name, FLOWERS[:2, i], binary=i % 2 == 0) for i, name in enumerate(names)]
        result = flowers.infer(
            "iris", inputs, outputs=[*outputs("predict", binary=False), *outputs("predict_proba", binary=True)]
        )
        labels, probabilities = result.get_response()["outputs"]
        assert "data" in labels
        assert probabilities["parameters"] == {"binary_data_size": 24}
        assert texts(result) == [LABELS[index] for index in result.as_numpy("predict_proba").argmax(axis=1)]

    @either
    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    def test_compressed_bodies(self, flowers: InferenceServerClient, coding: str, binary: bool) -> None:
        inputs = [tensor("input", FLOWERS, binary=binary)]
        result = flowers.infer(
            "iris", inputs, request_compression_algorithm=coding, response_compression_algorithm=coding
        )
        expected = flowers.infer("iris", inputs).as_numpy("predict_proba")
        assert result.as_numpy("predict_proba").tolist() == expected.tolist()


class TestErrors:
    def refused(self, client: InferenceServerClient, *inputs: InferInput, **more: Any) -> tuple[str, str]:
        with pytest.raises(InferenceServerException) as caught:
            client.infer(more.pop("model", "iris"), list(inputs), **more)
        return caught.value.status(), caught.value.message()

    @either
    def test_row_column_found_and_expected_are_named(self, flowers: InferenceServerClient, binary: bool) -> None:
        values = FLOWERS[:3].astype(np.int64)
        values[1, 2] = 2**60
        assert self.refused(flowers, tensor("input", values, binary=binary)) == (
            "422",
            "row 1, column 'petal_length': found 1152921504606846976, expected an integer of at most 2^53, or a float.",
        )

    def test_a_missing_value_where_training_saw_none(self, flowers: InferenceServerClient) -> None:
        status, text = self.refused(flowers, tensor("input", np.full((1, 4), math.nan, np.float32), binary=True))
        assert status == "422"
        assert text.startswith("row 0, column 'sepal_length': found a missing value, expected a number")

    def test_other_models_versions_outputs_and_extensions(self, flowers: InferenceServerClient) -> None:
        row = tensor("input", FLOWERS[:1], binary=True)
        assert self.refused(flowers, row, model="other")[0] == "404"
        assert self.refused(flowers, row, model_version="v9")[0] == "404"
        assert self.refused(flowers, row, outputs=outputs("label", binary=True))[0] == "422"
        assert self.refused(flowers, row, outputs=[InferRequestedOutput("predict_proba", class_count=2)])[0] == "422"
        shared = InferInput("input", [1, 4], "FP32").set_shared_memory("region", 16)
        assert "shared memory" in self.refused(flowers, shared)[1]

    def test_errors_have_one_key_on_every_route(self, servers: dict[tuple[str, str], Running]) -> None:
        http = servers["iris", "v1"].client
        for method, path, status in [
            ("GET", "/v2/none", 404),
            ("GET", "/v2/models/other", 404),
            ("GET", "/v2/models/iris/versions/v9", 404),
            ("GET", "/v2/models/iris/versions/v9/ready", 404),
            ("GET", "/v2/models/iris/infer", 405),
            ("POST", "/v2", 405),
            ("GET", "/v2/repository/index", 405),
            ("POST", "/v2/models/iris/infer", 400),
            ("POST", "/v2/models/iris/versions/v9/infer", 404),
        ]:
            answer = http.request(method, path)
            assert (answer.status_code, list(answer.json())) == (status, ["error"]), path
            assert answer.headers["content-type"] == "application/json"

    def test_a_body_of_another_type_is_a_415(self, servers: dict[tuple[str, str], Running]) -> None:
        answer = servers["iris", "v1"].client.post("/v2/models/iris/infer", data={"a": "b"})
        assert answer.status_code == 415
        assert "expected application/json or application/octet-stream" in answer.json()["error"]

    def test_the_index_takes_a_small_object_only(self, servers: dict[tuple[str, str], Running]) -> None:
        http = servers["iris", "v1"].client
        for body, status in [(b"[", 400), (b"[1]", 400), (b'{"ready": 1}', 400), (b"[" * 5000, 413)]:
            answer = http.post("/v2/repository/index", content=body)
            assert (answer.status_code, list(answer.json())) == (status, ["error"])


class TestMetadata:
    def test_of_the_server(self, flowers: InferenceServerClient) -> None:
        assert flowers.is_server_live()
        assert flowers.is_server_ready()
        metadata = flowers.get_server_metadata()
        assert (metadata["name"], metadata["extensions"]) == ("ml-platform", ["binary_tensor_data"])

    def test_of_a_model_of_numbers(self, flowers: InferenceServerClient) -> None:
        for version in ("", "v1"):
            assert flowers.is_model_ready("iris", version)
            assert flowers.get_model_metadata("iris", version) == {
                "name": "iris",
                "versions": ["v1"],
                "platform": "onnxruntime_onnx",
                "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}],
                "outputs": [
                    {"name": "predict", "datatype": "BYTES", "shape": [-1]},
                    {"name": "predict_proba", "datatype": "FP32", "shape": [-1, 3], "parameters": {"labels": LABELS}},
                ],
            }
        assert not flowers.is_model_ready("iris", "v9")
        assert not flowers.is_model_ready("other")

    def test_of_a_model_of_all_kinds_of_columns(self, servers: dict[tuple[str, str], Running]) -> None:
        with client_of(servers["customers", "v1"]) as client:
            inputs = client.get_model_metadata("customers")["inputs"]
        assert {column["name"]: (column["datatype"], column["shape"]) for column in inputs} == {
            "age": ("FP32", [-1, 1]),
            "plan": ("BYTES", [-1, 1]),
            "member": ("BOOL", [-1, 1]),
            "since": ("BYTES", [-1, 1]),
        }

    def test_of_a_forecast(self, servers: dict[tuple[str, str], Running]) -> None:
        with client_of(servers["forecast", "v1"]) as client:
            metadata = client.get_model_metadata("forecast")
        assert metadata["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 5]}]
        assert metadata["outputs"] == [{"name": "predict", "datatype": "FP32", "shape": [-1]}]

    def test_the_index_of_the_repository(self, flowers: InferenceServerClient) -> None:
        assert flowers.get_model_repository_index() == [
            {"name": "iris", "version": "v1", "state": "READY", "reason": ""}
        ]

    def test_a_version_that_is_not_there_yet(self, trained: Path, start: Start) -> None:
        running = start(str(trained), model="iris", version="v9")
        http = running.client
        with client_of(running) as client:
            assert client.is_server_live()
            assert not client.is_server_ready()
            assert not client.is_model_ready("iris")
            (entry,) = client.get_model_repository_index()
            with pytest.raises(InferenceServerException, match="Not ready"):
                client.infer("iris", [tensor("input", FLOWERS[:1], binary=True)])
        assert (entry["version"], entry["state"]) == ("v9", "LOADING")
        assert entry["reason"]
        assert http.post("/v2/repository/index", json={"ready": True}).json() == []
        assert http.get("/v2/health/ready").json() == {"ready": False}
        assert http.get("/v2/models/iris/ready").json() == {"name": "iris", "ready": False}
        answer = http.get("/v2/models/iris")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert http.get("/v2/models/iris/versions/v1").status_code == 404
        assert http.get("/v2/models/other").status_code == 404

    def test_the_probes_are_open_and_all_else_wants_the_key(self, trained: Path, start: Start) -> None:
        running = start(str(trained), model="iris", version="v1", api_keys="secret").ready()
        rows = [tensor("input", FLOWERS[:1], binary=True)]
        with client_of(running) as client:
            assert client.is_server_live()
            assert client.is_server_ready()
            assert not client.is_model_ready("iris")
            for refused in (
                client.get_server_metadata,
                client.get_model_repository_index,
                lambda: client.get_model_metadata("iris"),
                lambda: client.infer("iris", rows),
            ):
                with pytest.raises(InferenceServerException, match="The API key is missing or wrong") as caught:
                    refused()
                assert caught.value.status() == "401"
            key = {"Authorization": "Bearer secret"}
            assert client.get_model_metadata("iris", headers=dict(key))["name"] == "iris"
            assert client.infer("iris", rows, headers=dict(key)).as_numpy("predict_proba").shape == (1, 3)


def test_every_example_of_the_openapi_document_works(servers: dict[tuple[str, str], Running]) -> None:
    for (model, _), running in servers.items():
        paths = running.client.get("/openapi.json").json()["paths"]
        operations = {path: item for path, item in paths.items() if path.startswith("/v2")}
        examples = operations[f"/v2/models/{model}/infer"]["post"]["requestBody"]["content"]["application/json"][
            "examples"
        ]
        assert examples
        for example in examples.values():
            answer = running.client.post(f"/v2/models/{model}/infer", content=json.dumps(example["value"]))
            assert answer.status_code == 200, answer.text
        for path, item in operations.items():
            if "get" in item:
                assert running.client.get(path).status_code == 200, path

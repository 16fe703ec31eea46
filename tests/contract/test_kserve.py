"""KServe's own client: what it is told by V1 and V2 is what scikit-learn predicts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.contract.conftest import SdkError, Sdks
from tests.contract.models import CUSTOMERS, FLOWERS, LABELS, trained_one
from tests.unit.serve.conftest import Running, Start

from mlplat.bundle.features import TENSOR

Servers = dict[tuple[str, str], Running]

FLOWER = [5.1, 3.5, 1.4, 0.2]


class TestPredictions:
    @pytest.mark.parametrize("version", ["v1", "v2"])
    @pytest.mark.parametrize("path", ["iris", "iris/versions/{}"])
    def test_of_a_forest_and_of_a_logistic_regression(
        self, sdks: Sdks, servers: Servers, trained: Path, version: str, path: str
    ) -> None:
        port = servers["iris", version].port
        _, estimator = trained_one(trained, "iris", version)
        answer = sdks.call("v1_predict", port, model=path.format(version), body={"instances": FLOWERS.tolist()})
        assert answer == {"predictions": [LABELS[index] for index in estimator.predict(FLOWERS)]}
        body = {"instances": FLOWERS.tolist(), "signature_name": "predict_proba"}
        answer = sdks.call("v1_predict", port, model=path.format(version), body=body)
        assert np.abs(np.array(answer["predictions"]) - estimator.predict_proba(FLOWERS)).max() < 1e-5

    @pytest.mark.parametrize("rows", [1, 80])
    def test_of_categories_booleans_dates_and_missing_values(
        self, sdks: Sdks, servers: Servers, trained: Path, rows: int
    ) -> None:
        raw = {name: values[:rows] for name, values in CUSTOMERS.items()}
        manifest, estimator = trained_one(trained, "customers", "v1")
        encoded, problems = manifest.features.encode(raw)
        assert not problems
        expected = [(manifest.classes or ())[index] for index in estimator.predict(encoded[TENSOR])]
        by_position = [list(row) for row in zip(*(raw[name] for name in manifest.features.names), strict=True)]
        by_name = [dict(zip(manifest.features.names, row, strict=True)) for row in by_position]
        frames = [{name: {"0": value} for name, value in row.items()} for row in by_name]
        bodies: list[Any] = [{"instances": by_position}, {"instances": by_name}, {"instances": frames}, {"inputs": raw}]
        for body in bodies:
            answer = sdks.call("v1_predict", servers["customers", "v1"].port, model="customers", body=body)
            assert answer == {"predictions": expected}
            body |= {"parameters": {"return_probabilities": True}}
            answer = sdks.call("v1_predict", servers["customers", "v1"].port, model="customers", body=body)
            assert np.abs(np.array(answer["predictions"]) - estimator.predict_proba(encoded[TENSOR])).max() < 1e-5

    def test_of_a_forecast(self, sdks: Sdks, servers: Servers, trained: Path) -> None:
        _, estimator = trained_one(trained, "forecast", "v1")
        port = servers["forecast", "v1"].port
        rows = np.random.default_rng(1).uniform(40, 60, (3, 5)).astype(np.float32)
        answer = sdks.call("v1_predict", port, model="forecast", body={"instances": rows.tolist()})
        assert answer["predictions"] == pytest.approx(estimator.predict(rows), rel=1e-4)
        body = {"instances": rows[:1].tolist(), "parameters": {"horizon": 3}}
        (steps,) = sdks.call("v1_predict", port, model="forecast", body=body)["predictions"]
        assert len(steps) == 3
        series = rows[0]
        for step in steps:
            assert step == pytest.approx(estimator.predict(series[None])[0], rel=1e-4)
            series = np.append(series[1:], np.float32(step))

    def test_of_many_rows(self, sdks: Sdks, servers: Servers, trained: Path) -> None:
        rows = np.tile(FLOWERS, (50, 1))  # so large a body is read in a thread
        _, estimator = trained_one(trained, "iris", "v1")
        answer = sdks.call("v1_predict", servers["iris", "v1"].port, model="iris", body={"instances": rows.tolist()})
        assert answer == {"predictions": [LABELS[index] for index in estimator.predict(FLOWERS)] * 50}

    @pytest.mark.parametrize("binary", [True, False])
    def test_by_v2(self, sdks: Sdks, servers: Servers, trained: Path, binary: bool) -> None:
        port = servers["iris", "v1"].port
        _, estimator = trained_one(trained, "iris", "v1")
        outputs = sdks.call("v2_predict", port, model="iris", rows=FLOWERS.tolist(), binary=binary)
        assert outputs["predict"] == [LABELS[index] for index in estimator.predict(FLOWERS)]
        assert np.abs(np.array(outputs["predict_proba"]) - estimator.predict_proba(FLOWERS)).max() < 1e-5
        assert sdks.call("v2_ready", port, model="iris") == [True, True, True]


class TestReadiness:
    def test_a_model_that_serves_is_ready(self, sdks: Sdks, servers: Servers) -> None:
        running = servers["iris", "v1"]
        for model in ("iris", "iris/versions/v1"):
            assert sdks.call("v1_ready", running.port, model=model) is True
            assert running.client.get(f"/v1/models/{model}").json() == {"name": "iris", "ready": True}
        assert running.client.get("/v1/models").json() == {"models": ["iris"]}

    @pytest.mark.parametrize("model", ["other", "iris/versions/v9"])
    def test_another_one_is_not_there(self, sdks: Sdks, servers: Servers, model: str) -> None:
        with pytest.raises(SdkError, match=r"HTTPStatusError: Found the .*'404 Not Found'"):
            sdks.call("v1_ready", servers["iris", "v1"].port, model=model)
        with pytest.raises(SdkError, match=r"HTTPStatusError: Found the .*'404 Not Found'"):
            sdks.call("v1_predict", servers["iris", "v1"].port, model=model, body={"instances": [FLOWER]})

    def test_one_that_is_still_to_come_is_not_ready(self, sdks: Sdks, trained: Path, start: Start) -> None:
        running = start(str(trained), model="iris", version="v9")
        assert sdks.call("v1_ready", running.port, model="iris") is False
        assert running.client.get("/v1/models").json() == {"models": ["iris"]}
        answer = running.client.get("/v1/models/iris/versions/v9")
        assert answer.status_code == 503
        assert (answer.json()["name"], answer.json()["ready"]) == ("iris", False)
        assert answer.json()["error"].startswith("Not ready: ")
        with pytest.raises(SdkError, match=r"HTTPStatusError: Not ready: .*'503 Service Unavailable'"):
            sdks.call("v1_predict", running.port, model="iris", body={"instances": [FLOWER]})

    def test_all_of_v1_wants_the_key(self, sdks: Sdks, trained: Path, start: Start) -> None:
        running = start(str(trained), model="iris", version="v1", api_keys="secret").ready()
        for call, more in (("v1_ready", {}), ("v1_predict", {"body": {"instances": [FLOWER]}})):
            with pytest.raises(SdkError, match=r"The API key is missing or wrong.*'401 Unauthorized'"):
                sdks.call(call, running.port, model="iris", **more)
            headers = {"Authorization": "Bearer secret"}
            assert sdks.call(call, running.port, model="iris", headers=headers, **more)


class TestErrors:
    def test_row_column_found_and_expected_are_named(self, sdks: Sdks, servers: Servers) -> None:
        body = {"instances": [FLOWER, [5.1, 3.5, "wide", 0.2]]}
        with pytest.raises(SdkError) as caught:
            sdks.call("v1_predict", servers["iris", "v1"].port, model="iris", body=body)
        assert "row 1, column 'petal_length': found \"wide\", expected a number., '422" in str(caught.value)

    def test_they_have_one_key_on_every_route(self, servers: Servers) -> None:
        for method, path, status in [
            ("GET", "/v1", 404),
            ("GET", "/v1/none", 404),
            ("GET", "/v1/models/other", 404),
            ("GET", "/v1/models/iris/versions/v9", 404),
            ("GET", "/v1/models/iris:predict", 405),
            ("GET", "/v1/models/iris/versions/v1:predict", 405),
            ("POST", "/v1/models", 405),
            ("POST", "/v1/models/iris", 405),
            ("POST", "/v1/models/iris:predict", 400),
            ("POST", "/v1/models/iris%3Apredict", 400),
            ("POST", "/v1/models/iris/versions/v1:predict", 400),
            ("POST", "/v1/models/other:predict", 404),
            ("POST", "/v1/models/iris/versions/v9:predict", 404),
            ("POST", "/v1/models/iris:explain", 405),
        ]:
            answer = servers["iris", "v1"].client.request(method, path)
            assert (answer.status_code, list(answer.json())) == (status, ["error"]), path
            assert answer.headers["content-type"] == "application/json"
            assert (status != 405) or answer.headers["allow"]

    def test_a_body_of_another_type_is_a_415(self, servers: Servers) -> None:
        answer = servers["iris", "v1"].client.post("/v1/models/iris:predict", data={"a": "b"})
        assert answer.status_code == 415
        assert "expected application/json" in answer.json()["error"]


def test_every_example_of_the_openapi_document_works(servers: Servers) -> None:
    for (model, _), running in servers.items():
        paths = running.client.get("/openapi.json").json()["paths"]
        operations = {path: item for path, item in paths.items() if path.startswith("/v1")}
        body = operations[f"/v1/models/{model}:predict"]["post"]["requestBody"]
        examples = body["content"]["application/json"]["examples"]
        assert len(examples) == 4
        for example in examples.values():
            answer = running.client.post(f"/v1/models/{model}:predict", json=example["value"])
            assert answer.status_code == 200, answer.text
        for path, item in operations.items():
            if "get" in item:
                assert running.client.get(path).status_code == 200, path

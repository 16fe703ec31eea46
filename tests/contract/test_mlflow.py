"""MLflow's own client: what it is told is what scikit-learn predicts. And CSV, which SageMaker's clients send."""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from tests.contract.conftest import SdkError, Sdks
from tests.contract.models import CUSTOMERS, FLOWERS, LABELS, trained_one
from tests.unit.serve.conftest import Running, Start

from mlplat.bundle.features import TENSOR

Servers = dict[tuple[str, str], Running]

FULL = {"return_probabilities": True}
CSV = {"Content-Type": "text/csv"}


def invoke(running: Running, frame: pd.DataFrame, **options: Any) -> httpx.Response:
    text = io.StringIO()
    frame.to_csv(text, **options)
    return running.client.post("/invocations", content=text.getvalue(), headers=CSV)


class TestPredictions:
    @pytest.mark.parametrize("version", ["v1", "v2"])
    def test_of_a_forest_and_of_a_logistic_regression(
        self, sdks: Sdks, servers: Servers, trained: Path, version: str
    ) -> None:
        port = servers["iris", version].port
        manifest, estimator = trained_one(trained, "iris", version)
        labels = [[LABELS[index]] for index in estimator.predict(FLOWERS)]
        probabilities = estimator.predict_proba(FLOWERS)
        assert sdks.call("mlflow_array", port, rows=FLOWERS.tolist()) == labels
        found = sdks.call("mlflow_array", port, rows=FLOWERS.tolist(), params=FULL)
        assert np.abs(np.array(found) - probabilities).max() < 1e-5
        columns = dict(zip(reversed(manifest.features.names), FLOWERS.T[::-1].tolist(), strict=True))
        columns["row"] = [str(index) for index in range(len(FLOWERS))]
        assert sdks.call("mlflow_frame", port, columns=columns, dates=[]) == labels
        found = sdks.call("mlflow_frame", port, columns=columns, dates=[], params=FULL)
        assert np.abs(np.array(found) - probabilities).max() < 1e-5
        answer = invoke(servers["iris", version], pd.DataFrame(columns))
        assert answer.json() == {"predictions": [label for (label,) in labels]}

    @pytest.mark.parametrize("rows", [1, 80])
    def test_of_categories_booleans_dates_and_missing_values(
        self, sdks: Sdks, servers: Servers, trained: Path, rows: int
    ) -> None:
        running = servers["customers", "v1"]
        raw = {name: values[-rows:] for name, values in CUSTOMERS.items()}
        raw["since"] = [date[:10] for date in raw["since"]]
        manifest, estimator = trained_one(trained, "customers", "v1")
        encoded, problems = manifest.features.encode(raw)
        assert not problems
        expected = [[(manifest.classes or ())[index]] for index in estimator.predict(encoded[TENSOR])]
        probabilities = estimator.predict_proba(encoded[TENSOR])
        assert sdks.call("mlflow_frame", running.port, columns=raw, dates=["since"]) == expected
        found = sdks.call("mlflow_frame", running.port, columns=raw, dates=["since"], params=FULL)
        assert np.abs(np.array(found) - probabilities).max() < 1e-5
        for index in (True, False):
            answer = invoke(running, pd.DataFrame(raw), index=index)
            assert answer.json() == {"predictions": [label for (label,) in expected]}
        records = pd.DataFrame(raw).to_dict(orient="records")
        bodies = [{"dataframe_records": records}, {"instances": records}, {"inputs": raw}, {"instances": raw}]
        for body in bodies:  # with NaN for a missing value, as Python writes it
            assert sdks.call("mlflow_text", running.port, body=json.dumps(body)) == expected

    def test_of_a_forecast(self, sdks: Sdks, servers: Servers, trained: Path) -> None:
        port = servers["forecast", "v1"].port
        _, estimator = trained_one(trained, "forecast", "v1")
        rows = np.random.default_rng(1).uniform(40, 60, (3, 5)).astype(np.float32)
        found = sdks.call("mlflow_array", port, rows=rows.tolist())
        assert [value for (value,) in found] == pytest.approx(estimator.predict(rows), rel=1e-4)
        (steps,) = sdks.call("mlflow_array", port, rows=rows[:1].tolist(), params={"horizon": 3})
        assert len(steps) == 3
        series = rows[0]
        for step in steps:
            assert step == pytest.approx(estimator.predict(series[None])[0], rel=1e-4)
            series = np.append(series[1:], np.float32(step))

    def test_of_many_rows(self, sdks: Sdks, servers: Servers, trained: Path) -> None:
        rows = np.tile(FLOWERS, (50, 1))  # so large a body is read in a thread
        manifest, estimator = trained_one(trained, "iris", "v1")
        labels = [LABELS[index] for index in estimator.predict(FLOWERS)] * 50
        port = servers["iris", "v1"].port
        assert sdks.call("mlflow_array", port, rows=rows.tolist()) == [[label] for label in labels]
        answer = invoke(servers["iris", "v1"], pd.DataFrame(rows, columns=list(manifest.features.names)))
        assert answer.json() == {"predictions": labels}


class TestProbes:
    def test_the_client_finds_a_server_that_is_ready(self, sdks: Sdks, servers: Servers) -> None:
        version = json.loads(sdks.call("mlflow_probe", servers["iris", "v1"].port))
        assert (version["model_name"], version["model_version"]) == ("iris", "v1")
        assert servers["iris", "v1"].client.head("/ping").status_code == 200

    def test_one_that_is_not_yet_is_a_503(self, sdks: Sdks, trained: Path, start: Start) -> None:
        running = start(str(trained), model="iris", version="v9")
        answer = running.client.get("/ping")
        assert answer.status_code == 503
        assert answer.json()["error"].startswith("Not ready: ")
        with pytest.raises(SdkError, match=r"error code 503.*TEMPORARILY_UNAVAILABLE.*Not ready"):
            sdks.call("mlflow_array", running.port, rows=FLOWERS.tolist())

    def test_ping_is_open_and_predictions_want_the_key(self, trained: Path, start: Start) -> None:
        running = start(str(trained), model="iris", version="v1", api_keys="secret").ready()
        assert running.client.get("/ping").status_code == 200
        body = {"inputs": FLOWERS.tolist()}
        answer = running.client.post("/invocations", json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")
        assert "The API key is missing or wrong" in answer.json()["message"]
        headers = {"Authorization": "Bearer secret"}
        assert running.client.post("/invocations", json=body, headers=headers).status_code == 200


class TestErrors:
    def test_row_column_found_and_expected_are_named(self, sdks: Sdks, servers: Servers) -> None:
        text = "row 0, column 'age': found \\\\\"old\\\\\", expected a number."
        columns = {"age": ["old"], "plan": ["pro"], "member": [True], "since": ["2024-01-01"]}
        with pytest.raises(SdkError, match=rf"error code 400.*BAD_REQUEST.*{text}"):
            sdks.call("mlflow_frame", servers["customers", "v1"].port, columns=columns, dates=["since"])
        with pytest.raises(SdkError, match=r"missing columns 'age', 'member'; expected 'age', 'plan'"):
            sdks.call(
                "mlflow_frame",
                servers["customers", "v1"].port,
                columns={"plan": ["pro"], "since": ["2024-01-01"], "more": [1]},
                dates=[],
            )

    def test_they_have_mlflows_keys_on_every_route(self, servers: Servers) -> None:
        for method, path, status, code in [
            ("GET", "/invocations", 405, "BAD_REQUEST"),
            ("POST", "/invocations", 400, "BAD_REQUEST"),
            ("POST", "/invocations/none", 404, "ENDPOINT_NOT_FOUND"),
        ]:
            answer = servers["iris", "v1"].client.request(method, path)
            assert (answer.status_code, list(answer.json())) == (status, ["error_code", "message"]), path
            assert answer.json()["error_code"] == code
            assert answer.headers["content-type"] == "application/json"

    @pytest.mark.parametrize(
        "media_type",
        ["application/vnd.apache.parquet", "application/x-www-form-urlencoded", "text/csv; charset=utf-16"],
    )
    def test_a_body_of_another_type_is_a_415(self, servers: Servers, media_type: str) -> None:
        headers = {"Content-Type": media_type}
        answer = servers["iris", "v1"].client.post("/invocations", content=b"a,b\n1,2\n", headers=headers)
        assert (answer.status_code, answer.json()["error_code"]) == (415, "BAD_REQUEST")
        assert "expected" in answer.json()["message"]


def test_every_example_of_the_openapi_document_works(servers: Servers) -> None:
    for running in servers.values():
        paths = running.client.get("/openapi.json").json()["paths"]
        content = paths["/invocations"]["post"]["requestBody"]["content"]
        examples = content["application/json"]["examples"]
        assert len(examples) == 5
        for example in examples.values():
            answer = running.client.post("/invocations", json=example["value"])
            assert answer.status_code == 200, answer.text
        answer = running.client.post("/invocations", content=content["text/csv"]["example"], headers=CSV)
        assert answer.status_code == 200, answer.text
        assert "get" in paths["/ping"]

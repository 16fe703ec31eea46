"""The routes over real HTTP."""

import io
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from mlplat.bundle.features import Inputs
from mlplat.bundle.prediction import Prediction
from mlplat.runtime.cost import Cost
from mlplat.store import open_store

from .conftest import Running, Start

FLOWER = [5.1, 3.5, 1.4, 0.2]
NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def test_one_row_is_answered_in_full(iris: Running) -> None:
    answer = iris.predict({"features": FLOWER}).json()
    datetime.strptime(answer.pop("timestamp"), "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007 - its form is tested
    probabilities = answer.pop("probabilities")
    assert list(probabilities) == ["setosa", "versicolor", "virginica"]
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert answer.pop("confidence") == probabilities["setosa"] > 0.9
    assert answer == {"prediction": "setosa", "prediction_index": 0, "model_name": "iris", "model_version": "v1"}


def test_a_row_by_name_has_the_same_answer(iris: Running) -> None:
    by_name = iris.predict(dict(zip(NAMES, FLOWER, strict=True))).json()
    by_position = iris.predict({"features": FLOWER}).json()
    assert by_name | {"timestamp": ""} == by_position | {"timestamp": ""}


def test_rows_are_answered_as_lists(iris: Running) -> None:
    answer = iris.predict({"features": [FLOWER, [6.7, 3.0, 5.2, 2.3]]}).json()
    assert answer["predictions"] == ["setosa", "virginica"]
    assert answer["prediction_indices"] == [0, 2]
    assert len(answer["confidences"]) == 2
    assert "probabilities" not in answer
    answer = iris.predict({"features": [FLOWER], "return_probabilities": True}).json()
    assert answer["probabilities"][0]["setosa"] == answer["confidences"][0]


def test_the_answers_are_scikit_learns(iris: Running, trained: Path) -> None:
    store = open_store(str(trained))
    estimator = joblib.load(io.BytesIO(store.read_file(store.manifest("iris", "v1"), "model.joblib")))
    rows = np.random.default_rng(0).uniform([4, 2, 1, 0], [8, 4.5, 7, 2.5], (100, 4)).astype(np.float32)
    answer = iris.predict({"features": rows.tolist(), "return_probabilities": True}).json()
    found = np.array([[row[name] for name in ("setosa", "versicolor", "virginica")] for row in answer["probabilities"]])
    assert np.abs(found - estimator.predict_proba(rows)).max() < 1e-5


def test_the_probes_and_the_version(iris: Running) -> None:
    assert iris.client.get("/health").json() == {"status": "ok"}
    assert iris.client.get("/ready").json() == {"status": "ready", "model_name": "iris", "model_version": "v1"}
    version = iris.client.get("/version").json()
    assert (version["model_version"], version["alias"], version["runtime"]) == ("v1", None, "onnx")
    assert iris.client.head("/health").status_code == 200


@pytest.mark.parametrize("path", ["/health", "/healthz", "/livez"])
def test_a_process_lives_under_each_usual_name(iris: Running, path: str) -> None:
    answer = iris.client.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert iris.client.head(path).content == b""
    assert iris.client.post(path).status_code == 405


@pytest.mark.parametrize("path", ["/ready", "/readyz", "/ping"])
def test_readiness_has_each_usual_name(iris: Running, trained: Path, start: Start, path: str) -> None:
    answer = iris.client.get(path)
    assert (answer.status_code, answer.json()["model_version"]) == (200, "v1")
    assert iris.client.head(path).status_code == 200
    waiting = start(str(trained), model="iris", version="v9")
    assert waiting.client.get("/livez").status_code == 200
    answer = waiting.client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.headers["retry-after"] == "1"


def test_metrics_count_requests_by_route_and_status(iris: Running) -> None:
    def count() -> float:
        text = iris.client.get("/metrics").text
        found = re.search(r'mlplat_requests_total{protocol="plain",status="422",version="v1"} (\S+)', text)
        return float(found.group(1)) if found else 0.0

    before = count()
    iris.predict({"features": [1]})
    assert count() == before + 1
    text = iris.client.get("/metrics").text
    assert 'mlplat_model_info{model="iris",version="v1"} 1.0' in text
    assert "mlplat_ready 1.0" in text
    assert "process_resident_memory_bytes" in text


def test_what_clients_make_up_becomes_no_label(iris: Running) -> None:
    iris.client.get("/some/random/path")
    iris.client.post("/v2/models/random/versions/path/infer", json={})
    assert "random" not in iris.client.get("/metrics").text


def test_the_docs_load_nothing_from_other_hosts(iris: Running) -> None:
    page = iris.client.get("/docs")
    assert page.status_code == 200
    references = re.findall(r"""(?:src|href|url)\s*[=:]\s*['"]([^'"]+)""", page.text)
    assert references
    assert [reference for reference in references if "//" in reference] == []
    for reference in references:
        assert iris.client.get("/" + reference).status_code == 200


def test_every_example_of_the_openapi_document_works(iris: Running, trained: Path, start: Start) -> None:
    forecast = start(str(trained), model="forecast", version="v1").ready()
    customers = start(str(trained), model="customers", version="v1").ready()
    for running in (iris, forecast, customers):
        body = running.client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]
        content = body["content"]["application/json"]
        examples = [content["example"]] if "example" in content else [e["value"] for e in content["examples"].values()]
        assert examples
        for example in examples:
            answer = running.predict(example)
            assert answer.status_code == 200, answer.text


def test_the_columns_of_the_model_are_described(trained: Path, start: Start) -> None:
    customers = start(str(trained), model="customers", version="v1").ready()
    body = customers.client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]
    columns = body["content"]["application/json"]["schema"]["anyOf"][1]["properties"]
    assert columns["age"] == {"type": ["number", "null"]}
    assert columns["member"] == {"type": "boolean"}
    assert columns["since"] == {"type": "string", "format": "date-time"}
    assert columns["plan"] == {"type": ["string", "null"], "examples": ["basic", "pro"]}


def test_a_table_with_categories_dates_and_missing_values_is_served(trained: Path, start: Start) -> None:
    customers = start(str(trained), model="customers", version="v1").ready()
    row = {"age": None, "plan": "gold", "member": True, "since": "2024-01-05"}
    assert customers.predict(row).json()["prediction"] == "no"
    answer = customers.predict(row | {"member": None})
    assert answer.status_code == 422
    assert "training saw no missing values" in answer.json()["error"]


def test_numbers_that_a_model_cannot_compute_with_are_refused(trained: Path, start: Start) -> None:
    """A linear model adds and multiplies them in float32; a forest only compares them."""
    logistic = start(str(trained), model="iris", version="v2").ready()
    huge = [5.1, 3.4e38, 1.4, -3.4e38]
    answer = logistic.predict({"features": [FLOWER, huge]})
    assert (answer.status_code, answer.json()["code"]) == (422, "out_of_range")
    assert answer.json()["error"].startswith("row 1: the model has no number for these values")
    tensor = {"name": "input", "shape": [1, 4], "datatype": "FP64", "data": huge}
    for path, body, status in [
        ("/v1/models/iris:predict", {"instances": [huge]}, 422),
        ("/v2/models/iris/infer", {"inputs": [tensor]}, 422),
        ("/invocations", {"inputs": [huge]}, 400),
    ]:
        assert logistic.client.post(path, json=body).status_code == status, path
    assert logistic.predict({"features": FLOWER}).status_code == 200


class TestForecast:
    def test_the_last_values_give_the_next(self, trained: Path, start: Start) -> None:
        forecast = start(str(trained), model="forecast", version="v1").ready()
        values = [float(i) for i in range(20)]
        one = forecast.predict({"values": values}).json()
        assert isinstance(one["prediction"], float)
        assert "predictions" not in one
        assert forecast.predict({"values": values[-5:]}).json()["prediction"] == one["prediction"]

    def test_a_horizon_feeds_each_prediction_back(self, trained: Path, start: Start) -> None:
        forecast = start(str(trained), model="forecast", version="v1").ready()
        values = [50.0, 51.0, 52.0, 53.0, 54.0]
        many = forecast.predict({"values": values, "horizon": 3}).json()["predictions"]
        for expected in many:
            answer = forecast.predict({"values": values}).json()["prediction"]
            assert answer == pytest.approx(expected, rel=1e-6)
            values = [*values[1:], answer]

    def test_more_of_them_than_may_wait_are_refused(
        self, trained: Path, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forecast = start(str(trained), model="forecast", version="v1", max_waiting=1).ready()
        served = forecast.server.lifecycle.current
        assert served is not None
        entered, leave = threading.Event(), threading.Event()

        def slow(*_: Any) -> Any:
            entered.set()
            assert leave.wait(30)
            return np.zeros(3)

        monkeypatch.setattr(served.predictor, "forecast", slow)
        body = {"values": [50.0, 51.0, 52.0, 53.0, 54.0], "horizon": 3}
        with ThreadPoolExecutor() as pool:
            first = pool.submit(forecast.predict, body)
            assert entered.wait(30)
            second = forecast.predict(body)
            leave.set()
            assert first.result().status_code == 200
        assert second.status_code == 503
        assert "wait already" in second.json()["error"]


class TestErrors:
    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", "/nothing", 404, "not_found"),
            ("GET", "/predict", 405, "method_not_allowed"),
            ("POST", "/health", 405, "method_not_allowed"),
        ],
    )
    def test_routes(self, iris: Running, method: str, path: str, status: int, code: str) -> None:
        answer = iris.client.request(method, path)
        assert answer.status_code == status
        assert answer.json()["code"] == code
        assert answer.json()["error"]
        assert (status != 405) or answer.headers["allow"]

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream"])
    def test_a_wrong_content_type_is_a_415(self, iris: Running, kind: str) -> None:
        answer = iris.client.post("/predict", content=b'{"features": [1, 2, 3, 4]}', headers={"Content-Type": kind})
        assert answer.status_code == 415
        assert kind in answer.json()["error"]

    @pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "application/vnd.x+json"])
    def test_json_by_any_name_is_taken(self, iris: Running, kind: str) -> None:
        body = json.dumps({"features": FLOWER})
        assert iris.client.post("/predict", content=body, headers={"Content-Type": kind}).status_code == 200

    def test_an_unknown_encoding_is_a_415(self, iris: Running) -> None:
        answer = iris.predict({"features": FLOWER}, headers={"Content-Encoding": "br"})
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_encoding")

    @pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b"\xff"])
    def test_what_is_no_json_object_is_a_400(self, iris: Running, body: bytes) -> None:
        answer = iris.client.post("/predict", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400

    def test_too_many_rows_are_a_422(self, iris: Running) -> None:
        answer = iris.predict({"features": [FLOWER] * 101})
        assert (answer.status_code, answer.json()["code"]) == (422, "too_many_rows")

    def test_a_large_body_is_refused_before_it_is_sent(self, iris: Running) -> None:
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100001\r\n\r\n"
        with iris.raw(head) as connection:
            answer = connection.makefile("rb").read()  # the server closes
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b'"code":"body_too_large"' in answer

    def test_a_large_body_without_a_length_is_refused_on_the_way(self, iris: Running) -> None:
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        with iris.raw(head + chunk + chunk) as connection:
            answer = connection.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 413 ")

    def test_a_slow_body_is_a_408(self, trained: Path, start: Start) -> None:
        running = start(str(trained), model="iris", version="v1", receive_seconds=1).ready()
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
        with running.raw(head) as connection:
            answer = connection.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"request_timeout"' in answer

    def test_a_client_that_leaves_in_its_body_harms_no_one(self, iris: Running) -> None:
        iris.raw(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").close()
        assert iris.predict({"features": FLOWER}).status_code == 200

    def test_a_failure_inside_is_a_500_without_its_details(self, trained: Path, start: Start) -> None:
        running = start(str(trained), model="iris", version="v1").ready()
        break_predictor(running, RuntimeError("secret detail"))
        answer = running.predict({"features": FLOWER})
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert "secret" not in answer.text

    def test_a_prediction_that_takes_too_long_is_a_503(self, trained: Path, start: Start) -> None:
        running = start(str(trained), model="iris", version="v1", deadline_seconds=0.05).ready()
        release = threading.Event()
        slow_down(running, release)
        answer = running.predict({"features": FLOWER})
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        release.set()


def slow_down(running: Running, release: threading.Event) -> None:
    """Let predictions wait until they are released, in the thread where slow models run."""
    served = running.server.lifecycle.current
    assert served is not None

    def wait(inputs: Inputs) -> Prediction:
        assert release.wait(30)
        return served.predictor.predict(inputs)

    served.batcher._predict = wait
    served.batcher._cost = Cost(0.01, 0.0)


def break_predictor(running: Running, error: Exception) -> None:
    served = running.server.lifecycle.current
    assert served is not None

    def fail(_: Any) -> Any:
        raise error

    served.batcher._predict = fail


class TestKeys:
    @pytest.fixture
    def guarded(self, trained: Path, start: Start, tmp_path: Path) -> Running:
        file = tmp_path / "keys"
        file.write_text("open-sesame\n")
        return start(str(trained), model="iris", version="v1", api_keys_path=file).ready()

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-API-Key": "open-sesame"},
            {"Authorization": "Bearer open-sesame"},
            {"Authorization": "bearer open-sesame"},
        ],
    )
    def test_a_key_in_either_header_lets_in(self, guarded: Running, headers: dict[str, str]) -> None:
        assert guarded.predict({"features": FLOWER}, headers=headers).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [{}, {"X-API-Key": "wrong"}, {"Authorization": "Basic open-sesame"}, {"Authorization": "open-sesame"}],
    )
    def test_without_a_right_key_it_is_a_401(self, guarded: Running, headers: dict[str, str]) -> None:
        answer = guarded.predict({"features": FLOWER}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"

    def test_only_the_probes_and_metrics_are_open(self, guarded: Running) -> None:
        for path in ("/health", "/healthz", "/livez", "/ready", "/readyz", "/ping", "/metrics"):
            assert guarded.client.get(path).status_code == 200
        for path in ("/version", "/docs", "/openapi.json", "/nothing", "/v1/models", "/v1/models/iris"):
            assert guarded.client.get(path).status_code == 401

    def test_the_openapi_document_says_that_a_key_is_needed(self, guarded: Running, iris: Running) -> None:
        document = guarded.client.get("/openapi.json", headers={"X-API-Key": "open-sesame"}).json()
        assert {"key": []} in document["security"]
        assert document["components"]["securitySchemes"]["key"]["name"] == "X-API-Key"
        assert document["paths"]["/health"]["get"]["security"] == []
        assert "security" not in iris.client.get("/openapi.json").json()

    def test_a_key_beyond_ascii_works_as_its_file_has_it(self, trained: Path, start: Start, tmp_path: Path) -> None:
        (tmp_path / "keys").write_text("clé\n", encoding="utf-8")
        running = start(str(trained), model="iris", version="v1", api_keys_path=tmp_path / "keys")
        for header in ({b"X-API-Key": "clé".encode()}, {b"Authorization": "Bearer clé".encode()}):
            assert running.client.get("/version", headers=header).status_code == 200

    def test_keys_given_as_a_setting_let_in(self, trained: Path, start: Start) -> None:
        running = start(str(trained), model="iris", version="v1", api_keys="a, b")
        assert running.client.get("/version", headers={"X-API-Key": "b"}).status_code == 200
        assert running.client.get("/version").status_code == 401

"""KServe's and MLflow's own clients, in an environment of their own: each line in is a call, each line out its result.

They hold back what the platform uses (kserve: pandas 2 and protobuf 6) or warn as they are imported (mlflow), so they are
not among the dependencies; `sdks.py.lock` locks them, and `make lock` renews it. Run by `tests/contract/conftest.py`:

    uv run --locked --script tests/contract/sdks.py
"""
# /// script
# requires-python = ">=3.11"
# dependencies = ["kserve>=0.15", "mlflow-skinny>=3", "numpy", "pandas", "scipy"]
# ///

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Any

ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what the libraries print must not get between the answers

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig  # type: ignore[import-not-found] # noqa: E402
from mlflow.pyfunc.scoring_server.client import ScoringServerClient  # type: ignore[import-not-found] # noqa: E402


def v1_predict(port: int, model: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    """The answer to a body, by KServe's V1 protocol."""
    return asyncio.run(InferenceRESTClient(RESTConfig(protocol="v1")).infer(url(port), body, model, headers))


def v1_ready(port: int, model: str, headers: dict[str, str] | None = None) -> Any:
    """Whether a model is ready, by KServe's V1 protocol."""
    return asyncio.run(InferenceRESTClient(RESTConfig(protocol="v1")).is_model_ready(url(port), model, headers))


def v2_predict(port: int, model: str, rows: list[list[float]], *, binary: bool) -> Any:
    """The outputs for rows, by the Open Inference Protocol V2 as KServe's client speaks it."""
    values = np.array(rows, np.float32)
    tensor = InferInput("input", list(values.shape), "FP32")
    tensor.set_data_from_numpy(values, binary_data=binary)
    request = InferRequest(model, [tensor])
    answer = asyncio.run(InferenceRESTClient(RESTConfig(protocol="v2")).infer(url(port), request, model))
    return {output.name: output.as_numpy().tolist() for output in answer.outputs}


def v2_ready(port: int, model: str) -> Any:
    """Whether server and model live and are ready, by the Open Inference Protocol V2 as KServe's client speaks it."""

    async def ask() -> list[bool]:
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        server = [await client.is_server_live(url(port)), await client.is_server_ready(url(port))]
        return [*server, await client.is_model_ready(url(port), model)]

    return asyncio.run(ask())


def mlflow_probe(port: int) -> Any:
    """What MLflow's client asks a server before it uses it."""
    client = ScoringServerClient("127.0.0.1", port)
    client.wait_server_ready(timeout=10)
    return client.get_version()


def mlflow_frame(
    port: int, columns: dict[str, list[Any]], dates: list[str], params: dict[str, Any] | None = None
) -> Any:
    """The predictions for a DataFrame, as a DataFrame."""
    frame = pd.DataFrame({name: pd.to_datetime(v) if name in dates else v for name, v in columns.items()})
    return predictions(ScoringServerClient("127.0.0.1", port).invoke(frame, params))


def mlflow_array(port: int, rows: list[list[float]], params: dict[str, Any] | None = None) -> Any:
    """The predictions for an array."""
    return predictions(ScoringServerClient("127.0.0.1", port).invoke(np.array(rows, np.float32), params))


def mlflow_text(port: int, body: str) -> Any:
    """The predictions for a body that the caller wrote."""
    return predictions(ScoringServerClient("127.0.0.1", port).invoke(body))


def predictions(response: Any) -> Any:
    """What a person gets out of MLflow's response: a DataFrame, here as its rows."""
    return response.get_predictions().to_numpy().tolist()


def url(port: int) -> str:
    """Where the server is."""
    return f"http://127.0.0.1:{port}"


CALLS: dict[str, Callable[..., Any]] = {
    call.__name__: call
    for call in (v1_predict, v1_ready, v2_predict, v2_ready, mlflow_probe, mlflow_frame, mlflow_array, mlflow_text)
}


def answer(line: str) -> dict[str, Any]:
    """The result of a call, or the error that the client raised."""
    call = json.loads(line)
    try:
        return {"result": CALLS[call.pop("call")](**call)}
    except Exception as error:  # noqa: BLE001 - told to the test
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    print("ready", file=ANSWERS, flush=True)
    for given in sys.stdin:
        print(json.dumps(answer(given)), file=ANSWERS, flush=True)

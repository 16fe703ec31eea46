"""What the Open Inference Protocol V2 says about the server and its model: health, metadata, the repository's index."""

from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from mlplat import __version__
from mlplat.bundle.answers import label_text
from mlplat.bundle.features import TENSOR
from mlplat.bundle.manifest import Manifest
from mlplat.errors import RequestError
from mlplat.serve.answers import JSONAnswer
from mlplat.serve.lifecycle import Lifecycle
from mlplat.serve.protocols.outputs import PREDICT, PROBABILITIES, label_datatype
from mlplat.serve.protocols.tensors import COLUMN_DATATYPES
from mlplat.serve.service import readiness

SERVER = {"name": "ml-platform", "version": __version__, "extensions": ["binary_tensor_data"]}
"""Not "model_repository", which would promise load and unload besides the index."""

PLATFORMS = {"onnx": "onnxruntime_onnx", "sklearn": "sklearn"}

INDEX_BYTES = 4096
"""That a request for the index may have."""


class _IndexRequest(msgspec.Struct):
    ready: bool = False


def metadata_routes(lifecycle: Lifecycle, *, drain_unready: bool = False) -> list[Route]:
    """The routes below /v2, besides inference."""

    async def server(_: Request) -> Response:
        return JSONAnswer(SERVER)

    async def live(_: Request) -> Response:
        return JSONAnswer({"live": True})

    async def ready(_: Request) -> Response:
        status, _answer = readiness(lifecycle, drain_unready=drain_unready)
        return JSONAnswer({"ready": status == 200}, status)

    async def model(request: Request) -> Response:
        check_named(lifecycle, request)
        return JSONAnswer(model_metadata(lifecycle.require().manifest))

    async def model_ready(request: Request) -> Response:
        check_named(lifecycle, request)
        return JSONAnswer({"name": lifecycle.source.model, "ready": lifecycle.ready}, 200 if lifecycle.ready else 503)

    async def index(request: Request) -> Response:
        return JSONAnswer(repository_index(lifecycle, only_ready=await _only_ready(request)))

    name = "/v2/models/{model}"
    version = name + "/versions/{version}"
    return [
        Route("/v2", server),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
        Route(name, model),
        Route(version, model),
        Route(f"{name}/ready", model_ready),
        Route(f"{version}/ready", model_ready),
        Route("/v2/repository/index", index, methods=["POST"]),
    ]


def model_metadata(manifest: Manifest) -> dict[str, Any]:
    """Inputs and outputs of a model, each as it is best sent; the names of the classes are in `parameters`."""
    columns = manifest.features.columns
    if manifest.features.layout == "tensor" and all(column.kind == "numeric" for column in columns):
        inputs = [_described(TENSOR, "FP32", -1, len(columns))]
    else:
        inputs = [_described(column.name, COLUMN_DATATYPES[column.kind], -1, 1) for column in columns]
    outputs = [_described(PREDICT, "FP32", -1)]
    if manifest.classes is not None:
        labels = {"labels": [label_text(label) for label in manifest.classes]}
        outputs = [
            _described(PREDICT, label_datatype(manifest.classes), -1),
            _described(PROBABILITIES, "FP32", -1, len(manifest.classes)) | {"parameters": labels},
        ]
    return {
        "name": manifest.model,
        "versions": [manifest.version],
        "platform": PLATFORMS[manifest.runtime],
        "inputs": inputs,
        "outputs": outputs,
    }


def repository_index(lifecycle: Lifecycle, *, only_ready: bool) -> list[dict[str, str]]:
    """The one model and its state, as Triton's model repository extension has it."""
    if only_ready and not lifecycle.ready:
        return []
    entry = {"name": lifecycle.source.model}
    if lifecycle.version is not None:
        entry["version"] = lifecycle.version
    if lifecycle.ready:
        return [entry | {"state": "READY", "reason": ""}]
    return [entry | {"state": "LOADING", "reason": lifecycle.reason}]


def _described(name: str, datatype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def check_named(lifecycle: Lifecycle, request: Request) -> None:
    """Refuse a model or a version that is not the one here, ready or not.

    Raises:
        RequestError: 404.
    """
    asked, served = request.path_params, lifecycle.version
    if asked["model"] != lifecycle.source.model:
        raise RequestError(
            f"Found the model {asked['model'][:100]!r}, expected {lifecycle.source.model!r}.",
            status=404,
            code="not_found",
        )
    if served is not None and asked.get("version", served) != served:
        raise RequestError(
            f"Found the version {asked['version'][:100]!r}, expected {served!r}, which is served.",
            status=404,
            code="not_found",
        )


async def _only_ready(request: Request) -> bool:
    """Whether a request for the index wants models that are ready only.

    Raises:
        RequestError: 400 if it cannot be read.
    """
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > INDEX_BYTES:
                raise RequestError(f"The body is larger than {INDEX_BYTES} bytes.", status=413, code="body_too_large")
    except ClientDisconnect as error:  # nobody will read the answer, and it is no failure of the server
        raise RequestError("The client left before its request had arrived.", status=400, code="incomplete") from error
    try:
        return msgspec.json.decode(body, type=_IndexRequest).ready if body else False
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(
            f'Found a body that is none: {error}. Expected nothing or {{"ready": true}}.', status=400, code="not_json"
        ) from error

"""`mlplat predict`."""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from mlplat.cli.app import app
from mlplat.cli.options import command
from mlplat.errors import NotFoundError
from mlplat.settings import WhichVersion


@command(
    app,
    WhichVersion,
    name="predict",
    epilog="""Example: mlplat predict --model iris --version v1 '{"features": [5.1, 3.5, 1.4, 0.2]}'""",
)
def predict(
    body: Annotated[str, typer.Argument(help="What would be sent to /predict: JSON, @FILE, or - for standard input.")],
    settings: WhichVersion,
) -> None:
    """Answer one request without a server: the same features, model and answer as /predict."""
    typer.echo(answer(read(body), settings).decode())


def read(body: str) -> bytes:
    """The bytes that a BODY argument stands for.

    Raises:
        NotFoundError: if it names a file that cannot be read.
    """
    if body == "-":
        return sys.stdin.buffer.read()
    if not body.startswith("@"):
        return body.encode()
    try:
        return Path(body[1:]).read_bytes()
    except OSError as error:
        raise NotFoundError(f"Cannot read {body[1:]}: {error.strerror}.") from error


def answer(body: bytes, settings: WhichVersion) -> bytes:
    """The answer that a server of this version would give.

    Raises:
        RequestError: if the body is not as expected.
        NotFoundError: if there is no such version.
    """
    from mlplat.bundle.features import as_inputs
    from mlplat.bundle.prediction import Prediction
    from mlplat.runtime.predictor import Predictor
    from mlplat.serve.protocols import Limits, Message, Plain
    from mlplat.serve.protocols.base import refuse_undefined
    from mlplat.store import Cache, open_store

    store = open_store(settings.store, create=False)
    version = store.resolve(settings.model, version=settings.version, alias=settings.alias)
    manifest = store.manifest(settings.model, version)
    protocol = Plain(manifest, Limits())
    question = protocol.decode(Message(body))
    files = Cache(settings.cache, max_bytes=settings.cache_bytes).fetch(store, manifest, [manifest.model_file])
    predictor = Predictor.load(
        manifest, files[manifest.model_file], threads=settings.threads, allow_pickle=settings.allow_pickle
    )
    if question.horizon is None:
        prediction = predictor.predict(as_inputs(question.inputs))
    else:
        (series,) = as_inputs(question.inputs).values()
        values = predictor.forecast(series[0], question.horizon)
        prediction = Prediction.of(np.asarray(values, dtype=np.float32))
    refuse_undefined(question, prediction, 0)
    return protocol.encode(question, prediction, 0).body

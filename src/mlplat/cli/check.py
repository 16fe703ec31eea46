"""`mlplat check`: does a server answer, with the model and version that it should?"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mlplat.cli.app import app
from mlplat.cli.options import command
from mlplat.errors import MlplatError, UsageError
from mlplat.settings import CheckSettings


class CheckError(MlplatError):
    """A server does not answer as it should."""

    code = "check_failed"


@command(app, CheckSettings, name="check", epilog="Example: mlplat check http://localhost:8000 --version v1")
def check(
    url: Annotated[str, typer.Argument(help="Where the server is, e.g. http://localhost:8000.")],
    settings: CheckSettings,
) -> None:
    """Send a server one prediction, and check which model and version answered.

    The request is the example of the server's own /openapi.json, so it fits whatever model is served.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url!r} is no URL of a server.", hint="Give it as http://HOST:PORT.")
    url = url.rstrip("/")
    key = None if settings.api_keys_path is None else first_key(settings.api_keys_path)
    ready = fetch(f"{url}/ready", settings.timeout_seconds)
    body = example(fetch(f"{url}/openapi.json", settings.timeout_seconds, key=key))
    answer = fetch(f"{url}/predict", settings.timeout_seconds, key=key, body=body)
    expected = {
        "model_name": settings.model or ready["model_name"],
        "model_version": settings.version or ready["model_version"],
    }
    for field, want in expected.items():
        if answer.get(field) != want:
            raise CheckError(f"{url} answered with the {field.replace('_', ' ')} {answer.get(field)}, expected {want}.")
    typer.echo(f"{url} is ready and answers with {answer['model_name']} {answer['model_version']}")
    typer.echo(f"{json.dumps(body)} -> {json.dumps(answer)}")


def example(document: dict[str, Any]) -> Any:
    """The first example of a body of /predict."""
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    if "examples" in body:
        return next(iter(body["examples"].values()))["value"]
    return body["example"]


def first_key(path: Path) -> str:
    """The first API key at a path, as `mlplat serve --api-keys-path` takes it.

    Raises:
        UsageError: if there is none, or it cannot be read.
    """
    from mlplat.serve.keys import read_keys

    keys = read_keys(path)
    if not keys:
        raise UsageError(f"{path} holds no API key.", hint="Write one key a line.")
    return keys[0]


def fetch(url: str, timeout: float, *, key: str | None = None, body: Any = None) -> dict[str, Any]:
    """The JSON at a URL; with a body it is a POST.

    Raises:
        CheckError: if there is no answer, or another one than 200 with a JSON object.
    """
    import urllib.error
    import urllib.request

    headers = {"Content-Type": "application/json"} | ({} if key is None else {"X-API-Key": key})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - the scheme is checked
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:  # noqa: S310
            answer = json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(2000).decode(errors="replace")
        raise CheckError(f"{url} answered {error.code}: {text}") from error
    except (OSError, ValueError) as error:
        raise CheckError(f"{url} gave no answer that can be read: {error}.") from error
    if not isinstance(answer, dict):
        raise CheckError(f"{url} answered something else than a JSON object: {answer!r:.200}.")
    return answer

"""Files over HTTP: whole, in part, or not again; and never another's."""

import contextlib
import hashlib
import http.client
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from httpx import Client
from starlette.requests import ClientDisconnect
from tests.registries import STORES

from mlplat.registry.access import Caller
from mlplat.registry.audit import Author
from mlplat.registry.routes.files import file_routes
from mlplat.registry.service import Service
from mlplat.store import ObjectStore

from .uploading import ADMIN, upload

Drafts = Callable[..., Any]
pytestmark = STORES
DATA = bytes(range(256)) * 16
FILE = "/models/iris/versions/v1/files/model.onnx"


@pytest.fixture
def published(client: Client, draft: Drafts) -> Any:
    version = draft("v1", contents={"model.onnx": DATA, "empty.txt": b""})
    assert upload(client, version).status_code == 201
    return version.manifest


def test_a_file_is_sent_whole(client: Client, published: Any) -> None:
    answer = client.get(FILE)
    assert (answer.status_code, answer.content) == (200, DATA)
    sha256 = hashlib.sha256(DATA).hexdigest()
    assert answer.headers["etag"] == f'"{sha256}"'
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == 'attachment; filename="model.onnx"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = client.head(FILE)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "4096")
    assert client.get(FILE.replace("model.onnx", "empty.txt")).content == b""


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=4000-", 4000, 4096),
        ("bytes=4000-9999999", 4000, 4096),
        ("bytes=-96", 4000, 4096),
        ("bytes=-9999999", 0, 4096),
        ("Bytes= 5 - 6", 5, 7),
    ],
)
def test_a_part_of_a_file_is_sent(client: Client, published: Any, header: str, start: int, end: int) -> None:
    answer = client.get(FILE, headers={"Range": header})
    assert (answer.status_code, answer.content) == (206, DATA[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/4096"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("header", ["bytes=4096-", "bytes=9999999999999999999-", "bytes=-0"])
def test_a_part_outside_of_the_file_is_a_416(client: Client, published: Any, header: str) -> None:
    answer = client.get(FILE, headers={"Range": header})
    assert (answer.status_code, answer.headers["content-range"], answer.json()["code"]) == (
        416,
        "bytes */4096",
        "range",
    )


@pytest.mark.parametrize(
    "header",
    ["bytes=5-4", "bytes=", "bytes=-", "rows=1-2", "bytes=1-2,4-5", "bytes=a-b", "-1-2", "bytes=1-" + "9" * 50],
)
def test_a_range_that_is_not_understood_is_no_range(client: Client, published: Any, header: str) -> None:
    answer = client.get(FILE, headers={"Range": header})
    assert (answer.status_code, answer.content) == (200, DATA)


def test_what_the_client_has_is_not_sent_again(client: Client, published: Any) -> None:
    etag = client.get(FILE).headers["etag"]
    for header in (etag, "*", f'"other", W/{etag}'):
        answer = client.get(FILE, headers={"If-None-Match": header})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    for header in ('"other"', etag.strip('"'), "", "x"):
        assert client.get(FILE, headers={"If-None-Match": header}).status_code == 200


def test_a_part_is_only_sent_of_the_very_file(client: Client, published: Any) -> None:
    etag = client.get(FILE).headers["etag"]
    for header, status in ((etag, 206), (f"W/{etag}", 200), ('"other"', 200), ("Wed, 21 Oct 2015 07:28:00 GMT", 200)):
        assert client.get(FILE, headers={"Range": "bytes=0-0", "If-Range": header}).status_code == status


def test_the_manifest_is_sent_byte_for_byte(client: Client, published: Any, store: ObjectStore) -> None:
    answer = client.get("/models/iris/versions/v1/manifest")
    data = store.objects.get("iris/versions/v1.json")
    assert (answer.content, answer.headers["content-type"]) == (data, "application/json")
    assert answer.headers["etag"] == f'"{hashlib.sha256(data).hexdigest()}"'
    again = client.get("/models/iris/versions/v1/manifest", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_damage_in_the_store_is_said(client: Client, published: Any, store: ObjectStore) -> None:
    key = f"iris/files/{published.files['model.onnx'].sha256}"
    store.objects.delete(key)
    assert client.get(FILE).json()["code"] == "corrupt"
    assert client.head(FILE).status_code == 500
    store.objects.put_if_absent(key, DATA[:-1])
    assert client.get(FILE).json()["code"] == "corrupt"
    manifest = store.objects.get("iris/versions/v1.json")
    store.objects.delete("iris/versions/v1.json")
    store.objects.put_if_absent("iris/versions/v1.json", manifest.replace(b"0.9375", b"0.9376"))
    assert client.get("/models/iris/versions/v1/manifest").json()["code"] == "corrupt"


@pytest.mark.parametrize(
    "path",
    [
        "/models/iris/versions/v1/files/../manifest",
        "/models/iris/versions/v1/files/..%2Fmanifest",
        "/models/iris/versions/v1/files/%2e%2e",
        "/models/iris/versions/v1/files/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/models/iris/versions/v1/files/..%5c..%5cx",
        "/models/iris/versions/v1/files/%00",
        "/models/iris/versions/v1/files/.hidden",
        "/models/iris/versions/v1/files/nonsense",
        "/models/iris/versions/..%2f..%2fv1/files/model.onnx",
        "/models/%2e%2e/versions/v1/files/model.onnx",
        "/models/iris/versions/v1/files/model.onnx/",
        "//models/iris/versions/v1/files/model.onnx",
    ],
)
def test_no_path_leads_anywhere_else(client: Client, published: Any, path: str) -> None:
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port)  # sends the path as it is
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"X-API-Key": ADMIN})
        assert connection.getresponse().status in {404, 422}


def test_a_client_that_leaves_before_the_first_byte_leaves_no_stream_open(
    client: Client, published: Any, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    real = service.store.objects.open_reader

    def note(key: str) -> Any:
        opened.append(real(key))
        return opened[-1]

    monkeypatch.setattr(service.store.objects, "open_reader", note)
    author = Author(Caller("ann", "reader"))
    app = FastAPI(routes=file_routes(service).routes)

    async def hang_up(_: Any) -> None:
        raise OSError("gone")

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "asgi": {"spec_version": "2.4"}, "method": "GET", "path": FILE, "raw_path": FILE.encode()}
    scope |= {"query_string": b"", "headers": [], "state": {"author": author}, "root_path": "", "http_version": "1.1"}
    with contextlib.suppress(OSError, ClientDisconnect):
        anyio.run(app, scope, receive, hang_up)
    assert [reader.closed for reader in opened] == [True]

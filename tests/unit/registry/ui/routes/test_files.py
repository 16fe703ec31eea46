"""Downloads with a session: the same bytes, as files."""

from collections.abc import Callable
from typing import Any

from httpx import Client
from tests.unit.registry.ui.conftest import Person

from mlplat.store import ObjectStore

Make = Callable[..., Person]
VERSION = "/ui/models/iris/versions/v1"


def test_a_file_and_the_manifest_are_downloaded(person: Make, publish: Any, store: ObjectStore) -> None:
    manifest = publish("v1")
    someone = person("reader")
    file = someone.client.get(f"{VERSION}/files/model.onnx")
    assert file.content == store.read_file(manifest, "model.onnx")
    assert file.headers["content-disposition"] == 'attachment; filename="model.onnx"'
    assert (file.headers["content-type"], file.headers["cache-control"]) == ("application/octet-stream", "no-store")
    part = someone.client.get(f"{VERSION}/files/model.onnx", headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, file.content[1:4])
    sealed = someone.client.get(f"{VERSION}/manifest")
    assert sealed.content == store.objects.get("iris/versions/v1.json")
    assert sealed.headers["content-disposition"] == 'attachment; filename="iris-v1.json"'


def test_they_need_a_session(client: Client, stranger: Make, publish: Any) -> None:
    publish("v1")
    for path in ("files/model.onnx", "manifest"):
        assert stranger().client.get(f"{VERSION}/{path}").status_code == 303
        assert client.get(f"{VERSION}/{path}").status_code == 303  # a key is for the API


def test_a_file_that_is_none_is_said_by_a_page(person: Make, publish: Any) -> None:
    publish("v1")
    assert "has no file" in person().open(f"{VERSION}/files/nothing", 404)

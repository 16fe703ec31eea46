"""Versions over HTTP: published once, never changed, deleted for good."""

import shutil
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from httpx import Client
from tests.registries import STORES, await_true

from mlplat.bundle.manifest import RecipeInfo
from mlplat.registry.routes import versions
from mlplat.registry.service import Service
from mlplat.store import ObjectStore
from mlplat.store.seal import seal

from .uploading import ADMIN, parts, upload

Drafts = Callable[..., Any]
pytestmark = STORES


def test_an_uploaded_version_is_in_the_store_and_in_the_catalogue(
    client: Client, draft: Drafts, store: ObjectStore, service: Service
) -> None:
    version = draft("v1")
    answer = upload(client, version)
    assert (answer.status_code, answer.headers["location"]) == (201, "/models/iris/versions/v1")
    assert store.verify("iris", "v1") == version.manifest
    found = client.get("/models/iris/versions/v1").json()
    assert found == answer.json()
    assert (found["by"], found["metrics"], found["card"]) == ("admin", version.manifest.metrics, "# A card\n")
    assert found["files"]["model.onnx"] == version.manifest.files["model.onnx"].model_dump()
    listed = client.get("/models/iris/versions").json()["items"][0]
    assert listed.items() <= found.items()
    assert "files" not in listed
    assert list(service.uploads.iterdir()) == []


def test_the_same_version_again_is_no_error_and_another_one_is(client: Client, draft: Drafts) -> None:
    version = draft("v1")
    assert upload(client, version).status_code == 201
    assert upload(client, version).status_code == 200
    refused = upload(client, draft("v1", contents={"model.onnx": b"another"}))
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert len(client.get("/audit?action=version.create").json()["items"]) == 1


def test_a_sealed_manifest_is_taken_and_a_damaged_one_is_not(client: Client, draft: Drafts, store: ObjectStore) -> None:
    version = draft("v1")
    sealed = seal(version.manifest)
    form = parts(version)
    damaged = sealed.replace(b'"numpy": "2.0"', b'"numpy": "2.1"')
    form[0] = ("manifest", ("manifest", damaged, "application/json"))
    assert "checksum" in client.post("/models/iris/versions", files=form).json()["error"]
    form[0] = ("manifest", ("manifest", sealed, "application/json"))
    assert client.post("/models/iris/versions", files=form).status_code == 201
    assert client.get("/models/iris/versions/v1/manifest").content == sealed


def test_a_version_that_is_in_the_store_is_taken_by_name(client: Client, draft: Drafts, store: ObjectStore) -> None:
    version = draft("v1")
    store.publish(version.manifest, version.files)
    assert client.post("/models/iris/versions", json={"version": "v1"}).status_code == 201
    assert client.post("/models/iris/versions", json={"version": "v1"}).status_code == 200
    missing = client.post("/models/iris/versions", json={"version": "v2"})
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert "It has v1" in missing.json()["error"]


def test_a_damaged_version_is_not_taken(client: Client, draft: Drafts, store: ObjectStore) -> None:
    version = draft("v1")
    store.publish(version.manifest, version.files)
    key = f"iris/files/{version.manifest.files['card.md'].sha256}"
    store.objects.delete(key)
    store.objects.put_if_absent(key, b"# B card\n")
    answer = client.post("/models/iris/versions", json={"version": "v1"})
    assert (answer.status_code, answer.json()["code"]) == (500, "corrupt")


def test_a_version_that_another_published_is_found(client: Client, draft: Drafts, store: ObjectStore) -> None:
    version = draft("v1")
    store.publish(version.manifest, version.files)
    assert client.get("/models/iris/versions/v1").json()["by"] is None
    assert client.get("/models/iris/versions/v2").status_code == 404


def test_idempotency_keys_are_kept_for_uploads(client: Client, draft: Drafts) -> None:
    version = draft("v1")
    headers = {"Idempotency-Key": "k1"}
    first, second = upload(client, version, headers=headers), upload(client, version, headers=headers)
    assert (first.status_code, second.status_code, first.json()) == (201, 201, second.json())
    assert second.headers["idempotency-replayed"] == "true"
    assert upload(client, draft("v2"), headers=headers).json()["code"] == "idempotency_mismatch"


def test_only_tags_of_a_version_change(client: Client, draft: Drafts) -> None:
    upload(client, draft("v1"))
    changed = client.patch("/models/iris/versions/v1", json={"tags": {"stage": "live"}})
    assert changed.json()["tags"] == {"stage": "live"}
    assert client.patch("/models/iris/versions/v1", json={}).json()["tags"] == {"stage": "live"}
    assert client.get("/models/iris/versions?tag=stage:live").json()["items"][0]["version"] == "v1"
    assert client.patch("/models/iris/versions/v1", json={"metrics": {}}).status_code == 422
    assert client.patch("/models/iris/versions/v9", json={"tags": {}}).status_code == 404
    assert client.patch("/models/iris/versions/v1", json={"tags": None}).json()["tags"] == {}


def test_a_deleted_version_stays_deleted(client: Client, draft: Drafts, store: ObjectStore) -> None:
    version = draft("v1")
    upload(client, version)
    upload(client, draft("v2"))
    assert client.request("DELETE", "/models/iris/versions/v1", json={"reason": "old"}).status_code == 204
    gone = client.get("/models/iris/versions/v1")
    assert gone.status_code == 404
    assert "was deleted" in gone.json()["error"]
    assert upload(client, version).json()["code"] == "deleted"
    assert client.get("/models/iris").json()["versions"] == 1
    assert client.delete("/models/iris/versions/v1").status_code == 404
    store.move("iris", "champion", "v2", reason="", by="")
    refused = client.delete("/models/iris/versions/v2")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def test_versions_are_listed_as_asked(client: Client, draft: Drafts) -> None:
    for version in ("v1", "v2", "v10"):
        upload(client, draft(version))
    first = client.get("/models/iris/versions?sort=version&limit=2&metric=accuracy%3E=0.9").json()
    assert [each["version"] for each in first["items"]] == ["v1", "v2"]
    rest = client.get("/models/iris/versions", params={"sort": "version", "cursor": first["next"]}).json()
    assert ([each["version"] for each in rest["items"]], rest["next"]) == (["v10"], None)
    assert client.get("/models/rose/versions").status_code == 404
    assert client.get("/models/iris/versions?metric=accuracy").status_code == 422


def test_who_publishes_at_once_publishes_once(client: Client, draft: Drafts, store: ObjectStore) -> None:
    same = draft("v1")
    others = [draft("v2", contents={"model.onnx": bytes([number])}) for number in range(6)]
    with ThreadPoolExecutor(6) as threads:
        alike = sorted(threads.map(lambda _: upload(client, same).status_code, range(6)))
        different = sorted(threads.map(lambda each: upload(client, each).status_code, others))
    assert set(alike) <= {200, 201}
    assert different == [201, 409, 409, 409, 409, 409]
    assert client.get("/models/iris").json()["versions"] == 2
    assert store.verify("iris", "v2") in [each.manifest for each in others]


def test_a_reader_changes_nothing(client: Client, draft: Drafts, key: Any) -> None:
    upload(client, draft("v1"))
    reader, writer = key("reader"), key("writer")
    assert client.get("/models/iris/versions/v1", headers=reader).status_code == 200
    assert upload(client, draft("v2"), headers=reader).status_code == 403
    assert upload(client, draft("v2"), headers=writer).status_code == 201
    assert client.delete("/models/iris/versions/v2", headers=writer).status_code == 403


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/octet-stream", "application/x-www-form-urlencoded"]
)
def test_another_media_type_is_refused(client: Client, content_type: str) -> None:
    answer = client.post("/models/iris/versions", content=b"{}", headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"version":"../x"}', b'{"version":1}', b'{"version":"v1","x":1}', b"\xff", b"[" * 100_000],
)
def test_what_names_no_version_is_refused(client: Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.post("/models/iris/versions", content=body, headers=headers)
    assert answer.status_code == 422, answer.text


def test_what_is_too_long_for_a_list_is_in_the_detail(client: Client, publish: Any) -> None:
    params = {"x": "y" * 9000}
    publish("v1", recipe=RecipeInfo(name="r" * 1000, params=params))
    publish("v2", metrics={f"m{number}": 0.5 for number in range(2000)})
    for version in ("v1", "v2"):
        assert client.post("/models/iris/versions", json={"version": version}).status_code == 201
    first, second = client.get("/models/iris/versions?sort=version").json()["items"]
    assert (first["params"], first["cut"], len(first["recipe"])) == ({}, ["params"], 255)
    assert (second["metrics"], second["cut"]) == ({}, ["metrics"])
    detail = client.get("/models/iris/versions/v1").json()
    assert (detail["params"], detail["cut"]) == (params, [])
    assert len(client.get("/models/iris/versions/v2").json()["metrics"]) == 2000
    assert client.get("/models/iris/versions?metric=m1>0").json()["items"] == [second]


def test_one_large_manifest_is_received_at_a_time(
    client: Client, draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "TURN_SECONDS", 2.0)
    large = draft("v1")
    manifest = large.manifest.model_copy(update={"recipe": RecipeInfo(name="iris", params={"x": "y" * (3 << 20)})})
    body: list[Any] = [("manifest", ("manifest", manifest.to_json())), *parts(large)[1:]]
    made = client.build_request("POST", "/models/iris/versions", files=body)
    head = f"POST {made.url.path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in made.headers.items() if name.startswith("content-"))
    with ExitStack() as stack:
        slow = stack.enter_context(socket.create_connection((client.base_url.host, client.base_url.port or 0)))
        slow.sendall(head.encode() + b"\r\n" + made.read()[: 5 << 19])
        await_true(lambda: client.post("/models/iris/versions", files=body).status_code == 503)
        assert upload(client, draft("v2")).status_code == 201, "small ones go on"
    await_true(lambda: client.post("/models/iris/versions", files=body).status_code in {200, 201})


def test_an_upload_that_there_is_no_room_for_is_told_to_come_back(
    client: Client, draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    refused = upload(client, draft("v1"))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
    monkeypatch.undo()
    assert upload(client, draft("v1")).status_code == 201

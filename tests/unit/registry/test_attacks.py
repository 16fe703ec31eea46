"""What is sent to break in, in every place that takes something: refused, or only a text; never a 5xx, and nothing is lost."""

import base64
import http.client
import json
import pickle
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import joblib
import pytest
from httpx import Client

from mlplat.registry import indexing
from mlplat.registry.service import Service

from .conftest import ADMIN
from .routes.uploading import parts, upload
from .test_roles import BODIES, FILLED, ROUTES

PLACES = sorted({(method, path, place) for method, path in ROUTES for place in re.findall(r"{(\w+)}", path)})
ELSEWHERE = [
    "..",
    "%2e%2e",
    "..%2f..%2f..%2fetc%2fpasswd",
    "..%5c..%5cx",
    "%2fetc%2fpasswd",
    "%00",
    "v1%00.json",
    ".hidden",
    "%252e%252e%252f",
    "%c0%ae%c0%ae%c0%af",
    "%ff%fe",
    "iris;x=1",
    "iris%0d%0aX-Evil:%201",
    "x" * 5000,
]
SQL = [
    "'; DROP TABLE models; --",
    "' OR '1'='1",
    '" OR ""="',
    "1) UNION SELECT sha256 FROM keys --",
    "%' ESCAPE '",
    "\\",
    "$1",
    "%(name)s",
    ":name",
    "a\0b",
    "pg_sleep(5)",
    "\ud7ff\U0010ffff",
]
QUERIES = {
    "/models": ("tag", "owner", "sort", "cursor", "limit"),
    "/search": ("q", "cursor", "limit"),
    "/models/iris/versions": ("tag", "metric", "task", "recipe", "sort", "cursor", "limit"),
    "/models/iris/aliases/champion/history": ("cursor", "limit"),
    "/audit": ("model", "who", "action", "since", "until", "cursor", "limit"),
}


@pytest.fixture(autouse=True)
def _published(client: Client, draft: Callable[..., Any]) -> Iterator[None]:
    assert upload(client, draft("v1")).status_code == 201
    assert client.put("/models/iris/aliases/champion", json={"version": "v1"}).status_code == 201
    yield
    assert client.get("/models/iris/versions/v1").json()["aliases"] == ["champion"]
    assert len(client.get("/models").json()["items"]) == 1


def raw(client: Client, data: bytes) -> tuple[int, bytes]:
    """The status of what is sent as it is, and all that came."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=30) as connection:
        connection.sendall(data)
        received = b""
        while more := connection.recv(65536):
            received += more
    return int(received[9:12]), received


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("method", "path", "place"), PLACES)
def test_no_part_of_a_path_leads_elsewhere(client: Client, method: str, path: str, place: str) -> None:
    for text in ELSEWHERE:
        filled = re.sub(r"{(\w+)}", lambda part, text=text: text if part[1] == place else FILLED[part[1]], path)  # type: ignore[misc]
        with closing(http.client.HTTPConnection(client.base_url.host, client.base_url.port)) as connection:
            headers = {"X-API-Key": ADMIN, "Content-Type": "application/json"}
            body = json.dumps(BODIES[method, path]) if (method, path) in BODIES else None
            connection.request(method, filled, body, headers)  # sends the path as it is
            answer = connection.getresponse()
            assert answer.status in {404, 405, 422}, text
            assert "X-Evil" not in answer.headers


@pytest.mark.parametrize("path", QUERIES)
def test_sql_in_a_query_is_only_a_text(client: Client, path: str) -> None:
    for field in QUERIES[path]:
        for text in SQL:
            answer = client.get(f"{path}?{'' if field == 'q' else 'q=x&'}{field}={quote(text)}")
            assert answer.status_code in {200, 422}, (field, text)
            if answer.status_code == 200:
                assert answer.json()["items"] == [] or field in {"sort", "limit"}, (field, text)


def test_sql_in_a_condition_on_metrics_is_only_a_name(client: Client) -> None:
    for text in SQL:
        for condition in (f"{text}>=0.5", f"accuracy>={text}", f"accuracy{text}0.5"):
            answer = client.get("/models/iris/versions", params={"metric": condition})
            assert answer.status_code == 422 or answer.json()["items"] == [], condition
        for sort in (f"metric:{text}", f"-metric:{text}"):
            answer = client.get("/models/iris/versions", params={"sort": sort})
            assert answer.status_code == 422 or answer.json()["items"] == [], sort


def test_sql_in_a_body_is_only_a_text(client: Client) -> None:
    for text in SQL:
        line = text.replace("\0", "")
        patched = client.patch("/models/iris", json={"description": line, "owner": line, "tags": {"a": line}})
        assert (patched.status_code, patched.json()["description"]) == (200, line)
        for body in ({"name": text}, {"name": "rose", "tags": {text: "x"}}):
            assert client.post("/models", json=body).status_code == 422
        assert client.put("/models/iris/aliases/champion", json={"version": text}).status_code == 422
        assert client.post("/keys", json={"name": "x", "pattern": text}).status_code == 422
        moved = client.put("/models/iris/aliases/champion", json={"version": "v1", "reason": line})
        assert moved.status_code == 200
        for name in ("X-API-Key", "Authorization", "If-None-Match", "Idempotency-Key", "X-Request-Id", "Range"):
            sent = [(name.encode(), line.encode())]
            assert client.get("/models/iris", headers=sent).status_code in {200, 401}


@pytest.mark.parametrize("value", [None, True, 1, -1, 10**30, 1.5, "x" * 3000, [], {}, "\0", [[1]]])
@pytest.mark.parametrize("last", [0, -1, 2**63, 10**40, "1", None, 1.5])
def test_a_forged_cursor_is_refused_or_lists_no_more_than_there_is(client: Client, value: Any, last: Any) -> None:
    for path, sort in (("/models", "name"), ("/models/iris/versions", "-created_at"), ("/audit", "-id")):
        forged = base64.urlsafe_b64encode(json.dumps([sort, value, last]).encode()).decode()
        answer = client.get(path, params={"cursor": forged})
        assert answer.status_code in {200, 422}
        assert len(answer.json().get("items", [])) <= 3


@pytest.mark.parametrize("number", ["1" * 4000, "1e999", "-1e999", "1" + "0" * 400, "0x10", "\u0661", "9" * 19])
def test_a_huge_number_is_refused_or_only_a_number(client: Client, number: str) -> None:
    headers = {"Content-Type": "application/json"}
    assert client.get("/models", params={"limit": number}).status_code == 422
    answer = client.get("/models/iris/versions", params={"metric": f"accuracy>={number}"})
    assert answer.status_code in {200, 422}
    for field in ("name", "description", "owner", "tags"):
        assert client.post("/models", content=f'{{"{field}": {number}}}'.encode(), headers=headers).status_code == 422
    range_ = client.get("/models/iris/versions/v1/files/model.onnx", headers=[(b"Range", f"bytes={number}-".encode())])
    assert range_.status_code in {200, 206, 416}
    if_match = client.put(
        "/models/iris/aliases/champion", json={"version": "v1"}, headers=[(b"If-Match", f'"{number}"'.encode())]
    )
    assert if_match.status_code in {200, 412}


@pytest.mark.parametrize("depth", [100, 10_000, 300_000])
@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"a":', "}")])
def test_deep_json_is_refused(client: Client, depth: int, start: str, end: str) -> None:
    headers = {"Content-Type": "application/json"}
    nested = start * depth + "1" + end * depth
    for body in (nested, f'{{"name":"rose","tags":{nested}}}', f'{{"name":"rose","x":{nested}}}'):
        assert client.post("/models", content=body.encode(), headers=headers).status_code in {413, 422}
    assert client.post("/models/iris/versions", content=nested.encode(), headers=headers).status_code in {413, 422}


@pytest.mark.parametrize(
    "odd", ["1e999", "-1e999", "1" + "0" * 400, "NaN", "[" * 5000 + "]" * 5000, '"\\ud800"', '"\\u0000"']
)
def test_an_odd_value_in_a_manifest_is_no_failure(client: Client, draft: Callable[..., Any], odd: str) -> None:
    for number, said in enumerate(('"params": {}', '"accuracy": 0.9375', '"rows": 2')):
        version = draft(f"v{number}", model="rose")
        manifest = version.manifest.to_json().decode()
        assert said in manifest
        changed = f'"params": {{"x": {odd}}}' if number == 0 else f"{said.partition(':')[0]}: {odd}"
        form = parts(version)
        form[0] = ("manifest", ("manifest", manifest.replace(said, changed, 1).encode(), "application/json"))
        answer = client.post("/models/rose/versions", files=form)
        assert answer.status_code in {201, 422}, answer.text
        if answer.status_code == 201:
            assert client.get(f"/models/rose/versions/v{number}").status_code == 200
            assert client.get("/models/rose/versions?metric=accuracy%3E0").status_code == 200
            assert client.delete("/models/rose").status_code == 204


@pytest.mark.parametrize("filename", ["../../evil", "/etc/evil", "..\\evil", "\x00", 'a"; name="manifest', "x" * 3000])
def test_a_filename_of_a_part_means_nothing(
    client: Client, draft: Callable[..., Any], service: Service, filename: str
) -> None:
    version = draft("v2")
    body = b""
    for name, (_, data, _kind) in parts(version):
        disposition = f'form-data; name="{name}"; filename="{filename}"'
        body += b"--b\r\nContent-Disposition: " + disposition.encode() + b"\r\n\r\n" + data + b"\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = client.post("/models/iris/versions", content=body + b"--b--\r\n", headers=headers)
    assert answer.status_code in {201, 422}
    assert list(service.uploads.iterdir()) == []
    assert not list(service.uploads.parent.rglob("*evil*"))


def test_headers_that_say_things_twice_or_for_others_change_nothing(client: Client) -> None:
    get = b"GET /models/iris HTTP/1.1\r\nConnection: close\r\nX-API-Key: " + ADMIN.encode() + b"\r\n"
    post = (
        b"POST /models HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json\r\nX-API-Key: " + ADMIN.encode()
    )
    assert raw(client, get + b"Host: a\r\nHost: b\r\n\r\n")[0] in {200, 400}
    assert raw(client, get + b"\r\n")[0] in {200, 400}
    for lines in (b"Content-Length: 2\r\nContent-Length: 2", b"Content-Length: 1\r\nContent-Length: 2"):
        assert raw(client, post + b"\r\nHost: x\r\n" + lines + b"\r\n\r\n{}")[0] in {400, 422}
    for lines in (
        b"Content-Length: -1",
        b"Content-Length: +2",
        b"Content-Length: 99999999999999999999",
        b"Content-Length: 0x2",
    ):
        assert raw(client, post + b"\r\nHost: x\r\n" + lines + b"\r\n\r\n{}")[0] in {400, 413}
    assert raw(client, get + b"Host: x\r\nX-API-Key: wrong\r\n\r\n")[0] == 200  # of two keys the first
    assert (
        raw(client, get.replace(ADMIN.encode(), b"wrong") + b"Host: x\r\nX-API-Key: " + ADMIN.encode() + b"\r\n\r\n")[0]
        == 401
    )
    forwarded = b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n"
    body = b'{"name":"rose"}'
    status, answer = raw(
        client,
        post
        + b"\r\nHost: evil.example\r\n"
        + forwarded
        + b"Content-Length: 15\r\nX-HTTP-Method-Override: DELETE\r\n\r\n"
        + body,
    )
    assert status == 201
    assert b"evil" not in answer
    assert b"location: /models/rose\r\n" in answer.lower()
    assert client.delete("/models/rose").status_code == 204


class Bomb:
    """What runs when it is unpickled: it makes a file."""

    def __init__(self, fuse: Path) -> None:
        self.fuse = fuse

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.fuse,)


def test_what_is_uploaded_is_never_unpickled(
    client: Client, service: Service, draft: Callable[..., Any], tmp_path: Path
) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "burst"))
    contents = {"model.joblib": bomb, "model.onnx": bomb}
    received, found = (draft(version, contents=contents) for version in ("v2", "v3"))
    assert upload(client, received).status_code == 201
    service.store.publish(found.manifest, found.files)
    assert client.post("/models/iris/versions", json={"version": "v3"}).status_code == 201
    for path in ("v2", "v2/manifest", "v3/files/model.joblib"):
        assert client.get(f"/models/iris/versions/{path}").status_code == 200
    assert client.put("/models/iris/aliases/bomb", json={"version": "v3"}).status_code == 201
    assert indexing.index_store(service.database, service.store, again=True).unreadable == 0
    assert not (tmp_path / "burst").exists()
    joblib.load(found.files["model.joblib"])
    assert (tmp_path / "burst").exists()

"""Uploads: whole and just as the manifest says, or refused, naming the part; and nothing stays behind."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.errors import ConflictError, MlplatError, OverloadedError, RequestError, StoreError
from mlplat.registry import uploads
from mlplat.registry.uploads import Upload

from .conftest import no_admit

Drafts = Callable[..., Any]
KIND = 'multipart/form-data; boundary="b"'


def part(name: str, data: bytes, *headers: str) -> bytes:
    lines = [f'Content-Disposition: form-data; name="{name}"', *headers]
    return b"--b\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + data + b"\r\n"


def body(draft: Any, **contents: bytes | None) -> bytes:
    """The upload of a draft; `contents` changes or leaves out parts."""
    found = {"manifest": draft.manifest.to_json(), **{name: path.read_bytes() for name, path in draft.files.items()}}
    changed = {name: contents.get(name.replace(".", "_"), data) for name, data in found.items()}
    return b"".join(part(name, data) for name, data in changed.items() if data is not None) + b"--b--\r\n"


def send(folder: Path, data: bytes, *, kind: str = KIND, block: int = 1 << 20, admit: Any = no_admit) -> Upload:
    upload = Upload(kind, folder, admit)
    try:
        for start in range(0, len(data), block):
            upload.write(data[start : start + block])
        upload.result()
    except BaseException:
        upload.close()
        raise
    return upload


def refusal(folder: Path, data: bytes, **rest: Any) -> str:
    with pytest.raises(RequestError) as caught:
        send(folder, data, **rest)
    assert list(folder.iterdir()) == []
    assert caught.value.status in {413, 422}
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "uploads").mkdir()
    return tmp_path / "uploads"


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_what_is_sent_is_received_however_it_is_cut(folder: Path, draft: Drafts, block: int) -> None:
    version = draft("v1")
    upload = send(folder, body(version), block=block)
    assert upload.result() == version.manifest
    assert {name: path.read_bytes() for name, path in upload.files.items()} == {
        name: path.read_bytes() for name, path in version.files.items()
    }
    upload.close()
    assert list(folder.iterdir()) == []


def test_a_file_may_be_named_manifest(folder: Path, draft: Drafts) -> None:
    version = draft("v1", contents={"model.onnx": b"x", "manifest": b"not it"})
    data = part("manifest", version.manifest.to_json()) + part("model.onnx", b"x") + part("manifest", b"not it")
    assert send(folder, data + b"--b--\r\n").files["manifest"].read_bytes() == b"not it"


def test_what_differs_is_named(folder: Path, draft: Drafts) -> None:
    version = draft("v1")
    model = version.files["model.onnx"].read_bytes()
    assert "'model.onnx' is larger than" in refusal(folder, body(version, model_onnx=model + b"x"))
    assert "'model.onnx' has 266 bytes" in refusal(folder, body(version, model_onnx=model[:-1]))
    assert "'model.onnx' is not the one" in refusal(folder, body(version, model_onnx=b"x" + model[1:]))
    assert "'card.md', which the manifest names, is missing" in refusal(folder, body(version, card_md=None))


def test_parts_that_should_not_be_are_refused(folder: Path, draft: Drafts) -> None:
    version = draft("v1")
    manifest = part("manifest", version.manifest.to_json())
    card = version.files["card.md"].read_bytes()
    end = b"--b--\r\n"
    for data, said in (
        (part("card.md", card) + manifest + end, "first part is 'card.md'"),
        (manifest + part("../card.md", card) + end, "names no file '../card.md'"),
        (manifest + part("card.md", card) + part("card.md", card) + end, "'card.md' was sent twice"),
        (manifest + part("card.md", card, "Content-Transfer-Encoding: base64") + end, "base64"),
        (manifest + part("card.md", card, 'Content-Disposition: form-data; name="x"') + end, "same header twice"),
        (manifest + b'--b\r\nContent-Disposition: attachment; name="card.md"\r\n\r\nx\r\n' + end, "no name"),
        (manifest + b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n" + end, "no name"),
        (manifest + b"--b\r\n\r\nx\r\n" + end, "no name"),
        (b"", "ended early"),
        (end, ""),
        (manifest, "ended early"),
        (body(version)[:-8], "ended early"),
        (b"no multipart at all", "not multipart"),
        (manifest + b"--b\r\nX: " + b"x" * 100_000, "not multipart"),
        (manifest + b"--b\r\n" + b"X: y\r\n" * 1000, ""),
    ):
        assert said in refusal(folder, data)


def test_what_is_no_manifest_is_refused(folder: Path, draft: Drafts, monkeypatch: pytest.MonkeyPatch) -> None:
    version = draft("v1")
    text = version.manifest.to_json()
    for data in (
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        text.replace(b'"1.0"', b'"9.0"'),
        text.replace(b"model.onnx", b"../x"),
    ):
        assert "manifest" in refusal(folder, part("manifest", data) + b"--b--\r\n")
    monkeypatch.setattr(uploads, "MANIFEST_BYTES", 100)
    assert "larger than 100 bytes" in refusal(folder, body(version))
    monkeypatch.undo()
    monkeypatch.setattr(uploads, "MOST_FILES", 1)
    assert "names 2 files" in refusal(folder, body(version))


def test_who_admits_sees_the_manifest_before_any_file(folder: Path, draft: Drafts) -> None:
    def admit(_: Any) -> None:
        assert not list(folder.rglob("0"))
        raise ConflictError("it is there")

    with pytest.raises(ConflictError):
        send(folder, body(draft("v1")), admit=admit)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/mixed; boundary=b",
        "multipart/form-data; boundary=",
        "x",
        ";",
        "multipart/form-data; boundary=" + "x" * 5000,
    ],
)
def test_a_content_type_without_boundary_is_refused(folder: Path, kind: str) -> None:
    refusal(folder, b"", kind=kind)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_upload_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("uploads")
    for text in (data, b"--b\r\n" + data, b'--b\r\nContent-Disposition: form-data; name="manifest"\r\n\r\n' + data):
        with pytest.raises(MlplatError):
            send(folder, text)


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such file"):
        Upload(KIND, tmp_path / "gone", no_admit)


def test_what_killed_uploads_left_is_removed_after_a_day(folder: Path, draft: Drafts) -> None:
    old, young = (Upload(KIND, folder, no_admit) for _ in range(2))
    (folder / "another").mkdir()
    before = time.time() - uploads.STALE_SECONDS - 1
    for path in (old.folder, folder / "another"):
        os.utime(path, (before, before))
    assert uploads.remove_stale(folder) == 1
    assert sorted(folder.iterdir()) == sorted([young.folder, folder / "another"])


def test_there_is_room_for_what_was_announced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 100
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    room = uploads.Room(folder)
    with room.reserve(60) as arrived:
        with pytest.raises(OverloadedError), room.reserve(60):
            pass
        arrived(30)
        free -= 30
        with pytest.raises(OverloadedError), room.reserve(41):
            pass
        with room.reserve(40):
            pass
    free += 30
    with room.reserve(100):
        pass

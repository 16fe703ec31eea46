"""The cloud backend: what goes wrong between here and a bucket is one sentence."""

import os
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlplat.errors import NotFoundError, StoreError, UsageError
from mlplat.objects import open_objects
from mlplat.objects.cloud import CloudObjects


def everything(objects: CloudObjects, tmp_path: Path) -> list[Callable[[], Any]]:
    """A call of each kind."""
    (tmp_path / "large").write_bytes(b"x" * (9 << 20))

    def stream() -> None:
        with objects.open_writer("a") as target:
            target.write(b"x")

    return [
        lambda: objects.put_if_absent("a", b"x"),
        lambda: objects.put_if_absent("a", tmp_path / "large"),
        lambda: list(objects.list("")),
        lambda: list(objects.folders("")),
        lambda: objects.get("a"),
        lambda: objects.delete("a"),
        stream,
    ]


def assert_one_sentence(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(StoreError, match=match) as caught:
        call()
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    assert "<" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_wrong_key_is_one_sentence(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    objects = CloudObjects(s3.new_url())
    calls = everything(objects, tmp_path)
    assert_one_sentence(calls[0], r"Cannot write s3://.*/a: permission denied \(SignatureDoesNotMatch\)\. Give these")
    assert_one_sentence(calls[2], "SignatureDoesNotMatch|permission denied")
    assert_one_sentence(calls[4], "permission denied")


def test_a_missing_bucket_is_one_sentence(s3: Any, tmp_path: Path) -> None:
    calls = everything(CloudObjects("s3://no-such-bucket/x"), tmp_path)
    for call in calls[:4]:
        assert_one_sentence(call, "there is no such bucket. Create the bucket")
    with pytest.raises(NotFoundError):
        calls[4]()


@pytest.mark.parametrize("network", ["closed", "silent"])
def test_a_lost_network_is_one_sentence_for_every_call(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: str, network: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", silent if network == "silent" else "http://127.0.0.1:9")
    short = timedelta(milliseconds=200)
    for call in everything(CloudObjects(s3.new_url(), timeout=short, retry=short), tmp_path):
        assert_one_sentence(call, "Cannot (read|write|list|delete) s3://.*Check the network")


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_connection_that_is_lost_while_reading_is_one_sentence(s3: Any, proxy: Any) -> None:
    objects = CloudObjects(s3.new_url(), timeout=timedelta(seconds=30), retry=timedelta(milliseconds=200))
    objects.put_if_absent("a", os.urandom(6 << 20))
    with objects.open_reader("a") as source:
        source.read(10)
        proxy.lose = lambda _method, _path: True
        with pytest.raises(StoreError, match="Check the network"):
            source.read()


def test_an_object_that_is_replaced_while_it_is_read_is_refused(s3: Any) -> None:
    objects = CloudObjects(s3.new_url())
    objects.put_if_absent("a", os.urandom(6 << 20))
    with objects.open_reader("a") as source:
        source.read(10)
        with objects.open_writer("a") as target:
            target.write(os.urandom(6 << 20))
        with pytest.raises(StoreError, match="replaced while it was read"):
            source.read()


def test_a_reply_that_is_lost_once_is_asked_for_again(s3: Any, proxy: Any) -> None:
    objects = CloudObjects(s3.new_url())
    for number, method in enumerate(["GET", "HEAD"]):
        objects.put_if_absent(f"{number}", b"x")
        proxy.lose = lambda asked, _path, method=method: asked == method and not proxy.lost
        assert objects.get(f"{number}") == b"x"
        assert len(proxy.lost) == 1
        proxy.lost.clear()


@pytest.mark.parametrize("url", ["s3://", "s3:///a", "gs://", "az://", "s3://bucket/../a", "s3://bucket/a//b"])
def test_a_url_without_a_bucket_or_with_an_odd_folder_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        open_objects(url)


@pytest.mark.parametrize("url", ["gs://bucket/a", "az://container/a"])
def test_other_clouds_are_opened_without_a_request(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    assert open_objects(url).url == url


def test_a_cloud_without_its_settings_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(UsageError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        open_objects("az://container/a")


def test_a_bucket_itself_is_a_url(s3: Any) -> None:
    objects = open_objects(f"s3://{s3.bucket}/")
    name = s3.new_url().rpartition("/")[2]
    objects.put_if_absent(f"{name}/a", b"x")
    assert name in list(objects.folders(""))
    assert open_objects(f"{objects.url}/{name}").get("a") == b"x"
    objects.delete(f"{name}/a")

"""Scenario 4, the keys: they rotate under load, without a restart and without a failed request."""

from base64 import b64encode
from collections.abc import Callable

import httpx

from .clients import Client, under_load
from .load import Shape
from .namespace import Object
from .polling import poll
from .release import FLOWER, Release

SYNC_SECONDS = 180.0
"""A kubelet writes a changed Secret into its pods every minute or two."""

LIGHT = Shape(keep_alive=4, fresh=2, rate=60, seconds=600)


def test_keys_rotate_without_a_failed_request(release: Release, clients: Callable[..., list[Client]]) -> None:
    put_keys(release, {"old": "first-key"})
    release.install("--set", "serving.replicas=2,auth.enabled=true,auth.existingSecret=keys")
    pods = release.await_settled(2)
    assert httpx.post(release.url(), json=FLOWER).status_code == 401
    assert httpx.get(release.url("/ready")).status_code == 200

    with under_load(*clients(LIGHT, key="first-key")) as before:
        put_keys(release, {"old": "first-key", "new": "second-key"})
        poll(lambda: all(accepts(pod, "second-key") for pod in pods), "the second key is known", SYNC_SECONDS)
    with under_load(*clients(LIGHT, key="second-key")) as after:
        put_keys(release, {"new": "second-key"})
        poll(lambda: not any(accepts(pod, "first-key") for pod in pods), "the first key is forgotten", SYNC_SECONDS)
        after.await_more(500)

    before.assert_none_failed(500)
    after.assert_none_failed(500)
    assert {pod["metadata"]["uid"] for pod in release.await_settled(2)} == {pod["metadata"]["uid"] for pod in pods}


def put_keys(release: Release, keys: dict[str, str]) -> None:
    """Say who may ask."""
    data = {name: b64encode(key.encode()).decode() for name, key in keys.items()}
    release.namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "data": data})


def accepts(pod: Object, key: str) -> bool:
    """Whether this very pod lets a key in."""
    answer = httpx.post(f"http://{pod['status']['podIP']}:8000/predict", json=FLOWER, headers={"X-API-Key": key})
    assert answer.status_code in {200, 401}, answer.text
    return answer.status_code == 200

"""What is known of the objects of a kind, whatever the API server, or what is before it, answers."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from mlplat.operator.children import Manifest
from mlplat.operator.cluster import ModelDeployments
from mlplat.operator.informer import Informer

from .apiserver import ApiServer, event

KEY = ("ml", "a")


def deployment(version: int, uid: str = "u") -> Manifest:
    """A ModelDeployment."""
    return {
        "apiVersion": "mlplat.dev/v1",
        "kind": "ModelDeployment",
        "metadata": {"name": "a", "namespace": "ml", "uid": uid, "resourceVersion": str(version)},
        "spec": {"modelName": "iris"},
    }


class Following:
    """An informer at work.

    Attributes:
        told: what it told.
    """

    def __init__(self, server: ApiServer, *namespaces: str) -> None:
        self.told: list[Manifest] = []
        self.informer = Informer(
            server.client(), ModelDeployments, namespaces=namespaces or ("ml",), changed=self.told.append
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        """Follow until something holds."""
        running = asyncio.create_task(self.informer.run())
        async with asyncio.timeout(10):
            while not condition():
                assert not running.done(), running.exception()
                await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.wait([running])


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """An API server that has nothing."""
    with ApiServer() as running:
        yield running


class TestAnswersToWrites:
    def test_what_was_deleted_meanwhile_does_not_come_back(self, server: ApiServer) -> None:
        async def scenario() -> None:
            server.watches["modeldeployments"] = [event("ADDED", deployment(11)) + event("DELETED", deployment(13))]
            following = Following(server)
            await following.until(lambda: len(following.told) == 2)
            following.informer.apply(deployment(12))
            assert KEY not in following.informer.objects

        asyncio.run(scenario())

    def test_what_the_watch_has_not_told_yet_is_known(self, server: ApiServer) -> None:
        async def scenario() -> None:
            following = Following(server)
            await following.until(following.informer.synced.is_set)
            following.informer.apply(deployment(12))
            assert KEY in following.informer.objects
            following.informer.apply(deployment(11, uid="older"))
            assert following.informer.objects[KEY]["metadata"]["uid"] == "u"

        asyncio.run(scenario())

    def test_one_that_is_gone_is_forgotten_but_not_another_of_its_name(self, server: ApiServer) -> None:
        async def scenario() -> None:
            following = Following(server)
            following.informer.apply(deployment(12))
            following.informer.forget(KEY, "other")
            assert KEY in following.informer.objects
            following.informer.forget(KEY, "u")
            assert KEY not in following.informer.objects
            assert len(following.told) == 1

        asyncio.run(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        event("ADDED", deployment(11))[:60],
        b"<html>502 Bad Gateway</html>\n",
        b'{"type": "ADDED", "object": {}}\n',
        event("ERROR", {"code": 410, "message": "too old"}),
    ],
    ids=["cut", "page", "empty", "too-old"],
)
def test_a_watch_that_is_not_understood_is_begun_anew(server: ApiServer, answer: bytes) -> None:
    server.watches["modeldeployments"] = [answer, event("ADDED", deployment(12))]
    following = Following(server)
    asyncio.run(following.until(lambda: KEY in following.informer.objects))

"""A copy of the objects of one kind, kept up to date by a list and a watch (the pattern is client-go's)."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx2
from lightkube import ApiError, AsyncClient
from lightkube.core.resource import NamespacedResource

from mlplat import logs
from mlplat.operator.children import Manifest
from mlplat.operator.cluster import OURS
from mlplat.operator.ownership import foreign_fields

WATCH_SECONDS = 300
"""The API server ends a watch after this time, and another one goes on where it ended."""

SILENT_SECONDS = 30
"""So long after it should have ended, a watch is given up: a connection can be dead without telling."""

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.5, 30.0

FOREIGN = "foreignFields"
"""In the metadata of what an informer knows: the fields of its spec that somebody else owns."""

Key = tuple[str, str]
"""Namespace and name."""


class Informer:
    """Knows the objects of one kind that bear a label.

    Args:
        client: of the API server.
        resource: the kind.
        namespaces: where to look; "*" for everywhere.
        labels: that the objects bear.
        changed: is told each object that came, changed or went.

    Attributes:
        objects: as they were last seen, by namespace and name.
        synced: set as soon as all of them are known, but for those in namespaces that refuse to tell.
        failing: namespaces that cannot be followed now.
    """

    def __init__(
        self,
        client: AsyncClient,
        resource: type[NamespacedResource],
        *,
        namespaces: Sequence[str],
        labels: dict[str, Any] | None = None,
        changed: Callable[[Manifest], None],
    ) -> None:
        self._client = client
        self._resource = resource
        self._namespaces = namespaces
        self._labels = labels
        self._changed = changed
        self._passed: dict[str, int] = {}  # by followed namespace: the version up to which all is known
        self.objects: dict[Key, Manifest] = {}
        self.synced = asyncio.Event()
        self.failing: set[str] = set()
        self._refusing: set[str] = set()

    def knows(self, namespace: str) -> bool:
        """Whether all objects of a namespace are known."""
        return not self._passed.keys().isdisjoint({namespace, "*"})

    async def run(self) -> None:
        """Follow the objects of all namespaces; runs until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for namespace in self._namespaces:
                group.create_task(self._follow(namespace))

    async def _follow(self, namespace: str) -> None:
        """List, then watch; again from the start when that fails."""
        loop = asyncio.get_running_loop()
        retry = FIRST_RETRY_SECONDS
        while True:
            begun = loop.time()
            try:
                version = await self._list(namespace)
                self.failing.discard(namespace)
                self._refusing.discard(namespace)
                self._set_synced()
                await self._watch(namespace, version)
            except Exception as error:  # noqa: BLE001 - whatever is answered: one watch must not end the others
                if isinstance(error, ApiError) and error.status.code == httpx2.codes.GONE:  # too long ago: list again
                    continue
                self.failing.add(namespace)
                if isinstance(error, ApiError) and error.status.code == httpx2.codes.FORBIDDEN:
                    self._refusing.add(namespace)
                    self._set_synced()
                kind = self._resource.__name__
                logs.get().warning("watch_failed", kind=kind, namespace=namespace, error=logs.told(error))
                if loop.time() - begun > LONGEST_RETRY_SECONDS:  # it was well for a while
                    retry = FIRST_RETRY_SECONDS
                await asyncio.sleep(retry * random.uniform(0.5, 1.0))
                retry = min(2 * retry, LONGEST_RETRY_SECONDS)

    def _set_synced(self) -> None:
        if self._passed and self._passed.keys() | self._refusing >= set(self._namespaces):
            self.synced.set()

    def clear(self) -> None:
        """Forget all of them, as the kind is gone."""
        self.objects.clear()
        self._passed.clear()
        self.failing.clear()
        self._refusing.clear()
        self.synced.clear()

    def apply(self, manifest: Manifest) -> None:
        """Take over what the API server answered to a write, ahead of the watch.

        What is not known though the watch is past it was deleted since.
        """
        key = _key(manifest)
        known = self.objects.get(key)
        passed = self._passed.get(key[0], self._passed.get("*", 0)) if known is None else _version(known)
        if passed < _version(manifest):
            self.objects[key] = _slim(manifest)

    def forget(self, key: Key, uid: str) -> None:
        """Take over that the API server does not have an object any more; another of the same name is kept."""
        known = self.objects.get(key)
        if known is not None and known["metadata"]["uid"] == uid:
            del self.objects[key]
            self._changed(known)

    async def _list(self, namespace: str) -> str:
        listed = self._client.list(self._resource, namespace=namespace, labels=self._labels, chunk_size=500)
        found = {_key(one): _slim(one) async for one in listed}
        gone = [key for key in self.objects if key not in found and namespace in {"*", key[0]}]
        news = [one for key, one in found.items() if _version(self.objects.get(key)) != _version(one)]
        self.objects |= found
        self._passed[namespace] = _number(listed.resourceVersion)
        for one in (*[self.objects.pop(key) for key in gone], *news):
            self._changed(one)
        return listed.resourceVersion

    async def _watch(self, namespace: str, version: str) -> None:
        watching: AsyncIterator[tuple[str, Any]] = aiter(
            self._client.watch(
                self._resource,
                namespace=namespace,
                labels=self._labels,
                resource_version=version,
                server_timeout=WATCH_SECONDS,
            )
        )
        while True:
            async with asyncio.timeout(WATCH_SECONDS + SILENT_SECONDS):
                kind, manifest = await anext(watching)
            if kind == "BOOKMARK":
                continue
            key = _key(manifest)
            self._passed[namespace] = _version(manifest)
            if kind == "DELETED":
                self.objects.pop(key, None)
            else:
                self.objects[key] = _slim(manifest)
            self._changed(manifest)


def _slim(manifest: Any) -> Manifest:
    """With what others own instead of what everyone does, which is half of it."""
    out = dict(manifest)
    metadata = dict(out["metadata"])
    foreign = foreign_fields(metadata.pop("managedFields", ()), OURS)
    if foreign:
        metadata[FOREIGN] = foreign
    out["metadata"] = metadata
    return out


def _key(manifest: Any) -> Key:
    metadata = manifest["metadata"]
    return metadata["namespace"], metadata["name"]


def _version(manifest: Manifest | None) -> int:
    return 0 if manifest is None else _number(manifest["metadata"].get("resourceVersion"))


def _number(version: Any) -> int:
    """A resource's version; numbers that grow, though the API calls them opaque (KEP-5504 says so from 1.35 on)."""
    with contextlib.suppress(ValueError, TypeError):
        return int(version)
    return 0

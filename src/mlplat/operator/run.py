"""The process of the operator: what watches, what reconciles, and a small server for probes and metrics."""

import asyncio
import socket
from functools import partial
from pathlib import Path

import httpx2
import uvicorn
from lightkube import AsyncClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mlplat import logs
from mlplat.errors import UsageError
from mlplat.operator.base import ENVIRONMENTS, MANIFESTS, Base, read_base
from mlplat.operator.children import MANAGER, Manifest
from mlplat.operator.cluster import BUILT_IN, CHILDREN, Cluster, ModelDeployments, connect
from mlplat.operator.informer import FIRST_RETRY_SECONDS, Informer, Key
from mlplat.operator.metrics import OperatorMetrics
from mlplat.operator.queue import WorkQueue
from mlplat.operator.reconcile import Reconciler, owner_key, wish_of
from mlplat.operator.scrape import Scraper
from mlplat.operator.spec import KIND
from mlplat.operator.versions import VersionBook, Wish
from mlplat.settings import OperatorSettings
from mlplat.store import open_store
from mlplat.web.listening import listen, shown

WORKERS = 4
"""So many ModelDeployments are reconciled at once; most of a reconcile is waiting for the API server."""

RESYNC_SECONDS = 600.0
"""So often all of them are looked at, whether anything changed or not."""

GATEWAY_SECONDS = 30.0
"""So often it is looked whether the cluster has got, or lost, the Gateway API."""

LOOKS_FOR_ROUTES = 3
"""So many looks in a row must find none: an API server that was just started may not know all of its kinds yet."""

UNKNOWN_SECONDS = 5.0
"""After so long, a ModelDeployment is looked at again of which not every kind of its children could be listed."""

FORGET_SECONDS = 60.0
"""So often what nobody asks for any more is no longer looked up in the store."""


class Operator:
    """Keeps all ModelDeployments of some namespaces as they say. Belongs to one event loop.

    Args:
        client: of the API server.
        metrics: what is counted.
        namespaces: to watch; "*" for all.
        base: what children are made from.
        store: URL of the store.
        poll_seconds: between looks at aliases and at versions that are missing.
        max_rolling: so many Deployments at a time are rolled by a changed base.
    """

    def __init__(
        self,
        client: AsyncClient,
        metrics: OperatorMetrics,
        *,
        namespaces: list[str],
        base: Base,
        store: str,
        poll_seconds: float,
        max_rolling: int,
    ) -> None:
        self.metrics = metrics
        self._base = base
        self._queue = WorkQueue(self._handle)
        metrics.queue.set_function(partial(len, self._queue))
        self._resources = Informer(client, ModelDeployments, namespaces=namespaces, changed=self._resource_changed)
        labels = {"app.kubernetes.io/managed-by": MANAGER}
        self._children = {
            kind: Informer(client, resource, namespaces=namespaces, labels=labels, changed=self._child_changed)
            for kind, resource in CHILDREN.items()
        }
        self._by_kind = {KIND: self._resources, **self._children}
        for kind, informer in self._by_kind.items():
            metrics.failing.labels(kind).set_function(partial(len, informer.failing))
        self._versions = VersionBook(
            partial(open_store, store, create=False), seconds=poll_seconds, changed=self._found
        )
        self._cluster = Cluster(client)
        self._namespaces = namespaces
        self._pods = httpx2.AsyncClient(trust_env=False, follow_redirects=False)
        self._scraper = Scraper(lambda key: self._cluster.pods(*key), self._queue.add, client=self._pods)
        self._routing: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()
        self._reconciler = Reconciler(
            self._cluster,
            self._resources,
            self._children,
            versions=self._versions,
            scraper=self._scraper,
            base=base,
            metrics=self.metrics,
            max_rolling=max_rolling,
        )

    @property
    def synced(self) -> bool:
        """Whether all that there is in the cluster is known, as far as it is told."""
        return all(informer.synced.is_set() for informer in self._informers)

    @property
    def failing(self) -> list[str]:
        """The kinds and namespaces that cannot be followed now."""
        return [f"{kind} in {one}" for kind, informer in self._by_kind.items() for one in sorted(informer.failing)]

    @property
    def _informers(self) -> list[Informer]:
        """Of the kinds that every cluster has, and of HTTPRoutes once they are known to be there."""
        kinds = [kind for kind in self._children if kind in BUILT_IN or self._routing is not None]
        return [self._resources, *(self._children[kind] for kind in kinds)]

    async def run(self) -> None:
        """Reconcile until cancelled."""
        async with self._pods, asyncio.TaskGroup() as group:
            for informer in self._informers:
                group.create_task(informer.run())
            group.create_task(self._follow_routes(group))
            await self._looked.wait()
            for informer in self._informers:
                await informer.synced.wait()
            logs.get().info("synced", deployments=len(self._resources.objects))
            group.create_task(self._versions.run())
            group.create_task(self._scraper.run())
            group.create_task(self._queue.run(WORKERS))
            group.create_task(self._look_again())

    async def _follow_routes(self, group: asyncio.TaskGroup) -> None:
        """Find out every so often whether the cluster has HTTPRoutes."""
        misses = 0
        while True:
            try:
                known = await self._cluster.knows_routes(self._namespaces)
                if known is None:  # as before
                    known = self._reconciler.routable
                misses = 0 if known else misses + 1
                if known or misses >= LOOKS_FOR_ROUTES:
                    await self._set_routable(group, known=known)
                    self._looked.set()
            except (httpx2.HTTPError, OSError, ValueError) as error:
                logs.get().warning("routes_unknown", error=str(error)[:300])
            await asyncio.sleep(GATEWAY_SECONDS if self._looked.is_set() else FIRST_RETRY_SECONDS)

    async def _set_routable(self, group: asyncio.TaskGroup, *, known: bool) -> None:
        """Follow HTTPRoutes while the cluster has them."""
        informer = self._children["HTTPRoute"]
        if known and self._routing is None:
            self._routing = group.create_task(informer.run())
            await informer.synced.wait()
        elif not known and self._routing is not None:
            self._routing.cancel()
            self._routing = None
            informer.clear()
        if known != self._reconciler.routable:
            self._reconciler.routable = known
            logs.get().info("gateway_api", known=known)
            for key in self._resources.objects:
                self._queue.add(key)

    async def _handle(self, key: Key) -> float | None:
        if not all(informer.knows(key[0]) for informer in self._informers):
            return UNKNOWN_SECONDS
        return await self._reconciler.reconcile(key)

    async def _look_again(self) -> None:
        """Look at all of them every so often, and forget what nobody asks for."""
        loop = asyncio.get_running_loop()
        due = loop.time() + RESYNC_SECONDS
        while True:
            await asyncio.sleep(FORGET_SECONDS)
            self._versions.forget(
                {wish for one in self._resources.objects.values() if (wish := wish_of(one, self._base))}
            )
            if loop.time() >= due:
                due = loop.time() + RESYNC_SECONDS
                for key in self._resources.objects:
                    self._queue.add(key)

    def _resource_changed(self, manifest: Manifest) -> None:
        self._queue.add((manifest["metadata"]["namespace"], manifest["metadata"]["name"]))

    def _child_changed(self, manifest: Manifest) -> None:
        key = owner_key(manifest)
        if key is not None:
            self._queue.add(key)

    def _found(self, wish: Wish) -> None:
        """The store was asked, and something else is known now."""
        for key, manifest in self._resources.objects.items():
            if wish_of(manifest, self._base) == wish:
                self._queue.add(key)


def run(settings: OperatorSettings) -> None:
    """Operate until SIGTERM or SIGINT.

    Raises:
        UsageError: if the base cannot be read, or there is no way to the API server.
        MlplatError: if the address is taken.
    """
    base = read_folder(settings.base, settings.namespace)
    listener = listen(settings.host, settings.port)
    asyncio.run(_operate(settings, base, listener))


def read_folder(folder: Path, namespace: str) -> Base:
    """The base from a folder, as a ConfigMap is mounted.

    Raises:
        UsageError: if there is none.
        SchemaError: if it cannot be used.
    """
    try:
        data = {name: (folder / name).read_text(encoding="utf-8") for name in (MANIFESTS, ENVIRONMENTS)}
    except OSError as error:
        raise UsageError(f"Cannot read the base from {folder}: {error}.", hint="The chart makes it.") from error
    return read_base(namespace, data)


async def _operate(settings: OperatorSettings, base: Base, listener: socket.socket) -> None:
    """Reconcile, and answer probes, until the server is asked to end."""
    metrics = OperatorMetrics()
    async with connect(lambda method: metrics.requests.labels(method).inc()) as client:
        operator = Operator(
            client,
            metrics,
            namespaces=settings.namespaces.split(",") if settings.namespaces else [settings.namespace],
            base=base,
            store=settings.store,
            poll_seconds=settings.poll_seconds,
            max_rolling=settings.max_rolling,
        )
        config = uvicorn.Config(
            probes(operator), lifespan="off", access_log=False, log_config=None, ws="none", server_header=False
        )
        host, port = listener.getsockname()[:2]
        logs.get().info("operating", namespaces=settings.namespaces, url=f"http://{shown(host)}:{port}")
        operating = asyncio.create_task(operator.run())
        server = uvicorn.Server(config)
        operating.add_done_callback(lambda _: setattr(server, "should_exit", True))
        await server.serve([listener])
        operating.cancel()
        try:
            await operating
        except asyncio.CancelledError:
            return


def probes(operator: Operator) -> Starlette:
    """`/health`, `/ready` and `/metrics`."""

    def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    def ready(_: Request) -> Response:
        told = {"status": "ready" if operator.synced else "syncing", "failing": operator.failing}
        return JSONResponse(told, 200 if operator.synced else 503)

    def metrics(_: Request) -> Response:
        return Response(operator.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(routes=[Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)])

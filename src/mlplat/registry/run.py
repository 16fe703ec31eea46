"""The process of the registry: a socket, a server that drains, and everything it needs, put together."""

import gc
import signal
import sys
import time
from types import FrameType

import uvicorn

from mlplat import logs
from mlplat.errors import UsageError
from mlplat.objects.files import folder_of
from mlplat.registry.access import KeyRing
from mlplat.registry.app import create_app
from mlplat.registry.database import Database
from mlplat.registry.metrics import RegistryMetrics
from mlplat.registry.protocol import LimitedProtocol
from mlplat.registry.service import Service
from mlplat.registry.uploads import remove_stale
from mlplat.settings import RegistrySettings
from mlplat.store import open_object_store
from mlplat.web.listening import listen, shown

FINISH_SECONDS = 60
"""How long requests that are in flight may take after the drain, uploads above all."""

DATABASE_FILE = "registry.db"


class DrainingServer(uvicorn.Server):
    """A server that serves on for a while after SIGTERM, so that no routed request is lost; a second one ends it now."""

    def __init__(self, config: uvicorn.Config, drain_seconds: float) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._close_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Uvicorn's hook for SIGTERM and SIGINT."""
        if sig == signal.SIGTERM and self._close_at is None:
            self._close_at = time.monotonic() + self._drain_seconds
        else:
            super().handle_exit(sig, frame)
            self._captured_signals.clear()  # being asked to end is no failure

    async def on_tick(self, counter: int) -> bool:
        """Uvicorn's hook, called ten times a second."""
        if self._close_at is not None and time.monotonic() >= self._close_at:
            self.should_exit = True
        return await super().on_tick(counter)


def run(settings: RegistrySettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        UsageError: if the database or the store is none that can be used.
        MlplatError: if the address is taken.
    """
    service = make_service(settings)
    listener = listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    logs.get().info("listening", url=f"http://{shown(host)}:{port}", store=service.store.url, open=settings.open)
    server = make_server(
        service,
        sync_seconds=settings.sync_seconds,
        drain_seconds=settings.drain_seconds,
        keep_alive_seconds=settings.keep_alive_seconds,
    )
    gc.collect()
    gc.freeze()  # what is loaded by now is never garbage, and need not be looked through again and again
    server.run(sockets=[listener])
    sys.stdout.flush()


def make_server(
    service: Service, *, sync_seconds: float, drain_seconds: float, keep_alive_seconds: int = 75
) -> DrainingServer:
    """A server that does not listen yet."""
    config = uvicorn.Config(
        create_app(service, sync_seconds=sync_seconds),
        http=LimitedProtocol,
        loop="uvloop",
        lifespan="on",
        access_log=False,
        log_config=None,
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=keep_alive_seconds,
        timeout_graceful_shutdown=FINISH_SECONDS,
    )
    return DrainingServer(config, drain_seconds)


def make_service(settings: RegistrySettings) -> Service:
    """A registry that neither listens nor connects yet.

    Raises:
        UsageError: if the database or the store is none that can be used.
    """
    settings.uploads.mkdir(parents=True, exist_ok=True)
    remove_stale(settings.uploads)
    database = open_database(settings.database, settings.store, pool_size=settings.pool_size)
    return Service(
        database=database,
        store=open_object_store(settings.store),
        keys=KeyRing(database, admin_key=settings.admin_key, open_to_all=settings.open),
        uploads=settings.uploads,
        max_upload_bytes=settings.max_upload_bytes,
        metrics=RegistryMetrics(),
    )


def open_database(url: str | None, store: str, *, pool_size: int = 10) -> Database:
    """The database at a URL; without one, a file beside a store that is a folder, else in ./mlplat.

    Raises:
        UsageError: if the URL is none that can be used.
    """
    if url is not None:
        return Database(url, pool_size=pool_size)
    if store.startswith(("http://", "https://")):
        raise UsageError(f"{store} is a registry.", hint="Name the store behind it.")
    in_folder = "://" not in store or store.startswith("file://")
    folder = folder_of(store) if in_folder else folder_of("mlplat")
    return Database(f"sqlite:///{folder / DATABASE_FILE}", pool_size=pool_size)

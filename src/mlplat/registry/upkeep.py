"""What a registry does by itself: prepare its tables, follow the store, and clear away what is old."""

import time
from threading import Event, Thread

from mlplat import logs
from mlplat.errors import MlplatError
from mlplat.registry import idempotency, indexing, sessions, uploads
from mlplat.registry.database import DatabaseError
from mlplat.registry.indexing import Changes
from mlplat.registry.migrations import migrate
from mlplat.registry.service import Service
from mlplat.store.aliases import utc_now

RETRY_SECONDS = 2.0
LOOK_SECONDS = 5.0
"""How often it is looked whether the store is there."""

SWEEP_SECONDS = 86_400.0
"""How often files that no version names are removed; they are left alone for a day anyway."""

END_SECONDS = 5.0
"""What is at work when the registry ends has so long to notice; nothing is lost if it does not."""


class Upkeep:
    """A thread beside the server; it outlives every failure of database and store.

    Args:
        service: the registry.
        sync_seconds: how often the store is looked through.
    """

    def __init__(self, service: Service, sync_seconds: float) -> None:
        self._service = service
        self._sync_seconds = sync_seconds
        self._sweep_due = time.monotonic()
        self._ending = Event()
        self._thread = Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Stop, soon."""
        self._ending.set()
        self._thread.join(END_SECONDS)

    def _run(self) -> None:
        while not self._ending.is_set() and not self._prepare():
            self._ending.wait(RETRY_SECONDS)
        due = time.monotonic()
        while not self._ending.is_set():
            self._look()
            if time.monotonic() >= due:
                self._sync()
                due = time.monotonic() + self._sync_seconds
            self._ending.wait(min(LOOK_SECONDS, max(0.0, due - time.monotonic())))

    def _prepare(self) -> bool:
        """Bring the tables up to date; whether they are."""
        try:
            migrate(self._service.database)
            if self._service.keys.is_closed():
                logs.get().warning(
                    "no_keys", hint="Make the first one: mlplat registry keys create NAME --role admin; or use --open."
                )
        except DatabaseError as error:
            logs.get().warning("database_unreachable", reason=str(error))
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, the next try may do
            logs.get().error("migration_failed", exc_info=error)
            return False
        self._service.prepared.set()
        return True

    def _look(self) -> None:
        try:
            self._service.store.objects.size("ready")
            state, reason = "ok", ""
        except MlplatError as error:
            state, reason = "away", str(error)
        if state != self._service.condition.store:
            logs.get().info("store_looked_at", state=state, reason=reason)
            self._service.condition.store = state

    def _sync(self) -> None:
        """Take in what others wrote into the store, and remove what nobody needs, unless another registry is at it."""
        service = self._service
        try:
            uploads.remove_stale(service.uploads)
            for kept in (idempotency, sessions):
                kept.forget_old(service.database, utc_now())
            with service.database.alone(indexing.LOCK) as alone:
                changes = indexing.index_store(service.database, service.store, told=self._go_on) if alone else None
                if alone and time.monotonic() >= self._sweep_due:
                    indexing.sweep_store(service.database, service.store, self._go_on)
                    self._sweep_due = time.monotonic() + SWEEP_SECONDS
        except _Ended:
            return
        except MlplatError as error:
            logs.get().warning("sync_failed", reason=str(error))
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the next try may do
            logs.get().error("sync_failed", exc_info=error)
            return
        if changes is not None:
            service.metrics.synced.set_to_current_time()
            service.metrics.unreadable.set(changes.unreadable)
            if changes:
                logs.get().info("synced", **vars(changes))

    def _go_on(self, _: str, __: Changes | None = None) -> None:
        if self._ending.is_set():
            raise _Ended


class _Ended(Exception):  # noqa: N818 - no error
    """The registry ends."""

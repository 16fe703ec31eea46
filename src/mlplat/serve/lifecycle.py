"""From nothing to ready, and from one version to the next: find, fetch, verify, load, replay, warm up, swap."""

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from mlplat import logs
from mlplat.bundle.features import Inputs
from mlplat.bundle.manifest import Manifest
from mlplat.bundle.prediction import Prediction
from mlplat.errors import MlplatError, NoStoreError, NotFoundError, OverloadedError
from mlplat.metrics import ServeMetrics, Tally
from mlplat.runtime.batcher import Batcher, Note
from mlplat.runtime.cost import Cost
from mlplat.runtime.predictor import Predictor
from mlplat.serve.drift import Drift, DriftMonitor, DriftWindow
from mlplat.serve.memory import available_bytes, fits, give_back, settle
from mlplat.serve.protocols import PROTOCOLS, Limits, Protocol
from mlplat.store import Cache, Store, open_store

FIRST_RETRY_SECONDS = 0.1
LONGEST_RETRY_SECONDS = 5.0
REFUSED_VERSION_SECONDS = 60.0
"""A version that failed while another serves is tried again after this time, or at once when the alias moves on."""

WARM_UP_RUNS = 20
WARM_UP_ROWS = (64, 4)
"""Rows of the larger run of a warm-up: as many as may be expected not to take too long."""

LONGEST_WARM_UP_SECONDS = 4.0
WARM_UP_SECONDS = 0.2
"""So long the runs of a warm-up go on at most, or one run if it takes longer."""

NO_LIMITS = Limits()


class Phase(StrEnum):
    """Where the server is; `/ready` says it."""

    FINDING = "finding"
    FETCHING = "fetching"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Source:
    """What to serve: one version of a model, or whatever an alias names."""

    store: str
    model: str
    version: str | None
    alias: str | None


@dataclass(frozen=True, slots=True)
class Served:
    """A version that is loaded, checked and warm."""

    manifest: Manifest
    predictor: Predictor
    batcher: Batcher
    drift: DriftWindow
    protocols: Mapping[type[Protocol], Protocol]
    tallies: Mapping[type[Protocol], Tally]


class Lifecycle:
    """Keeps the right version loaded. Nothing but the end of the process ends it: what fails is tried again.

    Attributes:
        swapped: set whenever another version serves, the first one included; whoever waits for it clears it.

    Args:
        source: what to serve.
        cache: where verified local copies are kept.
        metrics: what is counted.
        threads: processor cores of one prediction.
        poll_seconds: how often an alias is looked up.
        max_waiting: requests that may wait for a prediction.
        limits: what one request may ask for.
        allow_pickle: whether a pickled model may be loaded.
    """

    def __init__(
        self,
        source: Source,
        cache: Cache,
        metrics: ServeMetrics,
        *,
        threads: int = 1,
        poll_seconds: float = 5.0,
        max_waiting: int = 1024,
        limits: Limits = NO_LIMITS,
        allow_pickle: bool = False,
    ) -> None:
        self.source = source
        self.current: Served | None = None
        self.phase = Phase.FINDING
        self.reason = "starting"
        self.swapped = asyncio.Event()
        self._cache = cache
        self._metrics = metrics
        self._threads = threads
        self._poll_seconds = poll_seconds
        self._max_waiting = max_waiting
        self._limits = limits
        self._allow_pickle = allow_pickle
        metrics.model_name = source.model
        self._store: Store | None = None
        self._refused: tuple[str, float] | None = None
        self._noted = ""
        self._drift = DriftMonitor()

    @property
    def ready(self) -> bool:
        """Whether requests can be answered; stays true while draining."""
        return self.current is not None

    @property
    def version(self) -> str | None:
        """The version that serves now, or else the one that was asked for."""
        return self.source.version if self.current is None else self.current.manifest.version

    def require(self) -> Served:
        """The version that serves now.

        Raises:
            OverloadedError: 503 with the reason, if there is none yet.
        """
        if self.current is None:
            raise OverloadedError(f"Not ready: {self.reason}.", hint="Try again when /ready says so.")
        return self.current

    async def measure_drift(self) -> Drift | None:
        """The drift of the version that serves, measured lately, and in the gauges; None if none serves yet."""
        if self.current is None:
            return None
        drift = await self._drift.measure(self.current.drift)
        self._metrics.set_drift(drift.rows, drift.indices, drift.prediction_index)
        return drift

    def note_recent(self) -> None:
        """Put what the version that serves answered lately into the gauges."""
        if self.current is not None:
            recent = self.current.drift.recent()
            self._metrics.set_recent(self.current.manifest.version, recent.rows, recent.outputs, recent.quantiles)

    def drain(self) -> None:
        """Note that the server is about to end; it serves on until then."""
        self.phase = Phase.DRAINING
        self.reason = "draining"

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Load what is to be served, then follow the alias, if it is one; runs until it is cancelled."""
        retry = FIRST_RETRY_SECONDS
        while True:
            try:
                await self._advance()
            except MlplatError as error:
                self._note(error.message)
            except Exception as error:  # noqa: BLE001 - a bug in one try must not end serving
                logs.get().error("lifecycle_failed", exc_info=error)
                self._note(f"unexpected: {error}")
            else:
                retry, self._noted = FIRST_RETRY_SECONDS, ""
                if self.source.alias is None:
                    return
            if self.current is None:
                await sleep(retry * random.uniform(0.5, 1.0))
                retry = min(retry * 2, LONGEST_RETRY_SECONDS)
            else:
                await sleep(self._poll_seconds * random.uniform(0.8, 1.2))

    async def _advance(self) -> None:
        if self._store is None:
            self._store = await asyncio.to_thread(open_store, self.source.store, create=False)
        wanted = await asyncio.to_thread(self._wanted, self._store)
        if self.current is not None and self.current.manifest.version == wanted:
            self._refused = None
            return
        if self.current is not None and self._refused is not None:
            version, until = self._refused
            if version == wanted and time.monotonic() < until:
                return
        start = time.monotonic()
        try:
            served = await self._load(self._store, wanted)
        except Exception as error:
            if not isinstance(
                error, NotFoundError | NoStoreError
            ):  # a version that is still trained is waited for, which is no failure
                self._metrics.loads.labels("failed").inc()
            self._refused = (wanted, time.monotonic() + REFUSED_VERSION_SECONDS)
            raise
        self._swap(served, time.monotonic() - start)
        await asyncio.to_thread(give_back)

    def _wanted(self, store: Store) -> str:
        if self.source.alias is None:
            return str(self.source.version)
        return store.alias(self.source.model, self.source.alias).version

    async def _load(self, store: Store, version: str) -> Served:
        self._enter(Phase.FETCHING, f"fetching {self.source.model} {version}")
        manifest = await asyncio.to_thread(self._cache.manifest, store, self.source.model, version)
        if self.current is not None and not fits(manifest.files[manifest.model_file].bytes, available_bytes()):
            raise OverloadedError(
                f"Memory would not hold {manifest.model} {version} beside {self.current.manifest.version}.",
                hint="Raise the memory limit, or restart the server to move.",
            )
        files = await asyncio.to_thread(self._cache.fetch, store, manifest, [manifest.model_file])
        self._enter(Phase.LOADING, f"loading {self.source.model} {version}")
        return await asyncio.to_thread(self._make, manifest, files)

    def _make(self, manifest: Manifest, files: dict[str, Path]) -> Served:
        predictor = Predictor.load(
            manifest,
            files[manifest.model_file],
            threads=self._threads,
            allow_pickle=self._allow_pickle,
        )
        predictor.replay()
        drift = DriftWindow(manifest)
        batcher = Batcher(
            predictor.predict, cost=warm_up(predictor), max_waiting=self._max_waiting, note=self._noting(drift)
        )
        protocols = {protocol: protocol(manifest, self._limits) for protocol in PROTOCOLS}
        tallies = {protocol: self._metrics.tally(protocol.name, manifest.version) for protocol in PROTOCOLS}
        if self.current is None:
            settle()
        return Served(manifest, predictor, batcher, drift, protocols, tallies)

    def _noting(self, drift: DriftWindow) -> Note:
        lock = threading.Lock()  # a forecast of many steps runs in the thread, while the loop may run a batch

        def note(inputs: Inputs, prediction: Prediction, seconds: float, waited: float) -> None:
            with lock:
                self._metrics.ran(len(prediction), seconds, waited)
                drift.add(inputs, prediction)

        return note

    def _swap(self, served: Served, seconds: float) -> None:
        before, self.current = self.current, served
        self.swapped.set()
        manifest = served.manifest
        if self.phase is not Phase.DRAINING:
            self.phase, self.reason = Phase.READY, "ready"
        self._refused = None
        self._metrics.loads.labels("succeeded").inc()
        self._metrics.load_seconds.set(seconds)
        self._metrics.forget_old(manifest.version)
        self._metrics.ready.set(1)
        self._metrics.model.clear()
        self._metrics.model.labels(manifest.model, manifest.version).set(1)
        log = logs.get()
        if before is None:
            log.info("ready", model=manifest.model, version=manifest.version, seconds=round(seconds, 3))
        else:
            before.batcher.close()
            self._metrics.swaps.inc()
            log.info(
                "swapped",
                model=manifest.model,
                version=manifest.version,
                previous=before.manifest.version,
                seconds=round(seconds, 3),
            )

    def _enter(self, phase: Phase, reason: str) -> None:
        if self.current is None and self.phase is not Phase.DRAINING:
            self.phase, self.reason = phase, reason

    def _note(self, reason: str) -> None:
        """Say once for each reason why there is no progress; a server that serves keeps its phase."""
        if reason != self._noted:
            event = "not_ready" if self.current is None else "kept_version"
            logs.get().warning(event, model=self.source.model, version=self.version, reason=reason)
        self._noted = reason
        if self.current is None:
            self.reason = reason.rstrip(".")


def warm_up(predictor: Predictor) -> Cost:
    """Run the first golden sample a few times, as serving will, alone and many times over; what runs cost."""
    golden = predictor.manifest.golden
    columns = {name: values[:1] for name, values in golden.columns(predictor.manifest.features).items()}
    one, _ = predictor.manifest.features.encode(columns)
    seconds = _fastest(predictor, one)
    rows = next((rows for rows in WARM_UP_ROWS if rows * seconds <= LONGEST_WARM_UP_SECONDS), None)
    if rows is None:
        return Cost(0.0, seconds)
    many = {name: np.repeat(values, rows, axis=0) for name, values in one.items()}
    return Cost.of(seconds, rows, _fastest(predictor, many))


def _fastest(predictor: Predictor, inputs: Inputs) -> float:
    """Seconds of the fastest of a few runs."""
    fastest, until = float("inf"), time.perf_counter() + WARM_UP_SECONDS
    for _ in range(WARM_UP_RUNS):
        start = time.perf_counter()
        predictor.predict(inputs)
        end = time.perf_counter()
        fastest = min(fastest, end - start)
        if end > until:
            break
    return fastest

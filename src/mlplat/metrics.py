"""The metrics of the serving process: counted in plain numbers, and made into Prometheus's when they are scraped."""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import prometheus_client
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double what is scraped, and no dashboard draws them

MOST_NOTED = 512
"""So many requests are counted at once: of more, those that come then would wait for a millisecond."""

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROW_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


MOST_VERSIONS = 8
"""So many of the latest versions are counted apart; else an alias that moves for years would fill the memory."""


class Distribution:
    """Counts of values between bounds: a histogram that costs a hundredth of Prometheus's own to add to.

    Attributes:
        add: notes a value. It is counted by `settle`, together with others.
        noted: what is not counted yet.
    """

    __slots__ = ("_bounds", "_counts", "_sum", "add", "noted")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = np.array(bounds)
        self._counts = np.zeros(len(bounds) + 1, dtype=np.int64)
        self._sum = 0.0
        self.noted: list[float] = []
        self.add: Callable[[float], None] = self.noted.append

    def settle(self) -> None:
        """Count what was noted; meanwhile another thread may note more."""
        if self.noted:
            values = np.array(self.noted)
            del self.noted[: len(values)]
            self.count(values)

    def count(self, values: NDArray[np.float64]) -> None:
        """Count values [n] at once."""
        self._counts += np.bincount(np.searchsorted(self._bounds, values), minlength=len(self._counts))
        self._sum += float(values.sum())

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self._counts.sum())

    def add_to(self, family: HistogramMetricFamily, labels: list[str]) -> None:
        """Give what was counted so far to Prometheus."""
        total = 0
        buckets = []
        for bound, count in zip((*self._bounds.tolist(), math.inf), self._counts.tolist(), strict=True):
            total += count
            buckets.append(("+Inf" if bound == math.inf else str(float(bound)), total))
        family.add_metric(labels, buckets, self._sum)


Tell = Callable[[str, str, NDArray[np.float64], Sequence[int]], None]
"""Takes predictions that were counted: the protocol, the version, and the seconds [n] and rows of each."""


class Tally:
    """Counts of the requests by one protocol to one version.

    Attributes:
        seconds: that each took.
        rows: that were predicted.
        note: notes the seconds of a prediction like most: status 200, and told with others by `settle`.
        note_rows: notes its rows; called before `note`.
        noted: the seconds of those that are not counted yet.
    """

    __slots__ = ("_noted_rows", "_others", "note", "note_rows", "noted", "rows", "seconds")

    def __init__(self) -> None:
        self.seconds = Distribution(LATENCY_BUCKETS)
        self._others: Counter[int] = Counter()  # by status; all else were 200
        self.rows = 0
        self.noted: list[float] = []
        self._noted_rows: list[int] = []
        self.note: Callable[[float], None] = self.noted.append
        self.note_rows: Callable[[int], None] = self._noted_rows.append

    def add(self, seconds: float, status: int = 200, rows: int = 0) -> None:
        """Count an answered request that was told of apart."""
        if status != 200:
            self._others[status] += 1
        self.seconds.add(seconds)
        self.rows += rows

    def settle(self, tell: Callable[[NDArray[np.float64], Sequence[int]], None] | None = None) -> None:
        """Count what was noted, and tell of it: the seconds [n] and the rows of each prediction."""
        self.seconds.settle()
        if self.noted:
            seconds, rows = np.array(self.noted), self._noted_rows.copy()
            self.noted.clear()
            self._noted_rows.clear()
            self.seconds.count(seconds)
            self.rows += sum(rows)
            if tell is not None:
                tell(seconds, rows)

    def add_to(self, labels: tuple[str, str], requests: CounterMetricFamily, seconds: HistogramMetricFamily) -> None:
        """Give what was counted so far to Prometheus."""
        for status, count in ((200, self.seconds.total - self._others.total()), *self._others.items()):
            requests.add_metric((*labels, str(status)), count)
        self.seconds.add_to(seconds, list(labels))


class ServeMetrics:
    """Counters of one server.

    Args:
        tell: is told of the predictions that were noted, many at a time.
    """

    def __init__(self, tell: Tell | None = None) -> None:
        self._tell = tell
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.ready = Gauge("mlplat_ready", "1 while the server is ready.", registry=registry)
        self.model = Gauge(
            "mlplat_model_info", "1 for the version being served.", ("model", "version"), registry=registry
        )
        self.loads = prometheus_client.Counter(
            "mlplat_model_loads", "Attempts to load a version, by outcome.", ("outcome",), registry=registry
        )
        self.load_seconds = Gauge("mlplat_model_load_seconds", "Time that the last load took.", registry=registry)
        self.swaps = prometheus_client.Counter(
            "mlplat_model_swaps", "Times that another version took over.", registry=registry
        )
        self.drift_rows = Gauge("mlplat_drift_rows", "Latest rows that drift is measured on.", registry=registry)
        self.feature_drift = Gauge(
            "mlplat_feature_drift",
            "Population stability index of a feature against the training data.",
            ("feature",),
            registry=registry,
        )
        self.prediction_drift = Gauge(
            "mlplat_prediction_drift",
            "Population stability index of the predictions against those of the training data.",
            registry=registry,
        )
        registry.register(self)
        self._registry = registry
        self._served: deque[str] = deque(maxlen=MOST_VERSIONS)
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._batch = Distribution(ROW_BUCKETS)
        self._run = Distribution(LATENCY_BUCKETS)
        self._queue = Distribution(LATENCY_BUCKETS)
        self.preprocess = Distribution(LATENCY_BUCKETS)
        self.predict = Distribution(LATENCY_BUCKETS)
        self.postprocess = Distribution(LATENCY_BUCKETS)
        self.model_name = ""

    def tally(self, protocol: str, version: str) -> Tally:
        """Where to count requests. `protocol` is "http" for what is no prediction; it then has no version."""
        tally = self._tallies.get((protocol, version))
        if tally is None:
            tally = self._tallies[protocol, version] = Tally()
        return tally

    def forget_old(self, version: str) -> None:
        """Note that a version serves from now on, and drop the counts of those that did so long ago."""
        if version in self._served:
            self._served.remove(version)
        self._served.append(version)
        self.settle()
        for labels in list(self._tallies):
            if labels[1] and labels[1] not in self._served:
                del self._tallies[labels]

    def ran(self, rows: int, seconds: float, waited: float) -> None:
        """Count a run of the model, and how long its first request had waited for it."""
        self._batch.add(rows)
        self._run.add(seconds)
        self._queue.add(waited)

    def settle(self) -> None:
        """Count what was noted; called several times a second, as what is noted takes memory until then."""
        for distribution in (self._batch, self._run, self._queue, self.preprocess, self.predict, self.postprocess):
            distribution.settle()
        for labels, tally in list(self._tallies.items()):
            tally.settle(None if self._tell is None else partial(self._tell, *labels))

    def set_drift(self, rows: int, features: Mapping[str, float], predictions: float | None) -> None:
        """Drift of the version that serves: on how many rows, of each feature, and of the predictions if measured."""
        self.drift_rows.set(rows)
        self.feature_drift.clear()
        for feature, index in features.items():
            self.feature_drift.labels(feature).set(index)
        self.prediction_drift.set(math.nan if predictions is None else predictions)

    def collect(self) -> Iterator[Metric]:
        """What was counted in plain numbers, for the registry."""
        self.settle()
        requests = CounterMetricFamily(
            "mlplat_requests", "Requests by protocol, version and status.", labels=("protocol", "version", "status")
        )
        seconds = HistogramMetricFamily("mlplat_request_seconds", "Time to answer.", labels=("protocol", "version"))
        rows: dict[str, int] = defaultdict(int)
        for labels, tally in list(self._tallies.items()):
            if tally.seconds.total:
                tally.add_to(labels, requests, seconds)
                rows[labels[1]] += tally.rows
        yield requests
        yield seconds
        predicted = CounterMetricFamily("mlplat_predicted_rows", "Rows predicted, by version.", labels=("version",))
        for version, count in rows.items():
            if version:
                predicted.add_metric((version,), count)
        yield predicted
        for name, text, distribution in (
            ("mlplat_batch_rows", "Rows of a run of the model.", self._batch),
            ("mlplat_run_seconds", "Time of a run of the model.", self._run),
            ("mlplat_queue_seconds", "Time that the first request of a run had waited for it.", self._queue),
        ):
            family = HistogramMetricFamily(name, text, labels=())
            distribution.add_to(family, [])
            yield family
        for stage, distribution in (  # the names of KServe's model server, for its dashboards
            ("preprocess", self.preprocess),
            ("predict", self.predict),
            ("postprocess", self.postprocess),
        ):
            family = HistogramMetricFamily(
                f"request_{stage}_seconds", f"Time to {stage} a request.", labels=("model_name",)
            )
            distribution.add_to(family, [self.model_name])
            yield family

    def exposition(self) -> bytes:
        """All of them in the Prometheus text format."""
        return generate_latest(self._registry)

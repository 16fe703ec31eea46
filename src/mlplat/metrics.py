"""The metrics of the serving process, in a registry of their own."""

import math
from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double what is scraped, and no dashboard draws them

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ServeMetrics:
    """Counters of one server."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "mlplat_requests", "Requests by route and status.", ("route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "mlplat_request_seconds",
            "Time to answer, by route.",
            ("route",),
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.rows = Counter("mlplat_predicted_rows", "Rows predicted, by version.", ("version",), registry=registry)
        self.ready = Gauge("mlplat_ready", "1 while the server is ready.", registry=registry)
        self.model = Gauge(
            "mlplat_model_info", "1 for the version being served.", ("model", "version"), registry=registry
        )
        self.loads = Counter(
            "mlplat_model_loads", "Attempts to load a version, by outcome.", ("outcome",), registry=registry
        )
        self.load_seconds = Gauge("mlplat_model_load_seconds", "Time that the last load took.", registry=registry)
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
        self._registry = registry

    def set_drift(self, rows: int, features: Mapping[str, float], predictions: float | None) -> None:
        """Drift of the version that serves: on how many rows, of each feature, and of the predictions if measured."""
        self.drift_rows.set(rows)
        self.feature_drift.clear()
        for feature, index in features.items():
            self.feature_drift.labels(feature).set(index)
        self.prediction_drift.set(math.nan if predictions is None else predictions)

    def exposition(self) -> bytes:
        """All of them in the Prometheus text format."""
        return generate_latest(self._registry)

"""Metrics of the operator."""

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, generate_latest


class OperatorMetrics:
    """Counters of one operator."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.reconciles = prometheus_client.Counter(
            "mlplat_operator_reconciles", "Reconciles, by outcome.", ("outcome",), registry=self._registry
        )
        self.seconds = Histogram("mlplat_operator_reconcile_seconds", "Time of a reconcile.", registry=self._registry)
        self.writes = prometheus_client.Counter(
            "mlplat_operator_writes",
            "Writes to the API server, by what they wrote.",
            ("what",),
            registry=self._registry,
        )
        self.requests = prometheus_client.Counter(
            "mlplat_operator_requests",
            "Requests to the API server, by method.",
            ("method",),
            registry=self._registry,
        )
        self.queue = Gauge("mlplat_operator_queue", "Deployments that wait for a reconcile.", registry=self._registry)
        self.failing = Gauge(
            "mlplat_operator_failing_watches",
            "Namespaces in which a kind cannot be followed now.",
            ("kind",),
            registry=self._registry,
        )
        self.ready = Gauge(
            "mlplat_operator_deployment_ready",
            "1 for a ModelDeployment that is ready.",
            ("namespace", "name"),
            registry=self._registry,
        )

    def forget(self, namespace: str, name: str) -> None:
        """Tell no more of a ModelDeployment that is gone."""
        try:
            self.ready.remove(namespace, name)
        except KeyError:
            return

    def exposition(self) -> bytes:
        """All of them in the Prometheus text format."""
        return generate_latest(self._registry)

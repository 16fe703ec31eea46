"""Metrics of the operator."""

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, generate_latest

from mlplat.operator.status import ConditionType, Fault, Phase, Reason, Status


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
            "1 for a ModelDeployment that is ready; nothing of one that is paused.",
            ("namespace", "name"),
            registry=self._registry,
        )

        self.weight = Gauge(
            "mlplat_operator_canary_weight",
            "Percent of the requests that the candidate of a canary is to get, while there is one.",
            ("namespace", "name", "phase"),
            registry=self._registry,
        )
        self.promotions = prometheus_client.Counter(
            "mlplat_operator_promotions", "Candidates of canaries that were to take over.", registry=self._registry
        )
        self.rollbacks = prometheus_client.Counter(
            "mlplat_operator_rollbacks", "Versions that were given up, by reason.", ("reason",), registry=self._registry
        )
        for fault in Fault:
            self.rollbacks.labels(fault.value)

    def tell(self, namespace: str, name: str, before: Status, now: Status) -> None:
        """Tell of a ModelDeployment what its status tells, and count what was decided.

        Args:
            namespace: of it.
            name: of it.
            before: its status at the last look.
            now: its status.
        """
        ready = next((each for each in now.conditions if each.type == ConditionType.READY), None)
        if ready is not None and ready.reason == Reason.PAUSED:
            self.ready.remove_by_labels({"namespace": namespace, "name": name})
        else:
            self.ready.labels(namespace, name).set(ready is not None and ready.status == "True")
        self.weight.remove_by_labels({"namespace": namespace, "name": name})
        if now.canary is not None:
            self.weight.labels(namespace, name, now.canary.phase.value).set(now.canary.weight)
        if _promotes(now) and not _promotes(before):
            self.promotions.inc()
        if now.rollback is not None and now.rollback != before.rollback:
            self.rollbacks.labels(now.rollback.reason.value).inc()

    def forget(self, namespace: str, name: str) -> None:
        """Tell no more of a ModelDeployment that is gone."""
        for gauge in (self.ready, self.weight):
            gauge.remove_by_labels({"namespace": namespace, "name": name})

    def exposition(self) -> bytes:
        """All of them in the Prometheus text format."""
        return generate_latest(self._registry)


def _promotes(status: Status) -> bool:
    return status.canary is not None and status.canary.phase == Phase.PROMOTING

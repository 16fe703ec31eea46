"""What the registry counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from sqlalchemy import func, select

from mlplat.registry.database import Database, DatabaseError
from mlplat.registry.tables import models

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class RegistryMetrics:
    """Counters of one registry."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._registry = registry
        self._requests = Counter(
            "mlplat_registry_requests", "Requests.", ("route", "method", "status"), registry=registry
        )
        self._seconds = Histogram(
            "mlplat_registry_request_seconds", "Time to answer.", ("route",), buckets=BUCKETS, registry=registry
        )
        self._failures = Gauge(
            "mlplat_registry_database_failures", "Transactions that the database did not answer.", registry=registry
        )
        self._reachable = Gauge("mlplat_registry_database_up", "1 if the database answers.", registry=registry)
        self._models = Gauge("mlplat_registry_models", "Models in the catalogue.", registry=registry)
        self._versions = Gauge("mlplat_registry_versions", "Versions in the catalogue.", registry=registry)
        self.synced = Gauge(
            "mlplat_registry_synced_timestamp_seconds", "When the store was last looked through.", registry=registry
        )
        self.unreadable = Gauge(
            "mlplat_registry_unreadable", "Versions and moves in the store that cannot be read.", registry=registry
        )

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def exposition(self, database: Database) -> bytes:
        """All of them in the Prometheus text format; models and versions are counted when they are asked for."""
        try:
            with database.read() as connection:
                counts = select(func.count(), func.coalesce(func.sum(models.c.versions), 0)).select_from(models)
                found = connection.execute(counts).one()
        except DatabaseError:
            self._reachable.set(0)
        else:
            self._reachable.set(1)
            self._models.set(found[0])
            self._versions.set(found[1])
        self._failures.set(database.failures)
        return generate_latest(self._registry)

"""What was counted in plain numbers, as Prometheus sees it."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlplat.metrics import MOST_VERSIONS, Distribution, ServeMetrics


def samples(metrics: ServeMetrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_requests_are_counted_by_protocol_version_and_status() -> None:
    metrics = ServeMetrics()
    metrics.tally("v2", "v1").add(0.002)
    metrics.tally("v2", "v1").add(0.002)
    metrics.tally("v2", "v1").add(0.002, 422)
    metrics.tally("http", "").add(0.1, 404)
    metrics.tally("v2", "v1").rows += 7
    found = samples(metrics)

    def requests(protocol: str, version: str, status: str) -> float:
        labels = {"protocol": protocol, "version": version, "status": status}
        return found["mlplat_requests_total", frozenset(labels.items())]

    assert (requests("v2", "v1", "200"), requests("v2", "v1", "422"), requests("http", "", "404")) == (2, 1, 1)
    assert found["mlplat_request_seconds_count", frozenset({("protocol", "v2"), ("version", "v1")})] == 3
    assert found["mlplat_predicted_rows_total", frozenset({("version", "v1")})] == 7
    assert ("mlplat_predicted_rows_total", frozenset({("version", "")})) not in found


def test_predictions_are_counted_and_told_together() -> None:
    told: list[tuple[str, str, list[float], list[int]]] = []
    metrics = ServeMetrics(lambda protocol, version, s, rows: told.append((protocol, version, s.tolist(), list(rows))))
    tally = metrics.tally("v2", "v1")
    for rows, seconds in ((1, 0.001), (3, 0.002)):
        tally.note_rows(rows)
        tally.note(seconds)
    tally.add(0.003, rows=5)  # is told of apart
    found = samples(metrics)
    assert told == [("v2", "v1", [0.001, 0.002], [1, 3])]
    assert found["mlplat_request_seconds_count", frozenset({("protocol", "v2"), ("version", "v1")})] == 3
    assert found["mlplat_predicted_rows_total", frozenset({("version", "v1")})] == 9
    metrics.settle()
    assert len(told) == 1


def test_a_version_that_is_forgotten_is_told_of_before() -> None:
    told: list[str] = []
    metrics = ServeMetrics(lambda _, version, __, ___: told.append(version))
    metrics.forget_old("v0")
    tally = metrics.tally("plain", "v0")
    tally.note_rows(1)
    tally.note(0.001)
    for number in range(1, MOST_VERSIONS + 1):
        metrics.forget_old(f"v{number}")
    assert told == ["v0"]
    assert not any("v0" in str(labels) for _, labels in samples(metrics))


@pytest.mark.parametrize(("value", "below"), [(0.5, 0), (1.0, 1), (1.5, 1), (2.0, 2), (9.0, 2)])
def test_a_value_counts_for_each_bound_that_it_does_not_exceed(value: float, below: int) -> None:
    metrics = ServeMetrics()
    metrics._batch = Distribution((1.0, 2.0))
    metrics._batch.add(value)
    found = samples(metrics)
    buckets = [found["mlplat_batch_rows_bucket", frozenset({("le", bound)})] for bound in ("1.0", "2.0", "+Inf")]
    expected = {0: [1, 1, 1], 1: [1, 1, 1] if value <= 1 else [0, 1, 1], 2: [0, 1, 1] if value <= 2 else [0, 0, 1]}
    assert buckets == expected[below]
    assert found["mlplat_batch_rows_sum", frozenset()] == value


def test_a_run_tells_its_rows_its_time_and_the_wait() -> None:
    metrics = ServeMetrics()
    metrics.ran(16, 0.001, 0.2)
    metrics.preprocess.add(0.001)
    metrics.predict.add(0.2)
    metrics.postprocess.add(0.003)
    metrics.model_name = "iris"
    found = samples(metrics)
    assert found["mlplat_batch_rows_sum", frozenset()] == 16
    assert found["mlplat_run_seconds_sum", frozenset()] == 0.001
    assert found["mlplat_queue_seconds_sum", frozenset()] == 0.2
    assert found["request_predict_seconds_sum", frozenset({("model_name", "iris")})] == 0.2

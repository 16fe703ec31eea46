"""What a Prometheus reads from a real server of each kind of model: what was answered lately, and golden agreement."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.serve.conftest import Running, await_ready, poll, serving

from mlplat.store import open_store

FLOWERS = [[5.1, 3.5, 1.4, 0.2]] * 3 + [[6.3, 3.3, 6.0, 2.5]] * 2
"""Three of them are setosa, two virginica, beyond any doubt."""

Labels = frozenset[tuple[str, str]]


def read(url: str, name: str) -> dict[Labels, float]:
    """The samples of a family, by their labels."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    return {
        frozenset(sample.labels.items()): sample.value
        for family in families
        if family.name == name
        for sample in family.samples
    }


def labels(**given: str) -> Labels:
    return frozenset(given.items())


@pytest.fixture
def server(trained: Path, tmp_path: Path) -> Iterator[str]:
    """A process of its own that serves iris v1 and compares it with v2."""
    with serving(trained, tmp_path, "--version", "v1", "--compare-with", "v2") as (_, url, _log):
        await_ready(url)
        yield url


def test_a_classifier_tells_the_classes_of_its_latest_answers(server: str) -> None:
    assert read(server, "mlplat_recent_rows") == {labels(version="v1"): 0}
    answer = httpx.post(f"{server}/predict", json={"features": FLOWERS})
    assert answer.json()["predictions"] == ["setosa"] * 3 + ["virginica"] * 2
    assert read(server, "mlplat_recent_rows") == {labels(version="v1"): 5}
    assert read(server, "mlplat_recent_predictions") == {
        labels(version="v1", output="setosa"): 3,
        labels(version="v1", output="versicolor"): 0,
        labels(version="v1", output="virginica"): 2,
    }
    assert read(server, "mlplat_recent_prediction_quantile") == {}


def test_the_share_of_golden_samples_is_what_a_client_finds_who_asks_them(trained: Path, server: str) -> None:
    other = open_store(str(trained)).manifest("iris", "v2")
    assert other.classes is not None
    answer = httpx.post(f"{server}/predict", json={"features": [list(row) for row in other.golden.rows]}).json()
    expected = [other.classes[int(value)] for value in other.golden.values]
    alike = [found == known for found, known in zip(answer["predictions"], expected, strict=True)]
    poll(lambda: read(server, "mlplat_golden_agreement"), "the versions were compared")
    assert read(server, "mlplat_golden_agreement") == {
        labels(version="v1", against="v2"): pytest.approx(sum(alike) / len(alike))
    }


def test_the_golden_samples_are_not_counted_as_requests(server: str) -> None:
    poll(lambda: read(server, "mlplat_golden_agreement"), "the versions were compared")
    assert read(server, "mlplat_recent_rows") == {labels(version="v1"): 0}
    assert read(server, "mlplat_predicted_rows") == {}


def test_a_model_of_numbers_tells_their_quantiles(servers: dict[tuple[str, str], Running]) -> None:
    running = servers["forecast", "v1"]
    url = str(running.client.base_url)
    answer = running.predict({"values": [1.0, 2.0, 3.0, 4.0, 5.0], "horizon": 4})
    assert answer.status_code == 200, answer.text
    rows = read(url, "mlplat_recent_rows")[labels(version="v1")]
    quantiles = read(url, "mlplat_recent_prediction_quantile")
    assert rows >= 1
    assert len(quantiles) == 21
    values = [quantiles[labels(version="v1", quantile=f"{step / 20:g}")] for step in range(21)]
    assert values == sorted(values)
    assert read(url, "mlplat_recent_predictions") == {}
    assert read(url, "mlplat_golden_agreement") == {}

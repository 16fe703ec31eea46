"""What the pods of canaries count: asked of themselves at /metrics every few seconds, beside all that is reconciled.

Counters are told from the beginning of a step on, so that a long past does not hide the present. What they were at that time
is kept in memory: after a restart of the operator the candidate's are told from the start of its pods, with the steps before,
and the stable version's from the restart on.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from mlplat import logs
from mlplat.operator.children import CANDIDATE, STABLE, TRACK_LABEL, Manifest, Owner
from mlplat.operator.informer import Key
from mlplat.operator.judge import Figures, Predictions, Side
from mlplat.operator.status import Trial

SECONDS = 2.0
"""Between two looks at the pods of a canary."""

ANSWER_SECONDS = 2.0
"""A pod that takes longer to tell its metrics is left out, and this is said."""

AT_ONCE = 16
"""So many pods are asked at once."""

MOST_PODS = 20
"""So many pods of a version, the first by name, are asked."""

MOST_BYTES = 2**20
"""More than this no pod has to tell: 20 KiB are ordinary, and drift of 3,000 features with eight versions makes 300."""

NO_PREDICTION = "http"
"""Protocol of requests that are no predictions."""


@dataclass(frozen=True)
class Counts:
    """What a pod counted of one version: answers, server errors among them, and seconds."""

    requests: int = 0
    errors: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Told:
    """What a pod told of one version."""

    counts: Counts
    predictions: Predictions
    golden: float | None


def read_metrics(text: str, version: str, against: str) -> Told:
    """What a pod tells of a version, and of how it answers the golden samples of another.

    Raises:
        ValueError: if it is not in the Prometheus text format, or says what cannot be.
    """
    mine = [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("version") == version and sample.labels.get("protocol") != NO_PREDICTION
    ]

    def values(name: str, label: str, least: float = 0.0) -> list[tuple[str, float]]:
        found = [(sample.labels[label], sample.value) for sample in mine if sample.name == name]
        wrong = next((value for _, value in found if not math.isfinite(value) or value < least), None)
        if wrong is not None:
            raise ValueError(f"{name} is {wrong}")
        return found

    answers = values("mlplat_requests_total", "status")
    counts = Counts(
        requests=int(sum(value for _, value in answers)),
        errors=int(sum(value for status, value in answers if status.startswith("5"))),
        seconds=sum(value for _, value in values("mlplat_request_seconds_sum", "protocol")),
    )
    numbers = values("mlplat_recent_prediction_quantile", "quantile", least=-math.inf)
    quantiles = [value for _, value in sorted((float(each), value) for each, value in numbers)]
    if quantiles != sorted(quantiles):
        raise ValueError("mlplat_recent_prediction_quantile does not rise")
    good = sum(value for status, value in answers if status.startswith("2"))
    predicted = sum(value for _, value in values("mlplat_predicted_rows_total", "version"))
    predictions = Predictions(
        rows=int(sum(value for _, value in values("mlplat_recent_rows", "version"))),
        outputs=dict(values("mlplat_recent_predictions", "output")),
        quantiles=quantiles,
        batch=max(predicted / good, 1.0) if good else 1.0,
    )
    golden = dict(values("mlplat_golden_agreement", "against")).get(against)
    if golden is not None and golden > 1:
        raise ValueError(f"mlplat_golden_agreement is {golden}")
    return Told(counts, predictions, golden)


@dataclass
class Window:
    """Counts of the pods of one version since a step began, of those that are gone, too.

    Attributes:
        late: what was counted before the first look is not of this canary.
    """

    late: bool
    _looked: bool = False
    _last: dict[str, Counts] = field(default_factory=dict)
    _begun: dict[str, Counts] = field(default_factory=dict)

    def begin(self) -> None:
        """Let another step begin."""
        self._begun = dict(self._last)

    def add(self, counts: Mapping[str, Counts]) -> Counts:
        """Take over what pods counted by now; returns what all of them counted since the step began."""
        if self.late and not self._looked:
            self._begun = dict(counts)
        self._looked = self._looked or bool(counts)
        for pod, count in counts.items():
            if count.requests < self._begun.get(pod, Counts()).requests:  # it was started again
                self._begun.pop(pod)
        self._last |= counts
        deltas = [(each, self._begun.get(pod, Counts())) for pod, each in self._last.items()]
        return Counts(
            sum(now.requests - then.requests for now, then in deltas),
            sum(now.errors - then.errors for now, then in deltas),
            sum(now.seconds - then.seconds for now, then in deltas),
        )


@dataclass
class _Watched:
    """A canary whose pods are asked."""

    trial: Trial
    stable: Window
    candidate: Window
    figures: Figures | None = None


class Scraper:
    """Answers at once with what is known of a canary's pods, and asks them every few seconds.

    Args:
        list_pods: lists the pods of a ModelDeployment.
        changed: is told each ModelDeployment of which something was asked.
        client: asks the pods.
    """

    def __init__(
        self,
        list_pods: Callable[[Key], Awaitable[list[Manifest]]],
        changed: Callable[[Key], None],
        *,
        client: httpx2.AsyncClient,
    ) -> None:
        self._list_pods = list_pods
        self._changed = changed
        self._client = client
        self._watched: dict[Key, _Watched] = {}
        self._asking: set[Key] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def look(self, key: Key, trial: Trial) -> Figures | None:
        """What is known of a canary's pods at its present step; they are asked from now on."""
        watched = self._watched.get(key)
        if watched is None or watched.trial.token != trial.token or watched.trial.stable != trial.stable:
            watched = self._watched[key] = _Watched(trial, Window(late=True), Window(late=False))
        elif watched.trial.step != trial.step:
            watched.stable.begin()
            watched.candidate.begin()
            watched.figures = None
        watched.trial = trial
        return watched.figures

    def forget(self, key: Key) -> None:
        """Ask the pods of a ModelDeployment no more."""
        self._watched.pop(key, None)

    async def run(self) -> None:
        """Ask them every few seconds, each for itself; runs until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                for key in self._watched.keys() - self._asking:
                    self._asking.add(key)
                    group.create_task(self._ask(key))
                await asyncio.sleep(SECONDS)

    async def _ask(self, key: Key) -> None:
        """Ask the pods of one once."""
        watched, now = self._watched[key], datetime.now(UTC).replace(microsecond=0)
        trial = watched.trial
        try:
            async with asyncio.timeout(4 * ANSWER_SECONDS):
                pods, owner = await self._list_pods(key), Owner(*key, uid="")
                stables = [pod for pod in pods if _is_of(pod, owner.name, STABLE)]
                candidates = [pod for pod in pods if _is_of(pod, owner.candidate, CANDIDATE)]
                stable, candidate = await asyncio.gather(
                    self._ask_side(stables, trial.stable, "", watched.stable),
                    self._ask_side(candidates, trial.version, trial.stable, watched.candidate),
                )
        except Exception as error:  # noqa: BLE001 - one whose pods cannot be asked must not end the others
            logs.get().warning("scrape_failed", namespace=key[0], name=key[1], error=logs.told(error))
        else:
            if watched.trial.step == trial.step and self._watched.get(key) is watched:
                watched.figures = Figures(trial.step, now, stable, candidate)
                self._changed(key)
        finally:
            self._asking.discard(key)

    async def _ask_side(self, pods: Iterable[Manifest], version: str, against: str, window: Window) -> Side:
        """What the pods of one version tell."""
        mine = sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
        ready = [pod for pod in mine if _is_ready(pod)]
        asked = await asyncio.gather(*(self._ask_pod(pod, version, against) for pod in ready[:MOST_PODS]))
        told = {name: one for name, one in asked if isinstance(one, Told)}
        counts = window.add({name: one.counts for name, one in told.items()})
        golden = [one.golden for one in told.values() if one.golden is not None]
        return Side(
            pods=len(ready),
            asked=len(told),
            problem=next((f"{name}: {one}" for name, one in asked if isinstance(one, str)), ""),
            restarts=sum(_restarts(pod) for pod in mine),
            requests=counts.requests,
            errors=counts.errors,
            seconds=counts.seconds,
            predictions=tuple(one.predictions for one in told.values()),
            golden=min(golden, default=None),
        )

    async def _ask_pod(self, pod: Manifest, version: str, against: str) -> tuple[str, Told | str]:
        """What a pod tells, by its name; why not, if it does not."""
        name = str(pod["metadata"]["name"])
        try:
            async with self._slots, asyncio.timeout(ANSWER_SECONDS):
                text = await self._read(url_of(pod))
            return name, await asyncio.to_thread(read_metrics, text, version, against)
        except TimeoutError:
            return name, f"no answer within {ANSWER_SECONDS:g} s"
        except (httpx2.HTTPError, OSError) as error:
            return name, str(error) or type(error).__name__
        except (ValueError, KeyError, ArithmeticError) as error:
            return name, f"what it tells is not understood: {error}"

    async def _read(self, url: str) -> str:
        async with self._client.stream("GET", url) as answer:
            answer.raise_for_status()
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    raise ValueError(f"more than {MOST_BYTES} bytes")
        return body.decode("utf-8")


def url_of(pod: Manifest) -> str:
    """Where a pod tells its metrics."""
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports", ())]
    port = next((port["containerPort"] for port in ports if port.get("name") == "http"), 8000)
    address = str(pod["status"]["podIP"])
    return f"http://{f'[{address}]' if ':' in address else address}:{port}/metrics"


def _is_of(pod: Manifest, deployment: str, track: str) -> bool:
    """Whether a pod was made by a Deployment's ReplicaSet; labels alone anybody may give to a pod."""
    labels = pod["metadata"].get("labels", {})
    made_by = (f"{deployment}-{labels.get('pod-template-hash')}", "ReplicaSet", True)
    owners = pod["metadata"].get("ownerReferences", ())
    return labels.get(TRACK_LABEL) == track and any(
        (owner.get("name"), owner.get("kind"), owner.get("controller")) == made_by for owner in owners
    )


def _is_ready(pod: Manifest) -> bool:
    status = pod.get("status", {})
    conditions = {each["type"]: each["status"] for each in status.get("conditions", ())}
    return bool(
        conditions.get("Ready") == "True" and status.get("podIP") and "deletionTimestamp" not in pod["metadata"]
    )


def _restarts(pod: Manifest) -> int:
    return sum(each.get("restartCount", 0) for each in pod.get("status", {}).get("containerStatuses", ()))

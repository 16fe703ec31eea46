"""The image by itself: it answers without a store, as any user and with a read-only root, and ends when it is told to."""

import httpx
import pykube

from .namespace import Namespace, Object
from .pods import restricted_pod
from .polling import poll
from .release import FLOWER

ANYONE = 54321


def test_the_default_command_makes_a_model_on_the_spot_and_serves_it(namespace: Namespace, image: str) -> None:
    pod = restricted_pod("plain", image, [], {"/tmp": {"emptyDir": {}}, "/models": {"emptyDir": {}}})
    pod["spec"]["securityContext"] |= {"runAsUser": ANYONE, "runAsGroup": ANYONE}
    pod["spec"]["terminationGracePeriodSeconds"] = 30
    [container] = pod["spec"]["containers"]
    del container["command"]
    container["env"] = [{"name": "MLPLAT_DRAIN_SECONDS", "value": "1"}]
    namespace.apply(pod)

    def answer() -> Object | None:
        address = namespace.object(pykube.Pod, "plain")["status"].get("podIP")
        try:
            found = httpx.post(f"http://{address}:8000/predict", json=FLOWER) if address else None
        except httpx.TransportError:
            return None
        return dict(found.json()) if found is not None and found.status_code == 200 else None

    predicted = poll(answer, "the pod answers", 90)
    assert (predicted["prediction"], predicted["model_version"]) == ("setosa", "v1")

    namespace.kubectl("exec", "plain", "--", "sh", "-c", "kill -TERM 1")
    ended = poll(lambda: terminated(namespace), "it ends")
    assert ended["exitCode"] == 0


def terminated(namespace: Namespace) -> Object | None:
    [status] = namespace.object(pykube.Pod, "plain")["status"]["containerStatuses"]
    found: Object | None = status["state"].get("terminated")
    return found
